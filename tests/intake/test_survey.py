"""What else is read off a tree with nothing started: tables, databases, the interpreter, that there is no service."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from swarm.core.errors import TargetError
from swarm.intake.settings.databases import find_storage
from swarm.intake.settings.environment import find_settings
from swarm.intake.starting.interpreter import find_interpreter
from swarm.intake.starting.tables import create_tables
from swarm.intake.survey import survey
from tests.intake.strangers import PINGS, index_of, write_tree


def test_tables_are_made_from_models_that_nobody_makes(tmp_path: Path) -> None:
    files = {
        "app/__init__.py": "",
        "app/db.py": "from sqlalchemy import create_engine\n\nengine = create_engine('sqlite://')\n",
        "app/models.py": """
            from sqlalchemy import Integer
            from sqlalchemy.orm import DeclarativeBase, mapped_column


            class Base(DeclarativeBase):
                pass


            class Order(Base):
                __tablename__ = "orders"
                id = mapped_column(Integer, primary_key=True)
            """,
    }
    command = create_tables(index_of(tmp_path, files), "")
    assert command is not None
    words = shlex.split(command)
    done = subprocess.run([sys.executable, *words[1:]], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "create_all(engine)" in words[2]
    assert create_tables(index_of(tmp_path / "none", PINGS), "") is None


@pytest.mark.parametrize(
    ("code", "value"),
    [
        (
            "import os\nfrom sqlalchemy import create_engine\ne = create_engine(os.environ['DATABASE_URL'])\n",
            "sqlite",
        ),
        (
            "import os\nfrom sqlalchemy.ext.asyncio import create_async_engine\n"
            "e = create_async_engine(os.environ['DATABASE_URL'])\n",
            "sqlite+aiosqlite",
        ),
        ("import os\nimport sqlite3\nFILE = os.environ.get('ORDERS_DB', 'data/orders.sqlite3')\n", "{tmp}/orders"),
        ("import os\nimport asyncpg\nDSN = os.environ['DATABASE_URL']\n", "postgresql"),
    ],
)
def test_database_by_what_the_code_speaks(tmp_path: Path, code: str, value: str) -> None:
    index = index_of(tmp_path, {"db.py": code})
    (storage,) = find_storage(index, find_settings(index), lambda *_: True, "")
    given = storage.value or (storage.upstream.url if storage.upstream else storage.doubt)
    assert given.startswith((f"{value}://", f"{value}.sqlite3")) or (
        value == "postgresql" and "wants PostgreSQL" in given
    )


def test_missing_imports_are_named_with_their_place(tmp_path: Path) -> None:
    text = (
        "import json\nimport no_such_package.inner\n\ntry:\n    import no_such_extra\nexcept ImportError:\n    pass\n"
    )
    own = {
        "own.py": "import app\nfrom tests.factories import order\n",
        "tests/factories.py": "order = 1\n",
        "tests/__init__.py": "",
    }
    found = find_interpreter(tmp_path, index_of(tmp_path, {"app.py": text, **own}))
    assert found.missing == {"no_such_package": "app.py:2"}


def test_virtual_environment_of_the_tree(tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (tmp_path / ".venv" / "pyvenv.cfg").write_text("home = /\n")
    assert find_interpreter(tmp_path, index_of(tmp_path, PINGS)).python == ".venv/bin/python"


def test_folder_without_a_service(tmp_path: Path) -> None:
    write_tree(tmp_path, {"tool.py": "print('hello')\n"})
    with pytest.raises(TargetError, match="no FastAPI, Starlette or Flask application"):
        survey(tmp_path, None, print)
