"""Blocking calls of other services that wait one after the other though neither needs the other's answer."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from swarm.analysis.edits import Edit
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.facts.independence import Step, independent_runs
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.writing.splices import arguments_text, free_name, import_from, is_alone


class SequentialRequests(Rule):
    """In sync code two calls of other services follow each other, and the second does not use the first's answer.

    Why: their times add up; side by side the request takes as long as the slowest. Example: a parcel's position
    from one service, then the customer's wishes from another.

    The mend: both run in a `ThreadPoolExecutor` of their own, and the answers are taken in the old order, so the
    first error is the one that is raised. Only calls that read over HTTP (at most one asks another host a
    question by POST). Never where what they call touches a database, changes shared objects, or uses what belongs
    to the request's thread (`flask.request`, `current_app`, `g`).
    """

    id = "sequential-requests"
    category = "performance"
    severity = "high"
    order = 20
    title = "Independent blocking calls run one after the other"
    sources = ("https://docs.python.org/3/library/concurrent.futures.html#threadpoolexecutor",)
    bad = (
        Example(
            """import requests
from flask import Flask, request

app = Flask(__name__)


@app.post("/hook")
def hook():
    key = request.get_json()["id"]
    person: dict = requests.get(f"https://people.example/{key}", timeout=2).json()
    score = requests.get(f"https://scores.example/{key}", timeout=2).json()["score"]
    return person | {"score": score}
""",
            """from concurrent.futures import ThreadPoolExecutor

import requests
from flask import Flask, request

app = Flask(__name__)


@app.post("/hook")
def hook():
    key = request.get_json()["id"]
    with ThreadPoolExecutor(max_workers=2) as pool:
        person_call = pool.submit(requests.get, f"https://people.example/{key}", timeout=2)
        score_call = pool.submit(requests.get, f"https://scores.example/{key}", timeout=2)
    person: dict = person_call.result().json()
    score = score_call.result().json()["score"]
    return person | {"score": score}
""",
            "flask",
        ),
        Example(
            """import requests
from flask import Flask, request

app = Flask(__name__)


def position(parcel):
    return requests.get(f"https://couriers.example/{parcel}", timeout=2).json()


def wishes(customer):
    return requests.get(f"https://customers.example/{customer}", timeout=2).json()


@app.post("/hook")
def hook():
    event = request.get_json()
    where = position(event["parcel"])
    wanted = wishes(event["customer"])
    return {"where": where, "wanted": wanted}
""",
            """from concurrent.futures import ThreadPoolExecutor

import requests
from flask import Flask, request

app = Flask(__name__)


def position(parcel):
    return requests.get(f"https://couriers.example/{parcel}", timeout=2).json()


def wishes(customer):
    return requests.get(f"https://customers.example/{customer}", timeout=2).json()


@app.post("/hook")
def hook():
    event = request.get_json()
    with ThreadPoolExecutor(max_workers=2) as pool:
        where_call = pool.submit(position, event["parcel"])
        wanted_call = pool.submit(wishes, event["customer"])
    where = where_call.result()
    wanted = wanted_call.result()
    return {"where": where, "wanted": wanted}
""",
            "flask",
        ),
    )
    good = (
        """import requests
from flask import Flask, current_app, request

app = Flask(__name__)


def position(parcel):
    return requests.get(current_app.config["COURIERS"] + parcel, timeout=2).json()


def wishes(customer):
    return requests.get(f"https://customers.example/{customer}", timeout=2).json()


def mail(text):
    return requests.put("https://mail.example", data=text, timeout=2)


@app.post("/hook")
def hook():
    where = position(request.json["parcel"])
    wanted = wishes(where["customer"])
    sent = mail("x")
    again = wishes(2)
    return {"where": where, "wanted": wanted, "sent": sent.ok, "again": again}
""",
        """from functools import lru_cache

import requests
from flask import Flask

app = Flask(__name__)


@lru_cache
def people():
    return requests.get("https://people.example", timeout=2).json()


def is_member(name):
    return name in people()


def is_bot(name):
    return people().get(name) == "bot"


@app.post("/hook/<name>")
def hook(name):
    member = is_member(name)
    bot = is_bot(name)
    return {"member": member, "bot": bot}
""",
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """Every run of independent blocking calls in sync functions on a request's path."""
        for function in index.functions_on_path:
            if not function.is_async and not index.on_event_loop(function):
                for run in independent_runs(index, function):
                    yield self._finding(function, run)

    def _finding(self, function: Function, run: list[Step]) -> Finding:
        names = " and ".join(unparsed(step.call.func) for step in run)
        place = ast.Pass(lineno=run[0].statement.lineno, end_lineno=run[-1].statement.end_lineno, col_offset=0)
        return self.finding(
            function.module, place,
            evidence=f"{names} wait one after the other in {function.qualname}; none uses another's answer",
            recommendation="Run them side by side in a ThreadPoolExecutor",
            anchor=f"{function.qualname}:{names}",
            mendable=all(is_alone(function.module, step.statement) for step in run),
        )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Run the calls of the findings side by side."""
        module = index.tree.modules[findings[0].file]
        wanted = {finding.id for finding in findings}
        pool, imported = import_from(module, "concurrent.futures", "ThreadPoolExecutor")
        edits = [imported] if imported else []
        for function in index.functions:
            if function.module is module and not function.is_async:
                runs = [run for run in independent_runs(index, function) if self._finding(function, run).id in wanted]
                edits += [_side_by_side(module, run, pool) for run in runs]
        return Mend(
            "Run independent blocking calls side by side",
            "The calls only read (at most one asks another service a question) and none uses another's answer: side "
            "by side they take as long as the slowest. Errors are raised in the old order.",
            (edited(module, edits),),
        )


def _side_by_side(module: Module, run: list[Step], executor: str) -> Edit:
    indent = module.indent(run[0].statement)
    start, end = module.span(run[0].statement)[0], module.span(run[-1].statement)[1]
    pool = free_name(module, "pool")
    lines = [f"with {executor}(max_workers={len(run)}) as {pool}:"]
    results = []
    previous_end = start
    for step in run:
        gap = module.text[previous_end : module.span(step.statement)[0]]
        lines += [f"{indent}    {part.strip()}" for part in gap.split("\n") if part.strip()]
        previous_end = module.span(step.statement)[1]
        name = free_name(module, f"{step.target}_call")
        given = arguments_text(module, step.call)
        callee = module.segment(step.call.func)
        separator = "" if not given.strip() else ("," if given.startswith("\n") else ", ")
        text = f"{pool}.submit({callee}{separator}{given})".replace("\n", "\n    ")
        lines.append(f"{indent}    {name} = {text}")
        results.append(f"{indent}{step.binding(module)}{name}.result(){step.tail(module)}")
    return Edit(start, end, "\n".join([*lines, *results]))
