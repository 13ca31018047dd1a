"""What the code tells of its webhooks: whether payloads are objects, which headers number deliveries, who sends."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.rules.security.signatures.webhook_shapes import read_id_headers, senders, takes_objects_only
from tests.rules import mending
from tests.rules.guards.hook_service import FLASK


def test_a_payload_handed_on_with_its_work_is_known_to_be_an_object(tmp_path: Path) -> None:
    mending.write(
        tmp_path,
        {
            "app.py": "import json\n\nfrom fastapi import FastAPI, Request\n\n"
            "from queueing import submit\nfrom work import handle\n\n"
            'app = FastAPI()\n\n\n@app.post("/hook")\nasync def hook(request: Request):\n'
            "    data = json.loads(await request.body())\n    await submit(handle, data)\n    return {}\n",
            "settings.py": "from fastapi import APIRouter\nfrom pydantic import BaseModel\n\n"
            "router = APIRouter()\n\n\n"
            "class Changes(BaseModel):\n    name: str\n\n\n"
            '@router.put("/flows/{flow_id}")\nasync def change(flow_id: str, changes: Changes):\n    return {}\n',
            "queueing.py": "async def submit(work, *args):\n    await work(*args)\n",
            "work.py": 'async def handle(event):\n    print(event.get("type"))\n',
        },
    )
    assert takes_objects_only(build_index(SourceTree.load(tmp_path)))


@pytest.mark.parametrize(("note", "is_known"), [(": dict", True), ("", False)])
def test_a_payload_that_a_class_keeps_is_known_to_be_an_object_where_the_class_asks_it(
    tmp_path: Path, note: str, is_known: bool
) -> None:
    mending.write(
        tmp_path,
        {
            "app.py": "from flask import Flask, request\n\nfrom parsing import Parser\n\napp = Flask(__name__)\n"
            'parser = Parser()\n\n\n@app.post("/hook")\ndef hook():\n'
            '    event: object = parser.parse(kind="push", raw=request.json)\n    return {"event": str(event)}\n',
            "parsing.py": f"class Payload:\n    def __init__(self, inner{note}):\n        self.inner = inner\n\n"
            "    def __getitem__(self, key):\n        return self.inner[key]\n\n\n"
            "class Parser:\n    def parse(self, kind, raw):\n        payload = Payload(raw)\n"
            "        return kind, payload\n",
        },
    )
    assert takes_objects_only(build_index(SourceTree.load(tmp_path))) is is_known


@pytest.mark.parametrize(
    ("line", "headers"),
    [
        ('request.headers["X-Courier-Delivery-Id"]', ("x-courier-delivery-id",)),
        ('request.headers.get("X-Event-Id", "")', ("x-event-id",)),
        # written to others, or read from their answers
        ('headers.update({}); headers["X-Delivery-Id"] = "1"', ()),
        ('requests.post("https://crm.example", timeout=3).headers["X-Delivery-Id"]', ()),
        # the subscription's, in many senders' words: each delivery would look like a repetition of the first
        ('request.headers["X-Webhook-Id"]', ()),
    ],
)
def test_only_headers_of_senders_number_deliveries(tmp_path: Path, line: str, headers: tuple[str, ...]) -> None:
    text = FLASK.replace("    event = json", f"    headers = {{}}\n    {line}\n    event = json")
    (tmp_path / "hooks.py").write_text(text.replace("import os\n", "import os\n\nimport requests\n"))
    assert read_id_headers(build_index(SourceTree.load(tmp_path))) == headers


@pytest.mark.parametrize(("more", "name"), [("", "GitHub"), ('request.args.get("hub.challenge")', "Meta")])
def test_meta_signs_as_github_does_and_has_other_ids(tmp_path: Path, more: str, name: str) -> None:
    text = "from flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.post('/hook')\ndef hook():\n"
    (tmp_path / "hooks.py").write_text(
        f"{text}    {more or 'pass'}\n    return request.headers['X-Hub-Signature-256']\n"
    )
    assert [sender.name for sender in senders(build_index(SourceTree.load(tmp_path)))] == [name]
