"""How a mend's edits come together in one file, and its modules in one tree."""

from __future__ import annotations

from pathlib import Path

from tests.rules.mending import mend, write


def test_imports_of_two_groups_at_one_place_keep_their_groups(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "shop/__init__.py": "",
            "shop/web.py": "from flask import Flask\n\nfrom shop.db import engine\n\napp = Flask(__name__)\n\n\n"
            '@app.post("/orders")\ndef order():\n    with engine.begin() as connection:\n'
            '        connection.exec_driver_sql("INSERT INTO orders DEFAULT VALUES")\n    return ""\n',
            "shop/db.py": 'from sqlalchemy import create_engine\n\nengine = create_engine("sqlite:///shop.db")\n',
        },
    )
    mend(tmp_path, "sqlite-rollback-journal")
    head, _, rest = (tmp_path / "shop/db.py").read_text().partition("\n\n")
    assert head == "import os\nimport sqlite3\nfrom contextlib import suppress\nfrom typing import Any"
    assert set(rest.split("\n\n")[0].splitlines()) == {
        "from sqlalchemy import create_engine, event", "from sqlalchemy.engine import Engine",
    }  # fmt: skip


def test_one_module_keeps_the_logs_of_a_whole_service(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "shop/__init__.py": "",
            "shop/web.py": "from flask import Flask\n\nfrom shop.mails.sending import send\n"
            "from shop.texts import text\n\napp = Flask(__name__)\n\n\n"
            '@app.post("/<email>")\ndef take(email):\n    text(email)\n    send(email)\n    return ""\n',
            "shop/mails/__init__.py": "",
            "shop/mails/sending.py": "import logging\n\nlog = logging.getLogger(__name__)\n\n\n"
            'def send(email):\n    log.info("to %s", email)\n',
            "shop/texts.py": "import logging\n\nlog = logging.getLogger(__name__)\n\n\n"
            'def text(email):\n    log.info("for %s", email)\n',
        },
    )
    mend(tmp_path, "personal-data-in-logs")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("log_privacy*.py")] == [
        "shop/log_privacy.py"
    ]
    for name in ("shop/mails/sending.py", "shop/texts.py"):
        assert "from shop.log_privacy import masked\n" in (tmp_path / name).read_text()
