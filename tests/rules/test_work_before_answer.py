"""Where work-before-answer moves work, where it only advises, and where it sees none."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from swarm.analysis.index import Index, build_index
from swarm.analysis.source import SourceTree
from swarm.rules.performance.waiting.work_before_answer import WorkBeforeAnswer
from swarm.rules.scan import scan

HEAD = """\
import json
import logging
from contextvars import ContextVar

import httpx
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

app = FastAPI()
client = httpx.AsyncClient(timeout=5)
logger = logging.getLogger(__name__)
tenant = ContextVar("tenant")
STATE = {}


class Event(BaseModel):
    id: str


class Refused(Exception):
    pass


class Desk:
    async def book(self, data):
        await client.post("https://ledger.example/entries", json=data)


desk = Desk()


async def book(data, retries=1):
    answer = await client.post("https://ledger.example/entries", json=data)
    answer.raise_for_status()


async def book_known(data):
    answer = await client.get("https://ledger.example/known")
    if answer.status_code == 404:
        raise HTTPException(404, "unknown")


async def handlers_work(data):
    await HANDLERS[data["type"]](data)


HANDLERS = {"known": book_known}


async def of_tenant(data):
    await client.post("https://ledger.example/entries", json={"tenant": tenant.get()})


async def refuse(data):
    await client.post("https://ledger.example/entries", json=data)
    raise Refused


async def changing(data):
    data["seen"] = True
    await client.post("https://ledger.example/entries", json=data)


def blocking(data):
    httpx.post("https://ledger.example/entries", json=data, timeout=5)


def session():
    yield 1


def current_user():
    return {"name": "Ada"}
"""
HOOK = '\n\n@app.post("/hook")\nasync def hook(request: Request):\n'
TREE_APP = "from fastapi import FastAPI\n\n{imports}\n\napp = FastAPI()\napp.include_router(router)\n"
TREE_HOOK = """\
from fastapi import APIRouter

{imports}

router = APIRouter(prefix="/webhooks")


@router.post("/crm")
async def crm(data: dict):
    await work(data)
    return {{"status": "taken"}}
"""
TREE_WORK = """\
import httpx


async def work(data):
    async with httpx.AsyncClient(timeout=5) as client:
        await client.post("https://ledger.example", json=data)
"""


def index_of(tmp_path: Path, files: dict[str, str]) -> Index:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return build_index(SourceTree.load(tmp_path))


def mended(index: Index, file: str) -> dict[str, str]:
    """The changed files by name."""
    rule = WorkBeforeAnswer()
    mend = rule.mend(index, [finding for finding in rule.find(index) if finding.mendable and finding.file == file])
    assert mend is not None
    after = build_index(index.tree.with_changes(mend.changes))
    assert not [finding for finding in rule.find(after) if finding.mendable and finding.file == file]
    known = {finding.id for finding in scan(index)}
    assert not [f for f in scan(after) if f.id not in known and f.file.endswith("durable_work.py")]
    texts = {change.path: change.after or "" for change in mend.changes}
    for text in texts.values():
        ast.parse(text)
    return texts


MOVED = {
    "after an if": (
        '    data = json.loads(await request.body())\n    if data["type"] != "ping":\n        await book(data)\n'
        '    logger.info("taken")\n    return {"status": "taken"}\n',
        "        await submit(book, data)\n",
    ),
    "a method of what the module holds": (
        "    data = await request.json()\n    await desk.book(data)\n    return JSONResponse({})\n",
        "async def work_of_hook(data):\n    await desk.book(data)\n",
    ),
    "a method of what is made in place": (
        "    data = await request.json()\n    await Desk().book(data)\n    return JSONResponse({})\n",
        "    await submit(work_of_hook, data)\n",
    ),
    "with a keyword": (
        "    data = await request.json()\n    await book(retries=2, data=data)\n    return JSONResponse({})\n",
        "    await submit(book, data, 2)\n",
    ),
    "an unused result": (
        '    data = await request.json()\n    booked = await book(data["order"])\n    return {"id": data["id"]}\n',
        '    await submit(book, data["order"])\n',
    ),
    "out of a thread": (
        "    import asyncio\n    data = await request.json()\n    await asyncio.to_thread(blocking, data)\n"
        "    return {}\n",
        "    await submit(blocking, data)\n",
    ),
    "every failure logged": (
        "    data = await request.json()\n    try:\n        await book(data)\n"
        '    except Exception:\n        logger.exception("failed")\n    return {}\n',
        "        await submit(book, data)\n",
    ),
    "a failure raised anew": (
        "    data = await request.json()\n    try:\n        await book(data)\n    except httpx.HTTPError as error:\n"
        '        raise HTTPException(status_code=502, detail="ledger") from error\n    return {}\n',
        "        await submit(book, data)\n",
    ),
    "several in a row": (
        "    data = await request.json()\n    kind = data.get('type')\n    await book(data)\n    # then the rest\n"
        "    await book(kind)\n    return {}\n",
        "async def work_of_hook(data, kind):\n    await book(data)\n    # then the rest\n    await book(kind)\n\n\n"
        '@app.post("/hook")\n',
    ),
}
ADVISED = {
    "it may answer 404": ("await book_known(data)", "HTTPException, which decides the answer"),
    "a table's handler may": ("await handlers_work(data)", "HTTPException, which decides the answer"),
    "a method of what the event made": ("await Desk(data).book(data)", "Desk.book is no function of a module"),
    "a method of a variable": ("own = Desk()\n    await own.book(data)", "Desk.book is no function of a module"),
    "the request as argument": ("await book(request)", "`request` is not known to be plain JSON data"),
    "a context variable": ("await of_tenant(data)", "the context variable tenant"),
    "an unknown value": ("await book(current_user())", "is not known to be plain JSON data"),
    "a transaction around": (
        "async with client.stream('GET', 'https://x.example'):\n        await book(data)", "inside of a `with`",
    ),
    "an exception with an answer": ("await refuse(data)", "Refused, which decides the answer"),
    "a failure as 4xx": (
        "try:\n        await book(data)\n    except ValueError:\n        return JSONResponse({}, status_code=422)",
        "ValueError is answered with 422",
    ),
    "a failure that is told": (
        "try:\n        await book(data)\n    except ValueError:\n        return {'status': 'failed'}",
        "ValueError is answered with 200",
    ),
    "a finally": (
        "try:\n        await book(data)\n    finally:\n        logger.info('end')", "a `finally` follows it",
    ),
    "the answer's data changed": ("await changing(data)", "may change what the answer is built from"),
}  # fmt: skip
UNSEEN = {
    "its result is answered": "    data = await request.json()\n    done = await book(data)\n    return done\n",
    "it is a check": "    data = await request.json()\n    await verify(data)\n    return {}\n",
    "a check follows": (
        "    data = await request.json()\n    await book(data)\n    if not data.get('id'):\n"
        "        return JSONResponse({}, status_code=401)\n    return {}\n"
    ),
    "other work follows": (
        "    data = await request.json()\n    await book(data)\n    form = await request.form()\n    return form\n"
    ),
    "once for each of a list": (
        "    data = await request.json()\n    for item in data:\n        await book(item)\n    return {}\n"
    ),
    "shared state is told": "    data = await request.json()\n    await book(data)\n    return {'n': len(STATE)}\n",
    "nothing waits": "    data = await request.json()\n    await soon(data)\n    return {}\n",
}
MORE = """

