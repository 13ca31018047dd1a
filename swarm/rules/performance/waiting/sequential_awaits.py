"""Awaits that wait one after the other though neither needs the other's answer."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from itertools import pairwise

from swarm.analysis.edits import Edit
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.facts.independence import Step, independent_runs
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.writing.splices import WIDTH, free_name, import_as, is_alone


class SequentialAwaits(Rule):
    """Two awaited calls follow each other, and the second does not use what the first gave.

    Why: each waits for the network or the database; one after the other their times add up, together the
    request takes as long as the slowest. Example: a profile and the settings of one user, from two services.

    The mend: `a, b = await asyncio.gather(f(), g())`. All of them must be known to only read: requests by their
    verb, questions to a model's API, functions that open a database session of their own and only select. One
    among them may be another outgoing question (a POST that computes an answer, say a score), to another host
    than the others. A plain assignment between two of them moves in front. Never together: two calls that may
    write, calls that share a database session, that change objects they were given, or whose arguments are
    computed by calls. If one fails, the other is not cut short, as it would not
    have begun before: it is a read. The first error is raised, as before.
    """

    id = "sequential-awaits"
    category = "performance"
    severity = "high"
    order = 20
    title = "Independent awaits run one after the other"
    sources = ("https://docs.python.org/3/library/asyncio-task.html#asyncio.gather",)
    bad = (
        Example(
            """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(timeout=5)


@app.post("/hook")
async def hook(event: dict):
    person: dict = (await client.get(f"https://people.example/{event['id']}")).json()
    score = (await client.get(f"https://scores.example/{event['id']}")).json()["score"]
    return person | {"score": score}
""",
            """import asyncio

import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(timeout=5)


@app.post("/hook")
async def hook(event: dict):
    person_answer, score_answer = await asyncio.gather(
        client.get(f"https://people.example/{event['id']}"),
        client.get(f"https://scores.example/{event['id']}"),
    )
    person: dict = person_answer.json()
    score = score_answer.json()["score"]
    return person | {"score": score}
""",
            "fastapi",
        ),
        Example(
            """import asyncio

import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient()


async def profile(user):
    return (await client.get(f"https://people.example/{user}")).json()


async def plan(user):
    return (await client.get(f"https://billing.example/{user}")).json()


@app.get("/summary/{user}")
async def summary(user: str):
    person = await profile(user)
    # what they pay for
    paid = await plan(user)
    return {"person": person, "paid": paid}
""",
            """import asyncio

import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient()


async def profile(user):
    return (await client.get(f"https://people.example/{user}")).json()


async def plan(user):
    return (await client.get(f"https://billing.example/{user}")).json()


@app.get("/summary/{user}")
async def summary(user: str):
    person, paid = await asyncio.gather(
        profile(user),
        # what they pay for
        plan(user),
    )
    return {"person": person, "paid": paid}
""",
            "fastapi",
        ),
        Example(
            """import httpx
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

http = httpx.AsyncClient()


async def hook(request):
    stock = await http.get("https://stock.example/items")
    prices = await http.get("https://prices.example/items")
    return JSONResponse({"stock": stock.json(), "prices": prices.json()})


app = Starlette(routes=[Route("/hook", hook, methods=["POST"])])
""",
            """import asyncio

import httpx
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

http = httpx.AsyncClient()


async def hook(request):
    stock, prices = await asyncio.gather(
        http.get("https://stock.example/items"),
        http.get("https://prices.example/items"),
    )
    return JSONResponse({"stock": stock.json(), "prices": prices.json()})


app = Starlette(routes=[Route("/hook", hook, methods=["POST"])])
""",
            "starlette",
        ),
    )
    good = (
        """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient()


@app.post("/hook")
async def hook():
    account = await client.get("https://a.example/account")
    orders = await client.get(f"https://a.example/orders/{account.text}")
    await client.put("https://a.example/a", json={})
    await client.put("https://b.example/b", json={})
    return orders.json()
""",
        """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient()


async def save_order(order):
    return await client.post("https://shop.example/orders", json=order)


async def check_owner(order):
    return await client.get(f"https://people.example/{order}")


@app.get("/guarded")
async def guarded(order: str):
    owner = await check_owner(order)
    price = await client.get("https://prices.example")
    await client.get("https://warm.example")
    return owner.json() | price.json()


