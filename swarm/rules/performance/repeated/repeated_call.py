"""The same read of an upstream or a table twice in one function."""

from __future__ import annotations

from collections.abc import Iterable

from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.facts.request_code import request_functions
from swarm.rules.facts.same_questions import asked_again, asked_inside
from swarm.rules.rule import Example, Rule


class RepeatedCall(Rule):
    """One request asks an upstream or the database the same question twice, and nothing was written in between.

    Why: the second answer is the first one again, for the price of another wait. Example: `await client.get(url)`
    to look at the status, and once more for the body.

    What to do: keep the first answer in a variable. No patch is written: an answer that changed in between may be
    what is waited for.
    """

    id = "repeated-call"
    category = "performance"
    severity = "low"
    title = "The same is asked twice in one request"
    bad = (
        Example(
            """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(timeout=5)


@app.get("/owner/{key}")
async def owner(key: str):
    if (await client.get(f"https://people.example/{key}")).status_code == 404:
        return {}
    answer = await client.get(f"https://people.example/{key}")
    return answer.json()
""",
            None,
            "fastapi",
        ),
        Example(
            """import requests
from flask import Flask

app = Flask(__name__)


def person(key):
    return requests.get("https://people.example", params={"id": key}, timeout=5).json()


@app.get("/card/<key>")
def card(key):
    name = person(key)["name"]
    mail = person(key)["mail"]
    return f"{name} {mail}"
""",
            None,
            "flask",
        ),
    )
    good = (
        """import asyncio

import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(timeout=5)


@app.get("/job/{key}")
async def job(key: str, other: bool):
    answer = await client.get(f"https://jobs.example/{key}")
    if answer.json()["state"] == "waiting":
        await client.post(f"https://jobs.example/{key}/start")
        answer = await client.get(f"https://jobs.example/{key}")
    if other:
        found = await client.get("https://a.example")
    else:
        found = await client.get("https://a.example")
    key = answer.json()["next"]
    following = await client.get(f"https://jobs.example/{key}")
    await asyncio.sleep(1)
    again = await client.get(f"https://jobs.example/{key}")
    return [found.json(), following.json(), again.json()]
""",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """The second of two reads alike, where the first is sure to have been made and nothing came between."""
        for function in request_functions(index):
            for call, text in asked_inside(index, function):
                yield self.finding(
                    function.module, call,
                    evidence=f"{function.qualname} asks twice, once by {unparsed(call.func)}: {text[:100]}",
                    recommendation="Keep the first answer in a variable, and hand it on",
                    anchor=f"{function.qualname}:{text[:100]}:inside",
                    mendable=False,
                )  # fmt: skip
            for call in asked_again(index, function):
                text = " ".join(unparsed(call).split())[:100]
                yield self.finding(
                    function.module, call,
                    evidence=f"{function.qualname} asks twice: {text}",
                    recommendation="Keep the first answer in a variable",
                    anchor=f"{function.qualname}:{text}",
                    mendable=False,
                )  # fmt: skip
