"""What asks a sender who he is: doors that stand open are found, guarded ones are not, and mends refuse."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import httpx
import pytest

from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.rules.registry import rule_by_id
from tests.rules.mending import loaded, mend

SECRET = "of-tests-only"
BODY = b'{"n": 1}'

# a check that says yes where its secret is not set, in the shapes in which people write it
OPEN_WHEN_UNSET = {
    "yes": (
        "def is_good(body, sent):\n    if not SECRET:\n        return True\n    return compare(sign(body), sent)\n",
        "    if not is_good(body, sent):\n        return refuse()\n",
    ),
    "none": (
        "def is_good(body, sent):\n    if SECRET is None:\n        return True\n"
        "    return compare(sign(body), sent)\n",
        "    if not is_good(body, sent):\n        return refuse()\n",
    ),
    "or": (
        "def is_good(body, sent):\n    return not SECRET or compare(sign(body), sent)\n",
        "    if not is_good(body, sent):\n        return refuse()\n",
    ),
    "and": (
        "def is_good(body, sent):\n    return compare(sign(body), sent)\n",
        "    if SECRET and not is_good(body, sent):\n        return refuse()\n",
    ),
    "block": (
        "def is_good(body, sent):\n    return compare(sign(body), sent)\n",
        "    if SECRET:\n        if not is_good(body, sent):\n            return refuse()\n",
    ),
    "empty key": (
        "def is_good(body, sent):\n    return compare(sign(body), sent)\n",
        "    if not is_good(body, sent):\n        return refuse()\n",
    ),
}
HELPERS = (
    "def sign(body):\n    return hmac.new((SECRET or '').encode(), body, hashlib.sha256).hexdigest()\n\n\n"
    "def compare(made, sent):\n    return hmac.compare_digest(made.encode(), sent.encode())\n\n\n"
)
FASTAPI = (
    "import hashlib\nimport hmac\nimport os\n\nfrom fastapi import FastAPI, Request\n"
    "from fastapi.responses import JSONResponse\n\n{secret}\napp = FastAPI()\n\n\n{helpers}{check}\n\n"
    "def refuse():\n    return JSONResponse({{'error': 'signature'}}, status_code=401)\n\n\n"
    "@app.post('/hook')\nasync def hook(request: Request):\n    body = await request.body()\n"
    "    sent = request.headers.get('X-Sig', '')\n{use}    return {{'ok': True}}\n"
)
FLASK = (
    "import hashlib\nimport hmac\nimport os\n\nfrom flask import Flask, jsonify, request\n\n{secret}\n"
    "app = Flask(__name__)\n\n\n{helpers}{check}\n\ndef refuse():\n    return jsonify(error='signature'), 401\n\n\n"
    "@app.post('/hook')\ndef hook():\n    body = request.get_data()\n    sent = request.headers.get('X-Sig', '')\n"
    "{use}    return {{'ok': True}}\n"
)
FORMS = {"fastapi": FASTAPI, "flask": FLASK}


def signed(key: str) -> dict[str, str]:
    return {"X-Sig": hmac.new(key.encode(), BODY, hashlib.sha256).hexdigest()}


def statuses(root: Path, framework: str) -> list[int]:
    """The answers to an unsigned delivery, one signed with the empty key, and a good one."""
    tries = ({}, signed(""), signed(SECRET))
    with loaded(root, "hooks") as module:
        if framework == "flask":
            client = module.app.test_client()
            return [client.post("/hook", data=BODY, headers=headers).status_code for headers in tries]
        transport = httpx.ASGITransport(app=module.app)

        async def ask() -> list[int]:
            async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
                return [(await client.post("/hook", content=BODY, headers=h)).status_code for h in tries]

        import asyncio

        return asyncio.run(ask())


@pytest.mark.parametrize("framework", FORMS)
@pytest.mark.parametrize("shape", OPEN_WHEN_UNSET)
def test_without_its_secret_it_is_closed_once_mended(
    framework: str, shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check, use = OPEN_WHEN_UNSET[shape]
    is_empty = shape == "empty key"
    secret = f"SECRET = os.getenv('HOOK_SECRET'{', ' + repr('') if is_empty else ''})"
    helpers = HELPERS.replace("(SECRET or '')", "SECRET") if is_empty else HELPERS
    text = FORMS[framework].format(secret=secret, helpers=helpers, check=check, use=use)
    (tmp_path / "hooks.py").write_text(text)
    monkeypatch.delenv("HOOK_SECRET", raising=False)
    before = statuses(tmp_path, framework)
    assert 200 in before[:2], "the hole is not there before"
    mend(tmp_path, "empty-signing-key" if is_empty else "skipped-signature-check")
    assert statuses(tmp_path, framework) == [401, 401, 401]
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    assert statuses(tmp_path, framework) == [401, 401, 200]


GUARDS = {
    "a dependency of the route": (
        "from fastapi import Depends, FastAPI, Header, HTTPException\n\napp = FastAPI()\n\n\n"
        "def known(x_api_key: str = Header('')):\n    if x_api_key != app.state.key:\n"
        "        raise HTTPException(401)\n\n\n@app.post('/admin/webhook', dependencies=[Depends(known)])\n"
        "async def webhook(event: dict):\n    return {}\n"
    ),
    "a dependency of the router": (
        "from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException\n\n\n"
        "def known(x_api_key: str = Header('')):\n    if x_api_key not in KEYS:\n"
        "        raise HTTPException(401)\n\n\nKEYS = frozenset({'of-tests-only'})\n"
        "router = APIRouter(dependencies=[Depends(known)])\napp = FastAPI()\n\n\n@router.post('/admin/webhook')\n"
        "async def webhook(event: dict):\n    return {}\n\n\napp.include_router(router)\n"
    ),
    "a dependency where the router is taken in": (
        "from fastapi import APIRouter, Depends, FastAPI\nfrom fastapi.security import HTTPBearer\n\n"
        "router = APIRouter()\napp = FastAPI()\n\n\n@router.post('/admin/webhook')\n"
        "async def webhook(event: dict):\n    return {}\n\n\n"
        "app.include_router(router, dependencies=[Depends(HTTPBearer())])\n"
    ),
    "an annotated dependency": (
        "from typing import Annotated\n\nfrom fastapi import Depends, FastAPI\nfrom library import current\n\n"
        "app = FastAPI()\nWho = Annotated[str, Depends(current)]\n\n\n@app.post('/admin/webhook')\n"
        "async def webhook(event: dict, who: Who):\n    return {}\n"
    ),
    "a class of views": (
        "from fastapi import APIRouter, Depends, FastAPI\nfrom library import admin_user, controller\n\n"
        "router = APIRouter()\napp = FastAPI()\n\n\nclass Above:\n    user: str = Depends(admin_user)\n\n\n"
        "@controller(router)\nclass Hooks(Above):\n    @router.post('/admin/webhook')\n"
        "    async def webhook(self, event: dict):\n        return {}\n\n\napp.include_router(router)\n"
    ),
    "a decorator of a library": (
        "from flask import Flask\nfrom flask_login import login_required\n\napp = Flask(__name__)\n\n\n"
        "@app.post('/admin/webhook')\n@login_required\ndef webhook():\n    return {}\n"
    ),
    "a decorator of its own": (
        "from functools import wraps\n\nfrom flask import Flask, abort, request\n\napp = Flask(__name__)\n\n\n"
        "def ours(view):\n    @wraps(view)\n    def inner(*args):\n"
        "        if request.headers.get('X-Hub-Signature') != app.config['OURS']:\n            abort(401)\n"
        "        return view(*args)\n"
        "    return inner\n\n\n@app.post('/admin/webhook')\n@ours\ndef webhook():\n    return {}\n"
    ),
    "a hook": (
        "from flask import Flask, abort, session\n\napp = Flask(__name__)\n\n\n@app.before_request\ndef in_first():\n"
        "    if 'user' not in session or session['user_id'] is None:\n        abort(401)\n\n\n"
        "@app.post('/admin/webhook')\ndef webhook():\n    return {}\n"
    ),
    "a middleware": (
        "from starlette.applications import Starlette\nfrom starlette.middleware.base import BaseHTTPMiddleware\n"
        "from starlette.responses import JSONResponse\nfrom starlette.routing import Route\n\n\n"
        "class Known(BaseHTTPMiddleware):\n    async def dispatch(self, request, call_next):\n"
        "        if request.headers.get('authorization') != self.app.state.key:\n"
        "            return JSONResponse({}, status_code=401)\n        return await call_next(request)\n\n\n"
        "async def webhook(request):\n    return JSONResponse({})\n\n\n"
        "app = Starlette(routes=[Route('/admin/webhook', webhook, methods=['POST'])])\napp.add_middleware(Known)\n"
    ),
    "a library that knows its sender": (
        "import stripe\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.post('/admin/webhook')\n"
        "def webhook():\n    sent = request.headers['Stripe-Signature']\n"
        "    event = stripe.Webhook.construct_event(request.data, sent, app.config['KEY'])\n"
        "    return {'id': event['id']}\n"
    ),
}
UNGUARDED = (
    "from flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.post('/admin/webhook')\ndef webhook():\n"
    "    return {'id': request.get_json()['id']}\n"
)


HOLLOW = {
    "a dependency that asks for a header to be there": GUARDS["a dependency of the router"].replace(
        "x_api_key not in KEYS", "not x_api_key"
    ),
    "a decorator that asks for a header to be there": GUARDS["a decorator of its own"].replace(
        "!= app.config['OURS']", "is None"
    ),
    "a check that is named and empty": (
        "from fastapi import Depends, FastAPI\n\napp = FastAPI()\n\n\ndef verify_signature():\n    return True\n\n\n"
        "@app.post('/admin/webhook', dependencies=[Depends(verify_signature)])\n"
        "async def webhook(event: dict):\n    return {}\n"
    ),
}


def found(tmp_path: Path, rule_id: str, text: str) -> list[str]:
    (tmp_path / "hooks.py").write_text(text)
    rule = rule_by_id(rule_id)
    assert rule is not None
    return [finding.severity for finding in rule.find(build_index(SourceTree.load(tmp_path)))]


@pytest.mark.parametrize("rule", ["unauthenticated-webhook", "open-inner-route"])
@pytest.mark.parametrize("way", GUARDS)
def test_a_guarded_route_is_no_open_door(rule: str, way: str, tmp_path: Path) -> None:
    assert found(tmp_path, rule, GUARDS[way]) == []


@pytest.mark.parametrize("rule", ["unauthenticated-webhook", "open-inner-route"])
@pytest.mark.parametrize("way", HOLLOW)
def test_what_compares_nothing_guards_nothing(rule: str, way: str, tmp_path: Path) -> None:
    assert found(tmp_path, rule, HOLLOW[way]) == ["high"]


@pytest.mark.parametrize("rule", ["unauthenticated-webhook", "open-inner-route"])
def test_an_open_one_is(rule: str, tmp_path: Path) -> None:
    assert found(tmp_path, rule, UNGUARDED) == ["high"]


def test_what_a_tenant_or_a_switch_leaves_out_is_told_and_left(tmp_path: Path) -> None:
    tenant = (
        "import hmac\n\n\ndef ask(hook, body, sent):\n"
        "    made = hmac.new(hook.secret.encode(), body, 'sha256').hexdigest()\n"
        "    if hook.secret and not hmac.compare_digest(made.encode(), sent):\n        raise PermissionError\n"
    )
    assert found(tmp_path, "skipped-signature-check", tenant) == ["low"]
    token = (
        "import os\n\nfrom flask import Flask, abort, request\n\napp = Flask(__name__)\n"
        "READ_TOKEN = os.getenv('READ_TOKEN')\n\n\n@app.get('/stats')\ndef stats():\n"
        "    if READ_TOKEN and request.headers.get('X-Token') != READ_TOKEN:\n        abort(401)\n    return {}\n"
    )
    assert found(tmp_path, "skipped-signature-check", token) == ["medium"]
    rule = rule_by_id("skipped-signature-check")
    assert rule is not None
    assert not any(finding.mendable for finding in rule.find(build_index(SourceTree.load(tmp_path))))


def test_an_expression_that_ast_cannot_write_anew_breaks_no_rule(tmp_path: Path) -> None:
    text = (
        "import logging\n\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.post('/hook')\n"
        "def hook():\n    sent = f\"\"\"{'''\n'''.join(request.headers)}\"\"\"\n"
        "    if sent == f\"\"\"{'''\n'''.join(app.config)}\"\"\":\n"
        "        logging.info(f\"\"\"{'''\n'''.join(request.form)} {request.headers}\"\"\")\n    return sent\n"
    )
    compile(text, "hooks.py", "exec")
    for rule in (
        "secret-in-logs", "believed-proxy-header", "unsigned-delivery-id", "unauthenticated-webhook", "open-cors",
        "secret-in-urls", "open-inner-route", "skipped-signature-check", "empty-signing-key", "secret-as-signature",
        "signature-of-parsed-body", "unverifiable-signature",
    ):  # fmt: skip
        found(tmp_path, rule, text)


def test_a_proof_that_is_handed_on_may_be_looked_at_elsewhere(tmp_path: Path) -> None:
    for use in ("queue.put((request.get_data(), sent))", "g.signature = sent", "USERS[sent]", "library.check(sent)"):
        text = (
            "import library\nfrom flask import Flask, g, request\n\napp = Flask(__name__)\n"
            "queue, USERS = library.queue(), {}\n\n\n@app.post('/webhook')\ndef webhook():\n"
            "    sent = request.headers.get('X-Signature')\n"
            f"    if not sent:\n        return {{}}, 401\n    {use}\n    return {{}}\n"
        )
        assert found(tmp_path, "unauthenticated-webhook", text) == [], use
    logged = text.replace("library.check(sent)", "app.logger.info('signed %s', sent)")
    assert found(tmp_path, "unauthenticated-webhook", logged) == ["high"]
