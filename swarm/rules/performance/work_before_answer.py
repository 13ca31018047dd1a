"""The rule work-before-answer."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from swarm.analysis.edits import Edit
from swarm.analysis.index import AppObject, Function, Index
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.core.patches import FileChange
from swarm.rules.behind_the_answer import OWN_MODULE, Work, background_tasks, waited_work
from swarm.rules.distinct import distinct
from swarm.rules.placing import added_line, free_file, import_edit, main_app, sibling_import
from swarm.rules.reaching import import_of
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.splices import first_line, free_name, is_alone

_ADVICE = (
    "Write the event to disk before the answer and do the work behind it, from there: an event that is only in "
    "memory is lost with the process"
)


class WorkBeforeAnswer(Rule):
    """A webhook's sender waits for work that the answer does not depend on, and gives up when it takes too long.

    The mend puts the work behind the answer, durably: `await submit(f, data)` writes {f, data} to an SQLite file with
    fsync and returns; workers that the mend starts with the application do the work, and take up after a crash what
    was left. Work that fails is kept with its error, to be replayed (`python durable_work.py list`, `replay`).
    `DURABLE_WORK=0` does the work before the answer again; `DURABLE_WORK_PATH` names the file.

    It is moved only where the work is a function of a module with plain JSON data as arguments, where it cannot
    decide the answer (no HTTPException, no failure that is answered with a 4xx), and the request was checked before.
    What failed with a 5xx is answered well now, and kept: few senders repeat an event on a 5xx.
    """

    id = "work-before-answer"
    category = "performance"
    severity = "high"
    title = "The sender waits for work that its answer does not need"
    order = 95
    answers_early = True
    sources = (
        "HighLevel API: webhooks are repeated on 429 only",
        "Stripe: return a 2xx quickly, before any complex logic",
    )
    bad = (
        Example(
            """import hmac
import json
import os

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

app = FastAPI()
client = httpx.AsyncClient(timeout=5)


async def book(data):
    answer = await client.post("https://ledger.example/entries", json={"order": data["id"]})
    answer.raise_for_status()


@app.post("/hook")
async def hook(request: Request):
    body = await request.body()
    wanted = hmac.new(os.environ["SECRET"].encode(), body, "sha256").hexdigest()
    if not hmac.compare_digest(wanted, request.headers.get("X-Signature", "")):
        return JSONResponse({"error": "bad signature"}, status_code=401)
    data = json.loads(body)
    try:
        await book(data)
    except httpx.HTTPError:
        return JSONResponse({"error": "ledger"}, status_code=502)
    return {"status": "taken", "id": data["id"]}
""",
            """import hmac
import json
import os

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from durable_work import DurableWork, submit

app = FastAPI()
app.add_middleware(DurableWork)
client = httpx.AsyncClient(timeout=5)


async def book(data):
    answer = await client.post("https://ledger.example/entries", json={"order": data["id"]})
    answer.raise_for_status()


@app.post("/hook")
async def hook(request: Request):
    body = await request.body()
    wanted = hmac.new(os.environ["SECRET"].encode(), body, "sha256").hexdigest()
    if not hmac.compare_digest(wanted, request.headers.get("X-Signature", "")):
        return JSONResponse({"error": "bad signature"}, status_code=401)
    data = json.loads(body)
    try:
        await submit(book, data)
    except httpx.HTTPError:
        return JSONResponse({"error": "ledger"}, status_code=502)
    return {"status": "taken", "id": data["id"]}
""",
            "fastapi",
        ),
        Example(
            """import requests
from flask import Flask, jsonify, request

app = Flask(__name__)


def book(data):
    requests.post("https://ledger.example/entries", json=data, timeout=5).raise_for_status()


def tell(data, kind):
    requests.put("https://mail.example/last", json={"kind": kind}, timeout=5).raise_for_status()


@app.route("/webhooks/<kind>", methods=["POST"])
def hook(kind):
    data = request.get_json()
    book(data)
    tell(data, kind)
    return jsonify(status="taken")
""",
            """import requests
from flask import Flask, jsonify, request

from durable_work import DurableWork, submit_sync

