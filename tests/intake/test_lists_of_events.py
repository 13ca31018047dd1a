"""Senders that deliver several events in one list: how that is read off the code, written, mended and made fresh."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swarm.config.load import load_agents
from swarm.config.schema import Webhook
from swarm.intake.settings.environment import find_settings
from swarm.intake.survey import survey
from swarm.intake.trying.body_mends import mended
from swarm.intake.trying.events import Sent
from swarm.intake.trying.fresh_ids import with_fresh_ids
from swarm.intake.webhooks.entries import find_entries
from swarm.intake.webhooks.recorded import posted
from swarm.intake.webhooks.signatures import candidates
from swarm.intake.writing import render
from tests.intake.strangers import index_of, write_tree

DEALS = """
    import base64
    import hashlib
    import hmac
    import json
    import os

    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    SECRET = os.environ["HUBSPOT_SECRET"]
    PUBLIC_URL = os.environ.get("PUBLIC_URL", "https://deals.example.org/")


    async def run(events):
        for event in events:
            if event.get("kind") == "deal.changed":
                print(event["eventId"], event["owner"]["email"])


    async def deals(request):
        body = await request.body()
        at = request.headers["X-HubSpot-Request-Timestamp"]
        text = f"POST{PUBLIC_URL}{request.url.path}{body.decode()}{at}"
        digest = base64.b64encode(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest()).decode()
        if not hmac.compare_digest(digest, request.headers["X-HubSpot-Signature-v3"]):
            return JSONResponse({}, 401)
        await run(json.loads(body))
        return JSONResponse({})


    app = Starlette(routes=[Route("/hooks/deals", deals, methods=["POST"])])
    """


def test_list_is_read_off_the_loop_over_it_and_written_as_one(tmp_path: Path) -> None:
    root = write_tree(tmp_path, {"app.py": DEALS})
    looked = survey(root, None, lambda _: None)
    (entry,) = looked.entries
    event = {"kind": "deal.changed", "eventId": "{{uuid}}", "owner": {"email": "{{uuid}}@example.com"}}
    assert entry.is_list and entry.payloads == (event,)
    (tmp_path / "agents.yaml").write_text(render(looked.draft).text)
    assert load_agents(tmp_path / "agents.yaml").targets[looked.draft.name].webhooks[0].payloads == [[event]]


@pytest.mark.parametrize("annotation", ["list[Event]", "List[Event]", "Annotated[list[Event], Body()]"])
def test_list_of_a_model(tmp_path: Path, annotation: str) -> None:
    text = f"""
        from typing import Annotated, List

        from fastapi import Body, FastAPI
        from pydantic import BaseModel

        app = FastAPI()


        class Event(BaseModel):
            email: str


        @app.post("/webhook")
        async def hook(events: {annotation}):
            return len(events)
        """
    (entry,) = find_entries(index_of(tmp_path, {"app.py": text}))
    assert entry.is_list and entry.payloads == ({"email": "{{uuid}}@example.com"},)


def test_one_event_with_a_list_inside_is_none(tmp_path: Path) -> None:
    text = """
        from flask import Flask, request

        app = Flask(__name__)


        @app.post("/webhook")
        def hook():
            for line in request.get_json()["lines"]:
                print(line["sku"])
            return "ok"
        """
    (entry,) = find_entries(index_of(tmp_path, {"app.py": text}))
    assert not entry.is_list and entry.payloads[0]["lines"][0] == {"sku": "{{uuid}}"}


def test_lists_that_tests_post_are_taken_apart(tmp_path: Path) -> None:
    text = """
        def test_it(client):
            client.post("/hook", json=[{"a": 1}, {"b": 2, "c": 3}])
        """
    root = write_tree(tmp_path, {"tests/test_hook.py": text})
    assert posted(root, "/hook").bodies == ({"b": 2, "c": 3}, {"a": 1})


def test_ids_of_the_events_are_made_fresh() -> None:
    events = [{"id": "evt_1", "eventId": 7, "updateId": 3, "objectId": 9, "ok": True}]
    fresh = "{{int:1:900000000}}"
    wanted = [{"id": "evt_{{uuid}}", "eventId": fresh, "updateId": fresh, "objectId": 9, "ok": True}]
    assert with_fresh_ids(events, of_event_only=True) == wanted


@pytest.mark.parametrize(
    ("answer", "log", "wanted"),
    [
        ('{"detail": [{"loc": ["body", 0, "email"], "type": "missing"}]}', "", {"email": "{{uuid}}@example.com"}),
        ("", "KeyError: 'phone'", {"phone": "+15555550100"}),
    ],
)
def test_events_grow_by_what_is_answered(answer: str, log: str, wanted: dict[str, Any]) -> None:
    webhook = Webhook.model_validate({"path": "/hook", "payloads": [[{"a": 1}]]})
    sent = Sent(0, 0, 422 if answer else 500, json.dumps([{"a": 1}]).encode(), answer)
    better = mended(webhook, 0, sent, log)
    assert better is not None and better.payloads == [[{"a": 1, **wanted}]]


def test_address_and_milliseconds_that_hubspot_signs(tmp_path: Path) -> None:
    index = index_of(tmp_path, {"app.py": DEALS})
    (entry,) = find_entries(index)
    ways = [way.sign for way in candidates(index, entry, find_settings(index))]
    signed = "{method}https://deals.example.org{path}{body}{timestamp_ms}"
    (own,) = [way for way in ways if way.signed == signed and way.secret_env == "HUBSPOT_SECRET"]
    assert (own.header, own.format) == ("X-HubSpot-Signature-v3", "{base64}")
    assert own.timestamp_header == "X-HubSpot-Request-Timestamp"
