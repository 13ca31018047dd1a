"""The rule work-before-answer."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from swarm.analysis.edits import Edit
from swarm.analysis.index import AppObject, Function, Index
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.answering.behind_the_answer import Work, waited_work
from swarm.rules.answering.durably import as_function, handed_over, verbs_for, with_module
from swarm.rules.answering.made_anew import made_anew
from swarm.rules.answering.work_in_place import work_in_place
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Mend, Rule
from swarm.rules.writing.placing import main_app
from swarm.rules.writing.splices import is_alone

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

    It is moved only where the work is a function of a module with plain JSON data as arguments, or a method of an
    object that a module holds or that is made in place (`Pipeline().run(event)`), where it cannot
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
from fastapi import FastAPI

app = FastAPI()


class Ledger:
    def __init__(self) -> None:
        self.base = "https://ledger.example"

    async def book(self, data: dict) -> None:
        async with httpx.AsyncClient(timeout=5) as client:
            (await client.post(f"{self.base}/entries", json=data)).raise_for_status()


@app.post("/hook")
async def hook(data: dict):
    await Ledger().book(data)
    return {"status": "taken"}
""",
            """import httpx
from fastapi import FastAPI

from durable_work import DurableWork, submit

app = FastAPI()
app.add_middleware(DurableWork)


class Ledger:
    def __init__(self) -> None:
        self.base = "https://ledger.example"

    async def book(self, data: dict) -> None:
        async with httpx.AsyncClient(timeout=5) as client:
            (await client.post(f"{self.base}/entries", json=data)).raise_for_status()


async def work_of_hook(data):
    await Ledger().book(data)


@app.post("/hook")
async def hook(data: dict):
    await submit(work_of_hook, data)
    return {"status": "taken"}
""",
            "fastapi",
        ),
        Example(
            """import httpx
from fastapi import Depends, FastAPI

app = FastAPI()


class Ledger:
    async def book(self, data: dict) -> None:
        async with httpx.AsyncClient(timeout=5) as client:
            (await client.post("https://ledger.example", json=data)).raise_for_status()


@app.post("/hook")
async def hook(data: dict, ledger: Ledger = Depends(Ledger)):
    await ledger.book(data)
    return {"status": "taken"}
""",
            """import httpx
from fastapi import Depends, FastAPI

from durable_work import DurableWork, submit

app = FastAPI()
app.add_middleware(DurableWork)


class Ledger:
    async def book(self, data: dict) -> None:
        async with httpx.AsyncClient(timeout=5) as client:
            (await client.post("https://ledger.example", json=data)).raise_for_status()


async def work_of_hook(data):
    ledger = Ledger()
    await ledger.book(data)


@app.post("/hook")
async def hook(data: dict, ledger: Ledger = Depends(Ledger)):
    await submit(work_of_hook, data)
    return {"status": "taken"}
""",
            "fastapi",
        ),
        Example(  # it stands in the handler itself
            """import requests
from flask import Flask, request

app = Flask(__name__)


@app.post("/webhook")
def hook():
    answer = requests.post("https://chat.example/messages", json={"text": request.json["text"]}, timeout=5)
    answer.raise_for_status()
    return "ok"
""",
            None,
            "flask",
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
        told: set[Function] = set()
        for work in waited_work(index):
            told.add(work.route.function)
            yield self._finding(work, app)
        for found in work_in_place(index, told):
            yield self.finding(
                found.handler.module, found.statement,
                evidence=f"{found.handler.qualname} waits for {found.called}, and answers without what comes of it",
                recommendation=f"{_ADVICE}. Not done by itself here: it stands in the handler, not in a function",
                anchor=f"{found.handler.qualname}:{found.called}", mendable=False, severity="low",
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
        names = verbs_for(module, [work.route.function for work in works])
        edits = [edit for work in works for edit in _moved(index, module, work, names)]
        changes = with_module(index, app, module, edits, names)
        return Mend(
            "Answer before the work, and do it durably",
            "The answer does not depend on this work. It is written to disk with fsync before the answer (about a "
            "millisecond), done behind it, taken up again after a crash, and kept with its error where it fails. "
            "DURABLE_WORK=0 turns it off; DURABLE_WORK_PATH is a file that must outlive the process.",
            changes,
        )


def _moved(index: Index, module: Module, work: Work, names: dict[str, str]) -> list[Edit]:
    handler = work.route.function
    first, last = work.steps[0], work.steps[-1]
    span = module.span(first.statement)[0], module.span(last.statement)[1]
    if len(work.steps) == 1 and not first.function.class_name:
        return [handed_over(module, handler, span, first.callee, first.arguments, names)]
    body = module.text[module.line_start(first.statement.lineno) : span[1]]
    uses = [step.statement.value for step in work.steps if isinstance(step.statement, ast.Expr | ast.Assign)]
    made = made_anew(index, handler)
    return as_function(module, handler, span, body, uses, names, is_async=handler.is_async, made=made)