app = Flask(__name__)
app.wsgi_app = DurableWork(app.wsgi_app)


def book(data):
    requests.post("https://ledger.example/entries", json=data, timeout=5).raise_for_status()


def tell(data, kind):
    requests.put("https://mail.example/last", json={"kind": kind}, timeout=5).raise_for_status()


def work_of_hook(data, kind):
    book(data)
    tell(data, kind)


@app.route("/webhooks/<kind>", methods=["POST"])
def hook(kind):
    data = request.get_json()
    submit_sync(work_of_hook, data, kind)
    return jsonify(status="taken")
""",
            "flask",
        ),
        Example(
            """import httpx
from fastapi import BackgroundTasks, FastAPI

app = FastAPI()


async def book(data):
    async with httpx.AsyncClient(timeout=5) as client:
        await client.post("https://ledger.example/entries", json=data)


@app.post("/hook")
async def hook(data: dict, tasks: BackgroundTasks):
    tasks.add_task(book, data)
    return {"status": "taken"}
""",
            None,
            "fastapi",
        ),
    )
    good = (
        """import httpx
from fastapi import FastAPI, HTTPException

app = FastAPI()
client = httpx.AsyncClient(timeout=5)


async def price(data):
    answer = await client.post("https://prices.example", json=data)
    return answer.json()


@app.post("/hook")
async def hook(data: dict):
    total = await price(data)
    return {"total": total}
""",
        """import httpx
from fastapi import FastAPI

app = FastAPI()


def cents(data):
    data["cents"] = int(data["amount"] * 100)


async def verify_sender(data):
    async with httpx.AsyncClient(timeout=5) as client:
        (await client.post("https://keys.example", json=data)).raise_for_status()


@app.post("/hook")
async def hook(data: dict):
    cents(data)
    await verify_sender(data)
    return {"status": "taken"}
""",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """All work of webhooks' handlers that could be done behind the answer."""
        app = main_app(index)
        for work in waited_work(index):
            yield self._finding(work, app)
        for route, call in background_tasks(index):
            handler, task = route.function, ast.unparse(call.args[0])
            yield self.finding(
                handler.module, call,
                evidence=f"{handler.qualname} answers and leaves `{task}` to a task in memory",
                recommendation=_ADVICE,
                anchor=f"{handler.qualname}:task {task}",
                mendable=False,
                title="An event is acknowledged before it is stored",
            )  # fmt: skip

    def _finding(self, work: Work, app: AppObject | None) -> Finding:
        handler = work.route.function
        doubt = work.doubt or ("" if app is not None else "no application was found that could start workers")
        first, last = work.steps[0].statement, work.steps[-1].statement
        alone = is_alone(handler.module, first) and is_alone(handler.module, last)
        return self.finding(
            handler.module,
            ast.Pass(lineno=first.lineno, end_lineno=last.end_lineno, col_offset=0),
            evidence=f"{handler.qualname} waits for {work.names}, and answers without what comes of it",
            recommendation=f"{_ADVICE}. Not done by itself here: {doubt}" if doubt else _ADVICE,
            anchor=f"{handler.qualname}:{work.names}",
            mendable=not doubt and alone,
            severity="low" if doubt else None,  # until a measurement says what it costs
        )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Submit the work, with the module that does it where it is not there yet."""
        app = main_app(index)
        module = index.tree.modules[findings[0].file]
        wanted = {finding.line for finding in findings}
        works = [
            work for work in waited_work(index)
            if work.route.function.module is module and work.steps[0].statement.lineno in wanted and not work.doubt
        ]  # fmt: skip
        if app is None or not works:
            return None
        verbs = {"submit" if work.route.function.is_async else "submit_sync" for work in works}
        names = {verb: free_name(module, verb) for verb in verbs}
        edits = [edit for work in works for edit in _moved(module, work, names)]
        changes = _with_module(index, app, module, edits, names)
        return Mend(
            "Answer before the work, and do it durably",
            "The answer does not depend on this work. It is written to disk with fsync before the answer (about a "
            "millisecond), done behind it, taken up again after a crash, and kept with its error where it fails. "
            "DURABLE_WORK=0 turns it off; DURABLE_WORK_PATH is a file that must outlive the process.",
            changes,
        )


def _moved(module: Module, work: Work, names: dict[str, str]) -> list[Edit]:
    handler = work.route.function
    start, end = module.span(work.steps[0].statement)[0], module.span(work.steps[-1].statement)[1]
    verb = f"await {names['submit']}" if handler.is_async else names["submit_sync"]
    if len(work.steps) == 1:
        step = work.steps[0]
        parts = [_reference(module, work), *(module.segment(argument) for argument in step.arguments)]
        return [Edit(start, end, f"{verb}({', '.join(parts)})")]
    name = free_name(module, f"work_of_{handler.name}")
    data = list(dict.fromkeys(_locals(module, handler, work)))
    line = module.line_start(work.steps[0].statement.lineno)
    body = textwrap.indent(textwrap.dedent(module.text[line:end]), "    ")
    head = f"{'async ' if handler.is_async else ''}def {name}({', '.join(data)}):"
    top = _outermost(module, handler)
    at = module.line_start(first_line(top))
    return [Edit(start, end, f"{verb}({', '.join([name, *data])})"), Edit(at, at, f"{head}\n{body}\n\n\n")]


def _reference(module: Module, work: Work) -> str:
    """The function's name as the handler spells it."""
    statement = work.steps[0].statement
    value = statement.value if isinstance(statement, ast.Expr | ast.Assign) else None
    call = value.value if isinstance(value, ast.Await) else value
    assert isinstance(call, ast.Call)
    return module.segment(call.args[0] if work.steps[0].in_thread else call.func)