@app.post("/hook")
async def hook(order: dict):
    saved = await save_order(order)
    listed = await client.get("https://shop.example/orders")
    return saved.json() | listed.json()
""",
        """from fastapi import Depends, FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

app = FastAPI()


async def users(session):
    return await session.execute("select 1")


async def orders(session):
    return await session.execute("select 2")


@app.get("/both")
async def both(session: AsyncSession = Depends()):
    first = await users(session)
    second = await orders(session)
    return [first, second]
""",
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """Every run of independent awaits in functions on a request's path."""
        for function in index.functions_on_path:
            if function.is_async:
                for run in independent_runs(index, function):
                    yield self._finding(function, run)

    def _finding(self, function: Function, run: list[Step]) -> Finding:
        module = function.module
        names = " and ".join(unparsed(step.call.func) for step in run)
        place = ast.Pass(lineno=run[0].statement.lineno, end_lineno=run[-1].statement.end_lineno, col_offset=0)
        of_redis = all(step.of_redis for step in run)  # a fraction of a millisecond each, and there is a better way
        alone = all(is_alone(module, part) for step in run for part in (step.statement, *step.before))
        return self.finding(
            module, place,
            evidence=f"{names} are awaited one after the other in {function.qualname}; none uses another's answer",
            recommendation="Ask Redis once: MGET, or a pipeline" if of_redis else
            "Await them together with asyncio.gather",
            anchor=f"{function.qualname}:{names}",
            mendable=alone and not of_redis,
            severity="low" if of_redis else None,
        )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Gather every run that the findings name."""
        module = index.tree.modules[findings[0].file]
        wanted = {finding.id for finding in findings}
        name, imported = import_as(module, "asyncio")
        edits = [imported] if imported else []
        for function in index.functions:
            if function.module is module and function.is_async:
                runs = [run for run in independent_runs(index, function) if self._finding(function, run).id in wanted]
                edits += [_gather(module, run, name) for run in runs]
        return Mend(
            "Await independent calls together",
            "The calls only read (at most one asks another service a question) and none uses another's answer: "
            "together they take as long as the slowest. If one fails, the others are not cancelled.",
            (edited(module, edits),),
        )


def _gather(module: Module, run: list[Step], asyncio_name: str) -> Edit:
    indent = module.indent(run[0].statement)
    taken = [(step, free_name(module, f"{step.target}_answer")) for step in run if _takes_part(step)]
    named = {step.target: name for step, name in taken}
    binding = f"{', '.join(named.get(step.target, step.target) for step in run)} = "
    parts = "".join(f"\n{indent}{step.binding(module)}{name}{step.tail(module)}" for step, name in taken)
    start, end = module.span(run[0].statement)[0], module.span(run[-1].statement)[1]
    texts = [module.segment(step.call) for step in run]
    gaps = [_between(module, first, second) for first, second in pairwise(run)]
    moved = "".join(f"{module.segment(part)}\n{indent}" for step in run for part in step.before)
    line = f"{binding}await {asyncio_name}.gather({', '.join(texts)})"
    if len(indent + line) <= WIDTH and "\n" not in line and not any(part for gap in gaps for part in gap):
        return Edit(start, end, moved + line + parts)
    inner = indent + "    "
    lines = [f"{binding}await {asyncio_name}.gather("]
    for number, text in enumerate(texts):
        gap = gaps[number - 1] if number else []
        if gap and gap[0]:
            lines[-1] += "  " + gap[0]
        lines += [inner + comment for comment in gap[1:] if comment]
        lines.append(inner + text.replace("\n", "\n    ") + ",")
    return Edit(start, end, moved + "\n".join([*lines, indent + ")"]) + parts)


def _takes_part(step: Step) -> bool:
    """Whether the name is bound to a part of the answer, or declared."""
    return step.value is not None or isinstance(step.statement, ast.AnnAssign)


def _between(module: Module, first: Step, second: Step) -> list[str]:
    """The comments between two steps: behind the first on its line, then line by line."""
    end, begin = first.statement.end_lineno or first.statement.lineno, second.statement.lineno
    behind = module.text[module.span(first.statement)[1] : module.line_start(end + 1)].strip()
    taken = {n for part in second.before for n in range(part.lineno, (part.end_lineno or part.lineno) + 1)}
    rest = [module.line(number).strip() for number in range(end + 1, begin) if number not in taken]
    return [behind, *rest] if behind or any(rest) else []
