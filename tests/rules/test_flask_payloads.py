"""Flask services that read `request.json`: after the mend, what W11 sends breaks them no more, and events pass."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swarm.probes.hostile_input.hostile_json import _HOSTILE
from tests.rules.mending import find, loaded, mend, write

HANDED_ON = """
from flask import Flask, request

app = Flask(__name__)


class Desk:
    def take(self, kind, event):
        return {"id": event["id"] + "!", "kind": kind}


desk = Desk()


@app.post("/hook")
def hook():
    return desk.take(request.headers.get("X-Kind", ""), event=request.json)


@app.post("/form")
def form():
    return {"name": request.form["name"]}
"""
PLAIN = """
from flask import Flask, request

app = Flask(__name__)


@app.post("/hook")
def hook():
    event = request.json
    return {"id": event["id"] + "!", "kind": ""}
"""


@pytest.mark.parametrize("code", [HANDED_ON, PLAIN], ids=["handed on", "plain"])
def test_no_hostile_body_breaks_it(code: str, tmp_path: Path) -> None:
    write(tmp_path, {"app.py": code})
    with loaded(tmp_path, "app") as before:
        client = before.app.test_client()
        kind = "application/json"
        statuses = {n: client.post("/hook", data=b, content_type=kind).status_code for n, b in _HOSTILE.items()}
        assert 500 in statuses.values()
    mend(tmp_path, "unchecked-json")
    with loaded(tmp_path, "app") as after:
        client = after.app.test_client()
        for name, body in _HOSTILE.items():
            assert 400 <= client.post("/hook", data=body, content_type="application/json").status_code < 500, name
        good = client.post("/hook", data=json.dumps({"id": "a\n\u00e9"}), content_type="application/json")
        assert good.get_json() == {"id": "a\n\u00e9!", "kind": ""}
        if "/form" in code:
            assert client.post("/form", data={"name": "Ann"}).get_json() == {"name": "Ann"}


def test_what_is_called_json_elsewhere_is_no_body(tmp_path: Path) -> None:
    code = (
        "from flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.get('/x')\ndef x():\n"
        "    return app.json.dumps({'path': request.path})\n"
    )
    write(tmp_path, {"app.py": code})
    assert not find(tmp_path, "unchecked-json")