def _locals(module: Module, handler: Function, work: Work) -> Iterable[str]:
    own = module.local_names(handler.node)
    for step in work.steps:
        for node in walk(step.statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in own:
                yield node.id


def _outermost(module: Module, handler: Function) -> ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef:
    found: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef = handler.node
    for around in module.ancestors(handler.node):
        if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found = around
    return found


def _with_module(
    index: Index, app: AppObject, module: Module, edits: list[Edit], names: dict[str, str]
) -> tuple[FileChange, ...]:
    """The handler's file, the application's (perhaps the same) and the new module's."""
    tree = index.tree
    there = next((other for other in tree.modules.values() if OWN_MODULE in other.text), None)
    path = there.path if there is not None else free_file(tree, app.module.path.rpartition("/")[0], "durable_work")
    stem = path.rpartition("/")[2].removesuffix(".py")
    imported = ", ".join(verb if verb == name else f"{verb} as {name}" for verb, name in sorted(names.items()))
    if there is not None:
        return (edited(module, [*edits, import_edit(tree, module, import_of(tree, module, there, stem, imported))]),)
    line = f"{app.name}.add_middleware(DurableWork)"
    if app.framework == "flask":
        line = f"{app.name}.wsgi_app = DurableWork({app.name}.wsgi_app)"
    at_app = [added_line(app, app.node, line)]
    new = FileChange(path, None, module_text(app.framework == "flask"))
    if module is app.module:
        statement = sibling_import(tree, module, stem, f"DurableWork, {imported}")
        return edited(module, [*edits, *at_app, import_edit(tree, module, statement)]), new
    at_app.append(import_edit(tree, app.module, sibling_import(tree, app.module, stem, "DurableWork")))
    edits.append(import_edit(tree, module, import_of(tree, module, app.module, stem, imported)))
    return edited(module, edits), edited(app.module, at_app), new


def module_text(is_wsgi: bool) -> str:
    """The module that keeps and does the work."""
    folder = Path(__file__).parent
    core = (folder / "durable_work_core.txt").read_text(encoding="utf-8")
    door = (folder / f"durable_work_{'wsgi' if is_wsgi else 'asgi'}.txt").read_text(encoding="utf-8")
    if is_wsgi:
        core = core.replace("import asyncio\n", "import asyncio\nimport atexit\n", 1)
        core = core.replace("collections.abc import Callable", "collections.abc import Callable, Iterable", 1)
    return core + door
