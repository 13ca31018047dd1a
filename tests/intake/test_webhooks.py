"""Routes that senders call, read off the code: their paths, their bodies, and how they are signed."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.intake.settings.environment import find_settings
from swarm.intake.survey import survey
from swarm.intake.webhooks.entries import find_entries, health_path
from swarm.intake.webhooks.recorded import posted
from swarm.intake.webhooks.senders import known_body
from swarm.intake.webhooks.signatures import candidates
from tests.intake.strangers import NOTES, ORDERS, PINGS, index_of, write_tree


def test_routes_with_all_prefixes(tmp_path: Path) -> None:
    orders = index_of(tmp_path / "orders", ORDERS)
    notes = index_of(tmp_path / "notes", NOTES)
    pings = index_of(tmp_path / "pings", PINGS)
    assert [e.path for e in find_entries(orders)] == ["/api/v1/hooks/orders"]
    assert [e.path for e in find_entries(notes)] == ["/in/event"]
    assert [e.path for e in find_entries(pings)] == ["/hooks/event"]
    assert (health_path(orders), health_path(notes), health_path(pings)) == ("/healthz", "/in/ping", "/health")


def test_body_from_the_fields_that_are_read(tmp_path: Path) -> None:
    (entry,) = find_entries(index_of(tmp_path, ORDERS))
    assert [body["type"] for body in entry.payloads] == ["order.created", "order.deleted"]
    assert all(body["order"]["id"] for body in entry.payloads)


def test_a_body_under_githubs_header_may_be_metas() -> None:
    github, _ = known_body(["/webhook", "x-hub-signature-256", "pusher"]) or ({}, False)
    meta, _ = known_body(["/webhook", "x-hub-signature-256", "entry", "object"]) or ({}, False)
    assert "commits" in github and meta["entry"][0]["changes"][0]["value"]["messages"]


def test_body_read_by_a_function_that_works_later(tmp_path: Path) -> None:
    text = """
        from fastapi import BackgroundTasks, FastAPI, Request

        app = FastAPI()


        def work(event):
            print(event["customer"]["email"], [line["sku"] for line in event["lines"]])


        @app.post("/hook")
        async def hook(request: Request, tasks: BackgroundTasks):
            tasks.add_task(work, await request.json())
        """
    (entry,) = find_entries(index_of(tmp_path, {"app.py": text}))
    assert entry.payloads == ({"customer": {"email": "{{uuid}}@example.com"}, "lines": [{"sku": "{{uuid}}"}] * 3},)


def test_body_of_a_model(tmp_path: Path) -> None:
    text = """
        from enum import Enum
        from typing import Literal, Optional

        from fastapi import FastAPI
        from pydantic import BaseModel, EmailStr, Field

        app = FastAPI()


        class Kind(str, Enum):
            paid = "paid"


        class Line(BaseModel):
            sku: str
            count: int


        class Event(BaseModel):
            kind: Kind
            version: Literal["2"]
            customer: EmailStr
            lines: list[Line]
            order_id: int = Field(..., alias="orderId")
            note: Optional[str] = None


        @app.post("/events")
        def take(event: Event):
            return event
        """
    (entry,) = find_entries(index_of(tmp_path, {"app.py": text}))
    assert entry.payloads == (
        {
            "kind": "paid", "version": "2", "customer": "{{uuid}}@example.com",
            "lines": [{"sku": "{{uuid}}", "count": 2}], "orderId": "{{int:1:500}}",
        },
    )  # fmt: skip


def test_bodies_that_tests_send(tmp_path: Path) -> None:
    text = """
        import json

        BODY = {"type": "order.created", "order": {"id": 7}}


        def test_it(client):
            client.post("/hooks/orders", json=BODY)
            client.post("/hooks/orders", content=json.dumps({"type": "x"}).encode())
            client.post("/other", json={"no": 1})
        """
    write_tree(tmp_path, {"tests/test_app.py": text})
    bodies = posted(tmp_path, "/hooks/orders").bodies
    assert bodies == ({"type": "order.created", "order": {"id": 7}}, {"type": "x"})


def test_signature_is_read_off_its_check(tmp_path: Path) -> None:
    index = index_of(tmp_path, ORDERS)
    (entry,) = find_entries(index)
    first, *_, last = candidates(index, entry, find_settings(index))
    assert first.sign.model_dump(exclude_none=True) == {
        "scheme": "hmac-sha256", "header": "X-Shop-Signature", "secret_env": "WEBHOOK_SECRET",
        "format": "sha256={hex}", "signed": "{body}",
    }  # fmt: skip
    assert last.sign.scheme == "none"


def test_form_and_json_is_json(tmp_path: Path) -> None:
    text = """
        from flask import Flask, request

        app = Flask("x")


        @app.post("/hook")
        def hook():
            data = request.get_json(silent=True) or request.form.to_dict()
            return data.get("message", {}).get("body").strip()
        """
    (entry,) = find_entries(index_of(tmp_path, {"app.py": text}))
    assert (entry.payloads, entry.is_form) == (({"message": {"body": "hello from a test"}},), False)


@pytest.mark.parametrize(("taken_apart", "signed", "form"), [
    (
        """stamp, _, sent = request.headers["X-Signature"].partition(",")""",
        """stamp.encode() + b"." + body""",
        ("{timestamp},{hex}", "{timestamp}.{body}"),
    ),
    (
        """parts = dict(part.split("=", 1) for part in request.headers["X-Signature"].split(","))
            stamp, sent = parts["t"], parts["v1"]""",
        """f"{stamp}.".encode() + body""",
        ("t={timestamp},v1={hex}", "{timestamp}.{body}"),
    ),
    (
        """named = dict(part.split("=") for part in request.headers["X-Signature"].split(";"))
            stamp, sent = named["ts"], named["h1"]""",
        """(stamp + ":").encode() + body""",
        ("ts={timestamp};h1={hex}", "{timestamp}:{body}"),
    ),
])  # fmt: skip
def test_a_time_inside_the_signature_s_header_is_read_off_its_check(
    tmp_path: Path, taken_apart: str, signed: str, form: tuple[str, str]
) -> None:
    text = f"""
        import hashlib, hmac, os
        from fastapi import FastAPI, HTTPException, Request

        KEY = os.environ["HOOK_KEY"]
        app = FastAPI()


        @app.post("/hook")
        async def hook(request: Request):
            body = await request.body()
            {taken_apart}
            expected = hmac.new(KEY.encode(), {signed}, hashlib.sha256).hexdigest()
            if not hmac.compare_digest(sent, expected):
                raise HTTPException(401)
            return {{}}
        """
    index = index_of(tmp_path, {"app.py": text})
    (entry,) = find_entries(index)
    first, *_ = candidates(index, entry, find_settings(index))
    assert (first.sign.format, first.sign.signed) == form


_HELPER = """
    import hashlib
    import hmac
    import os

    from flask import Flask, jsonify, request
    from flask.views import MethodView

    app = Flask("x")


    class Configuration:
        def __init__(self, environ=os.environ):
            self._environ = environ

        @property
        def key(self):
            return self._environ.get("HOOK_KEY", "k")


    def is_genuine(key, name):
        given = request.headers.get(name, "")
        return hmac.compare_digest(hmac.new(key.encode(), request.get_data(), hashlib.sha256).hexdigest(), given)


    def genuine(view):
        def checked(*args, **kwargs):
            if not is_genuine(Configuration().key, "X-Desk-Sign"):
                return jsonify(error="no"), 401
            return view(*args, **kwargs)

        return checked


    class Desk(MethodView):
        decorators = [genuine]

        def post(self):
            event = request.get_json()
            return jsonify(total=event["amount"] * 2, name=event["merchantReference"])


    app.add_url_rule("/hook/desk", view_func=Desk.as_view("desk"))


    @app.post("/hook/other")
    def other():
        return jsonify(ok=is_genuine("o", "X-Other-Sign"))
    """


def test_header_that_a_check_is_told_and_decorators_of_a_view_class(tmp_path: Path) -> None:
    index = index_of(tmp_path, {"app.py": _HELPER})
    by_path = {entry.path: entry for entry in find_entries(index)}
    assert by_path["/hook/desk"].headers == ("X-Desk-Sign",)
    assert by_path["/hook/other"].headers == ("X-Other-Sign",)
    first = candidates(index, by_path["/hook/desk"], find_settings(index))[0]
    assert (first.sign.scheme, first.sign.header, first.sign.secret_env) == ("hmac-sha256", "X-Desk-Sign", "HOOK_KEY")
    assert by_path["/hook/desk"].payloads == ({"amount": 1250, "merchantReference": "{{uuid}}"},)


def test_event_that_a_library_gives_after_its_check(tmp_path: Path) -> None:
    text = """
        import os

        import stripe
        from fastapi import FastAPI, Request

        app = FastAPI()


        @app.post("/stripe/webhook")
        async def webhook(request: Request):
            event = stripe.Webhook.construct_event(await request.body(), request.headers["stripe-signature"], "s")
            if event["type"] == "customer.subscription.created":
                print(event.data.object.seats)
        """
    draft = survey(write_tree(tmp_path, {"app.py": text}), None, lambda _: None).draft
    (payload,) = draft.target.webhooks[0].payloads
    assert isinstance(payload, dict)
    assert payload["type"] == "customer.subscription.created"
    assert "seats" in payload["data"]["object"]
    assert payload["id"] == "evt_{{uuid}}"


def test_sender_is_known_by_the_host_that_is_answered(tmp_path: Path) -> None:
    text = """
        import requests
        from flask import Flask, request

        app = Flask("x")


        def say(chat, words):
            said = {"chat_id": chat, "text": words}
            requests.post("https://api.telegram.org/bot1/sendMessage", json=said, timeout=5)


        @app.post("/hook")
        def hook():
            message = request.get_json()["message"]
            if message["text"] in ("start", "help"):
                say(message["chat"]["id"], "hello")
            return "ok"
        """
    draft = survey(write_tree(tmp_path, {"app.py": text}), None, lambda _: None).draft
    payloads = draft.target.webhooks[0].payloads
    assert all(isinstance(body, dict) and "update_id" in body for body in payloads)
    assert len({str(body) for body in payloads}) == len(payloads)