async def verify(data):
    (await client.post("https://keys.example", json=data)).raise_for_status()


async def soon(data):
    logger.info("soon")


@app.exception_handler(Refused)
async def refused(request, error):
    return JSONResponse({}, status_code=403)
"""


@pytest.mark.parametrize("name", MOVED)
def test_work_is_moved(tmp_path: Path, name: str) -> None:
    body, expected = MOVED[name]
    texts = mended(index_of(tmp_path, {"app.py": HEAD + HOOK + body}), "app.py")
    assert expected in texts["app.py"]
    assert texts["app.py"].count("app.add_middleware(DurableWork)") == 1


@pytest.mark.parametrize("name", ADVISED)
def test_work_is_only_named(tmp_path: Path, name: str) -> None:
    statement, reason = ADVISED[name]
    body = f"    data = await request.json()\n    {statement}\n    return {{'id': data['id']}}\n"
    index = index_of(tmp_path, {"app.py": HEAD + MORE + HOOK + body})
    [finding] = WorkBeforeAnswer().find(index)
    assert not finding.mendable
    assert reason in finding.recommendation


@pytest.mark.parametrize("name", UNSEEN)
def test_no_work_is_seen(tmp_path: Path, name: str) -> None:
    index = index_of(tmp_path, {"app.py": HEAD + MORE + HOOK + UNSEEN[name]})
    assert list(WorkBeforeAnswer().find(index)) == []


def test_only_webhooks_are_told_so(tmp_path: Path) -> None:
    text = (HEAD + HOOK).replace("/hook", "/orders").replace("def hook", "def new_order")
    body = "    data = await request.json()\n    await book(data)\n    return {}\n"
    assert list(WorkBeforeAnswer().find(index_of(tmp_path, {"app.py": text + body}))) == []


@pytest.mark.parametrize(
    ("parameter", "is_mendable"),
    [("data: dict", True), ("data: Event", True), ("data=Depends(current_user)", False), ("data: list[str]", True)],
)
def test_what_a_parameter_holds(tmp_path: Path, parameter: str, is_mendable: bool) -> None:
    text = f'\n\n@app.post("/hook")\nasync def hook({parameter}):\n    await book(data)\n    return {{}}\n'
    [finding] = WorkBeforeAnswer().find(index_of(tmp_path, {"app.py": HEAD + text}))
    assert finding.mendable is is_mendable


@pytest.mark.parametrize(
    ("app", "app_imports", "hook", "hook_imports", "new", "expected"),
    [
        ("desk/app.py", "from desk.api.hooks import router", "desk/api/hooks.py", "from desk.work import work",
         "desk/durable_work.py", "from desk.durable_work import submit\n"),
        ("desk/app.py", "from .api.hooks import router", "desk/api/hooks.py", "from ..work import work",
         "desk/durable_work.py", "from ..durable_work import submit\n"),
        ("src/desk/app.py", "from desk.api.hooks import router",
         "src/desk/api/hooks.py", "from desk.work import work",
         "src/desk/durable_work.py", "from desk.durable_work import submit\n"),
        ("main.py", "from api.hooks import router", "api/hooks.py", "from work import work",
         "durable_work.py", "from durable_work import submit\n"),
    ],
    ids=["absolute", "relative", "src", "bare"],
)  # fmt: skip
def test_the_module_lies_beside_the_application(
    tmp_path: Path, app: str, app_imports: str, hook: str, hook_imports: str, new: str, expected: str
) -> None:
    folder = app.rpartition("/")[0]
    prefix = f"{folder}/" if folder else ""
    files = {
        app: TREE_APP.format(imports=app_imports),
        hook: TREE_HOOK.format(imports=hook_imports),
        f"{prefix}work.py": TREE_WORK,
        f"{prefix}api/__init__.py": "",
    }
    if folder:
        files[f"{prefix}__init__.py"] = ""
    texts = mended(index_of(tmp_path, files), hook)
    assert set(texts) == {app, hook, new}
    assert expected in texts[hook]
    assert "    await submit(work, data)\n" in texts[hook]
    assert "app = FastAPI()\napp.add_middleware(DurableWork)\n" in texts[app]


def test_a_second_handler_uses_the_module_that_is_there(tmp_path: Path) -> None:
    imports = "from desk.a import router\nfrom desk.b import router as other"
    files = {
        "desk/__init__.py": "",
        "desk/app.py": TREE_APP.format(imports=imports),
        "desk/a.py": TREE_HOOK.format(imports="from desk.work import work"),
        "desk/b.py": TREE_HOOK.format(imports="from desk.work import work"),
        "desk/work.py": TREE_WORK,
    }
    first = mended(index_of(tmp_path, files), "desk/a.py")
    second = mended(index_of(tmp_path, {**files, **first}), "desk/b.py")
    assert set(first) == {"desk/a.py", "desk/app.py", "desk/durable_work.py"}
    assert set(second) == {"desk/b.py"}
    assert "from desk.durable_work import submit\n" in second["desk/b.py"]


def test_a_blueprint_of_an_application_that_a_function_makes(tmp_path: Path) -> None:
    files = {
        "desk/__init__.py": (
            "from flask import Flask\n\nfrom desk.hooks import hooks\n\n\ndef create_app():\n"
            "    app = Flask(__name__)\n    app.register_blueprint(hooks)\n    return app\n"
        ),
        "desk/hooks.py": (
            "import requests\nfrom flask import Blueprint, request\n\nhooks = Blueprint('hooks', __name__)\n\n\n"
            "def book(data):\n    requests.post('https://ledger.example', json=data, timeout=5)\n\n\n"
            "@hooks.route('/hook', methods=['POST'])\ndef hook():\n    book(request.json)\n    return '', 204\n"
        ),
    }
    texts = mended(index_of(tmp_path, files), "desk/hooks.py")
    assert "    submit_sync(book, request.json)\n" in texts["desk/hooks.py"]
    assert "    app.wsgi_app = DurableWork(app.wsgi_app)\n" in texts["desk/__init__.py"]
    assert "SERVER_SOFTWARE" in texts["desk/durable_work.py"]


def test_flask_work_that_needs_the_request_stays(tmp_path: Path) -> None:
    text = (
        "import requests\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n"
        "def book(data):\n    headers = dict(request.headers)\n"
        "    requests.post('https://ledger.example', json=data, headers=headers, timeout=5)\n\n\n"
        "@app.post('/hook')\ndef hook():\n    book(request.json)\n    return '', 204\n"
    )
    [finding] = WorkBeforeAnswer().find(index_of(tmp_path, {"app.py": text}))
    assert "flask.request" in finding.recommendation
    assert not finding.mendable


def test_a_starlette_endpoint_and_its_own_names(tmp_path: Path) -> None:
    text = (
        "import httpx\nfrom starlette.applications import Starlette\nfrom starlette.endpoints import HTTPEndpoint\n"
        "from starlette.responses import Response\nfrom starlette.routing import Route\n\n"
        "submit = 'a button'\n\n\nasync def book(data):\n    async with httpx.AsyncClient(timeout=5) as client:\n"
        "        await client.post('https://ledger.example', json=data)\n\n\nclass Hook(HTTPEndpoint):\n"
        "    async def post(self, request):\n        await book(await request.json())\n"
        "        return Response(status_code=202)\n\n\n"
        "app = Starlette(routes=[Route('/hook', Hook, methods=['POST'])])\n"
    )
    texts = mended(index_of(tmp_path, {"app.py": text}), "app.py")
    assert "        await submit_2(book, await request.json())\n" in texts["app.py"]
    assert "from durable_work import DurableWork, submit as submit_2\n" in texts["app.py"]
