"""Keys that an object keeps, and comparisons in a function of their own: two are good, and the empty one never."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest

from tests.rules.mending import find, loaded, mend, write

KEPT = """import hashlib
import hmac
import os

from flask import Flask, abort, request


class Checker:
    def __init__(self, secret: str):
        self.secret = secret.encode()

    def matches(self, body: bytes, header: str) -> bool:
        expected = hmac.new(self.secret, body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected.encode(), header.encode())


checker = Checker(os.environ["SCAN_SECRET"])
app = Flask(__name__)


@app.post("/scan")
def scan():
    if not checker.matches(request.get_data(), request.headers.get("X-Scan", "")):
        abort(401)
    return "", 204
"""
DATA = KEPT.replace("import os\n", "import os\nfrom dataclasses import dataclass\n").replace(
    """class Checker:
    def __init__(self, secret: str):
        self.secret = secret.encode()
""",
    """@dataclass
class Checker:
    secret: str
""",
).replace("hmac.new(self.secret,", "hmac.new(self.secret.encode(),")  # fmt: skip
READ = KEPT.replace(
    "    def __init__(self, secret: str):\n        self.secret = secret.encode()\n",
    '    def __init__(self):\n        self.secret = os.environ["SCAN_SECRET"].encode()\n',
).replace('Checker(os.environ["SCAN_SECRET"])', "Checker()")
APART = """import hashlib
import hmac
import os

from flask import Flask, request

app = Flask(__name__)


def same(left, right):
    return hmac.compare_digest(left.encode(), right.encode())


@app.post("/scan")
def scan():
    mine = hmac.new(os.environ["SCAN_SECRET"].encode(), request.data, hashlib.sha256).hexdigest()
    if not same(mine, request.headers.get("X-Scan", "")):
        return "", 401
    return "", 204
"""


def signed(key: str, body: bytes = b"{}") -> dict[str, str]:
    return {"X-Scan": hmac.new(key.encode(), body, hashlib.sha256).hexdigest()}


@pytest.mark.parametrize("code", [KEPT, DATA, READ, APART], ids=["handed in", "dataclass", "read there", "apart"])
def test_both_keys_are_good_while_they_are_changed(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"app.py": code})
    mend(tmp_path, "single-signing-key")
    monkeypatch.setenv("SCAN_SECRET", "new-key")
    with loaded(tmp_path, "app") as module:
        client = module.app.test_client()

        def answer(key: str) -> int:
            return int(client.post("/scan", data=b"{}", headers=signed(key)).status_code)

        assert [answer(key) for key in ("new-key", "old-key", "other", "")] == [204, 401, 401, 401]
        monkeypatch.setenv("SCAN_SECRET_PREVIOUS", "old-key")
        assert [answer(key) for key in ("new-key", "old-key", "other", "")] == [204, 204, 401, 401]


@pytest.mark.parametrize("code", [KEPT, DATA, READ], ids=["handed in", "dataclass", "read there"])
def test_the_empty_key_is_good_for_nothing(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"app.py": code})
    mend(tmp_path, "empty-signing-key")
    for value, key, status in (("a-key", "a-key", 204), ("", "", 401)):
        monkeypatch.setenv("SCAN_SECRET", value)
        with loaded(tmp_path, "app") as module:
            assert module.app.test_client().post("/scan", data=b"{}", headers=signed(key)).status_code == status


def test_a_key_that_only_a_caller_unknown_hands_in_is_left(tmp_path: Path) -> None:
    made = 'checker = Checker(os.environ["SCAN_SECRET"])\napp = Flask(__name__)\n'
    code = KEPT.replace(made, "app = Flask(__name__)\n").replace(
        "checker.matches(", "Checker(app.config['KEYS'][request.args['shop']]).matches("
    )
    write(tmp_path, {"app.py": code})
    assert [finding.mendable for finding in find(tmp_path, "single-signing-key")] in ([], [False])
