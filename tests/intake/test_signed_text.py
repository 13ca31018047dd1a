"""What is signed, and by whom it is asked, read off checks that stand elsewhere than in the handler."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.intake.settings.environment import find_settings
from swarm.intake.webhooks.entries import find_entries
from swarm.intake.webhooks.signatures import candidates
from tests.intake.strangers import index_of

ROUTERS_DEPENDENCY = """
    import base64
    import hashlib
    import hmac
    import os

    from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Request


    def open_door() -> None:
        return None


    async def check(request: Request, x_hub_timestamp: str = Header(""), x_hub_mac: str = Header("")) -> None:
        body = await request.body()
        mac = hmac.new(os.environ["HUB_KEY"].encode(), x_hub_timestamp.encode() + b"|" + body, hashlib.sha256)
        if base64.b64encode(mac.digest()).decode() != x_hub_mac:
            raise HTTPException(401)


    router = APIRouter(prefix="/hub", dependencies=[Depends(check)])
    other = APIRouter(prefix="/other", dependencies=[Depends(open_door)])


    @router.post("/events")
    async def events(event: dict):
        return {"digest": hashlib.sha256(event["name"].encode()).hexdigest()}


    @other.post("/events")
    async def others(event: dict):
        return {"name": event["name"]}


    app = FastAPI()
    app.include_router(router)
    app.include_router(other)
    """

HOOK_OF_ALL = """
    import hashlib
    import hmac
    import os

    from flask import Flask, abort, request

    app = Flask("x")


    def canonical():
        sent_at = request.headers["X-Sent-Timestamp"]
        return "\\n".join([request.method, request.path, sent_at, request.get_data(as_text=True)])


    @app.before_request
    def only_the_sender():
        digest = hmac.new(os.environ["SENDER_SECRET"].encode(), canonical().encode(), hashlib.sha1).hexdigest()
        if not hmac.compare_digest(digest, request.headers.get("X-Sender-Signature", "")):
            abort(401)


    @app.post("/hooks/orders")
    def orders():
        return {"order": request.get_json()["order"]}
    """


def test_check_that_a_router_depends_on_is_read_for_its_own_routes_alone(tmp_path: Path) -> None:
    index = index_of(tmp_path, {"app.py": ROUTERS_DEPENDENCY})
    entries = {entry.path: entry for entry in find_entries(index)}
    sign = candidates(index, entries["/hub/events"], find_settings(index))[0].sign
    assert sign.model_dump() == {
        "scheme": "hmac-sha256", "header": "x-hub-mac", "secret_env": "HUB_KEY", "format": "{base64}",
        "signed": "{timestamp}|{body}", "timestamp_header": "x-hub-timestamp",
    }  # fmt: skip
    assert "/other/events" not in entries or not entries["/other/events"].headers


def test_check_of_a_hook_and_what_a_helper_puts_together(tmp_path: Path) -> None:
    index = index_of(tmp_path, {"app.py": HOOK_OF_ALL})
    (entry,) = find_entries(index)
    sign = candidates(index, entry, find_settings(index))[0].sign
    assert (sign.scheme, sign.header, sign.secret_env) == ("hmac-sha1", "X-Sender-Signature", "SENDER_SECRET")
    assert sign.signed == "{method}\n{path}\n{timestamp}\n{body}"
    assert (sign.format, sign.timestamp_header) == ("{hex}", "X-Sent-Timestamp")


@pytest.mark.parametrize(("message", "signed"), [
    ("stamp + '.' + body.decode()", "{timestamp}.{body}"),
    ("f'v1:{stamp}:{body.decode()}'", "v1:{timestamp}:{body}"),
    ("b'%s:%s' % (stamp.encode(), body)", "{timestamp}:{body}"),
    ("'{}/{}'.format(request.url.path, body.decode()).encode()", "{path}/{body}"),
    ("request.method.upper().encode() + body", "{method}{body}"),
    ("bytes(body)", "{body}"),
])  # fmt: skip
def test_text_is_read_however_it_is_put_together(tmp_path: Path, message: str, signed: str) -> None:
    text = f"""
        import hashlib, hmac, os
        from starlette.applications import Starlette
        from starlette.responses import JSONResponse
        from starlette.routing import Route

        async def hook(request):
            body = await request.body()
            stamp = request.headers["X-Timestamp"]
            digest = hmac.new(os.environ["HOOK_KEY"].encode(), {message}, hashlib.sha256).hexdigest()
            return JSONResponse({{}}, 200 if hmac.compare_digest(digest, request.headers["X-Signature"]) else 401)

        app = Starlette(routes=[Route("/hook", hook, methods=["POST"])])
        """
    index = index_of(tmp_path, {"app.py": text})
    (entry,) = find_entries(index)
    assert candidates(index, entry, find_settings(index))[0].sign.signed == signed


def test_parts_that_are_put_in_one_after_the_other(tmp_path: Path) -> None:
    text = """
        import hashlib, hmac, os
        from flask import Flask, request

        app = Flask("x")


        @app.post("/hook")
        def hook():
            mac = hmac.new(os.environ["HOOK_KEY"].encode(), digestmod=hashlib.sha256)
            mac.update(request.headers["X-Time"].encode())
            mac.update(b"-")
            mac.update(request.get_data())
            return {"ok": hmac.compare_digest(mac.hexdigest(), request.headers["X-Signature"])}
        """
    index = index_of(tmp_path, {"app.py": text})
    (entry,) = find_entries(index)
    sign = candidates(index, entry, find_settings(index))[0].sign
    assert (sign.signed, sign.timestamp_header) == ("{timestamp}-{body}", "X-Time")
