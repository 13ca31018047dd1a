"""Secrets that are shown to others, and those that something is judged by."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.rules.security.secrets.shown_secrets import is_only_shown
from tests.intake.strangers import index_of


@pytest.mark.parametrize(
    ("use", "shown"),
    [
        ('HEADERS = {"X-Api-Key": KEY}', True),
        ('URL = f"https://shop.example/orders?api_key={KEY}"', True),
        ("CLIENT = Shop(api_key=KEY)\nif not KEY:\n    print('none')", True),
        ("def check(given):\n    return given == KEY", False),
        ("import hmac\nMAC = hmac.new(KEY.encode(), b'', 'sha256')", False),
        ('HEADERS = {"Authorization": f"Bearer {KEY}"}\nSIGNER = Signer(KEY)', False),
        ("import jwt\nT = jwt.encode({}, KEY)", False),
        ("ANSWER = verify(token=KEY)", False),
        ("print('nobody uses it')", False),
    ],
)
def test_uses_of_a_secret(tmp_path: Path, use: str, shown: bool) -> None:
    index = index_of(tmp_path, {"shop.py": f"import os\n\nKEY = os.getenv('KEY', 'x')\n{use}\n"})
    assert is_only_shown(index, "KEY") is shown


def test_use_in_another_module_counts(tmp_path: Path) -> None:
    files = {
        "settings.py": "import os\n\nKEY = os.getenv('KEY', 'x')\nHEADERS = {'X-Api-Key': KEY}\n",
        "gate.py": "import settings\n\n\ndef may(given):\n    return given == settings.KEY\n",
    }
    index = index_of(tmp_path, files)
    assert not is_only_shown(index, "KEY")
