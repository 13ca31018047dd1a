"""Webhooks that do their work again for an event that was delivered twice."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping

from swarm.analysis.databases.tables import Table, tables_of
from swarm.analysis.effects import HttpCall, SqlCall, effects_cache
from swarm.analysis.index import Function, Index, Route
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.outgoing.model_calls import asks_model
from swarm.core.findings import Finding
from swarm.rules.answering.behind_the_answer import OWN_MODULE
from swarm.rules.rule import Example, Rule
from swarm.rules.security.guards.remembered_deliveries import claims_or_looks
from swarm.rules.writing.middlewares import is_installed

INSERT = re.compile(r"^\s*INSERT\s+INTO\s+[\"`]?(\w+)", re.IGNORECASE)
REPEATABLE = re.compile(r"ON\s+CONFLICT|ON\s+DUPLICATE|INSERT\s+OR|WHERE\s+NOT\s+EXISTS", re.IGNORECASE)
REMEMBERS = re.compile(r"idempot|dedup|duplicate|already|seen|processed_events|event_exists|once", re.IGNORECASE)
RELATIVE = re.compile(r"\bSET\b.*?\b(\w+)\s*=\s*(?:\w+\.)?\1\s*[-+]", re.IGNORECASE | re.DOTALL)
QUESTION = re.compile(r"search|query|token|auth|login|graphql|score|predict|check|verify|look", re.IGNORECASE)
WEBHOOK = re.compile(r"hook|event|callback|notif|inbound|ingest", re.IGNORECASE)


class RepeatedWork(Rule):
    """A webhook inserts rows or calls other services, and nothing remembers which events were handled.

    Why: every sender of webhooks delivers some events twice (after a timeout, a restart, an answer lost on the
    way), and the second delivery then books, mails or charges again. Example: a handler that runs
    `INSERT INTO events …` and a POST with no look for the event's id.

    No mend of its own: where signatures are checked and the code shows where a delivery's id stands, the rule
    no-replay-protection mends it. Elsewhere which field is the event's id, how long it is remembered, and what the
    second delivery is answered are decisions. The usual way: a UNIQUE column for the id, `INSERT … ON CONFLICT DO
    NOTHING` first, and the work only where a row was inserted; an `Idempotency-Key` made of the same id for outgoing
    calls.
    """

    id = "repeated-work"
    category = "api"
    severity = "medium"
    title = "An event that is delivered twice is handled twice"
    cwe = ("CWE-837",)
    sources = ("https://github.com/standard-webhooks/standard-webhooks",)
    bad = (
        Example(
            """import sqlite3

import requests
from flask import Flask, request

app = Flask(__name__)


@app.post("/hooks/paid")
def paid():
    event = request.get_json()
    conn = sqlite3.connect("shop.db")
    conn.execute("INSERT INTO payments (order_id, amount) VALUES (?, ?)", (event["order"], event["amount"]))
    conn.commit()
    requests.post("https://mail.example/send", json=event, timeout=3)
    return "", 204
""",
            None,
            "flask",
        ),
    )
    good = (
        """import sqlite3

from flask import Flask, request

app = Flask(__name__)


@app.post("/hooks/paid")
def paid():
    event = request.get_json()
    conn = sqlite3.connect("shop.db")
    conn.execute("INSERT INTO payments (event_id) VALUES (?) ON CONFLICT DO NOTHING", (event["id"],))
    return "", 204


@app.get("/hooks/list")
def listed():
    return [tuple(row) for row in sqlite3.connect("shop.db").execute("SELECT * FROM payments")]


@app.post("/orders")
def new_order():
    sqlite3.connect("shop.db").execute("INSERT INTO orders (title) VALUES (?)", (request.form["title"],))
    return "", 201
""",
        """import requests
from fastapi import FastAPI

app = FastAPI()


class Desk:
    def ticket(self, number):
        return requests.get(f"https://desk.example/tickets/{number}", timeout=5).json()

    def note(self, number, text):
        requests.post(f"https://desk.example/tickets/{number}/notes", json={"text": text}, timeout=5)


@app.post("/webhook")
def hook(event: dict):
    return {"title": Desk().ticket(event["number"])["title"]}
""",
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """Every POST route that looks like a webhook, does work that counts, and remembers nothing."""
        if is_installed(index, "ReplayGuardMiddleware"):
            return
        tables = tables_of(index)
        for route in index.routes:
            looks = WEBHOOK.search(route.path) or WEBHOOK.search(route.function.name)
            if "POST" in route.methods and looks:
                yield from self._judge(index, route, tables)

    def _judge(self, index: Index, route: Route, tables: Mapping[str, Table]) -> Iterable[Finding]:
        inserts: list[SqlCall] = []
        posts: list[HttpCall] = []
        counted: list[SqlCall] = []
        guarded = False
        used = self._all_from(index, route.function)
        for function in used:
            if OWN_MODULE in function.module.text:
                continue  # a job's row is no effect of the event's
            if any(REMEMBERS.search(name) for name in _identifiers(function)) or claims_or_looks(index, function):
                return
            effects = effects_cache(index).of(function)
            inserts += [sql for sql in effects.sql if _adds_again(sql, tables)]
            posts += [request for request in effects.http if _makes_something(index, function, request)]
            counted += [sql for sql in effects.sql if RELATIVE.search(sql.text)]
            guarded = guarded or any(sql.verb == "INSERT" and REPEATABLE.search(sql.text) for sql in effects.sql)
        if not inserts and not guarded and (counted or posts):
            told = "changes a stored number by an amount" if counted else f"makes {len(posts)} POST calls"
            yield self.finding(
                route.function.module, route.function.node,
                evidence=f"{route.function.qualname} {told}, and nothing remembers the event",
                recommendation="Keep the event's id in a UNIQUE column and work only where it was new",
                anchor=route.function.qualname, mendable=False, confidence="medium" if counted else "low",
                severity=None if counted else "low",
            )  # fmt: skip
        if inserts:
            names = sorted({match[1] for sql in inserts if (match := INSERT.match(sql.text))})
            told = f"inserts into {', '.join(names[:4])}" + (f" and makes {len(posts)} POST calls" if posts else "")
            yield self.finding(
                route.function.module, route.function.node,
                evidence=f"{route.function.qualname} {told}, and nothing remembers the event",
                recommendation="Keep the event's id in a UNIQUE column and work only where it was new",
                anchor=route.function.qualname, mendable=False, confidence="medium",
            )  # fmt: skip

    def _all_from(self, index: Index, start: Function) -> list[Function]:
        """All that the handler uses, handlers in tables included."""
        seen, todo = {start: True}, [start]
        while todo:
            current = todo.pop()
            named = {node.attr for node in index.own_of(current, ast.Attribute)}
            for used in index.mentions(current):
                # who makes an object names its class, and with it methods that nobody calls here
                if used not in seen and (used.class_name is None or used.name in named or used.name == "__init__"):
                    seen[used] = True
                    todo.append(used)
            if not todo:  # handlers that a decorator puts into a table in one of these modules
                modules = {function.module for function in seen}
                todo = [f for f in index.registered if f.module in modules and f not in seen]
                seen |= dict.fromkeys(todo, True)
        return list(seen)


def _makes_something(index: Index, function: Function, request: HttpCall) -> bool:
    """Whether a POST sends data that is no question: to a model, a search, for a token."""
    if request.verb != "POST" or asks_model(index, function.module, request):
        return False
    keys = {keyword.arg for keyword in request.call.keywords}
    address = unparsed(request.call.args[0]) if request.call.args else ""
    return bool(keys & {"json", "data", "content"}) and not QUESTION.search(f"{address} {function.name}")


def _identifiers(function: Function) -> Iterable[str]:
    yield function.name
    for node in walk(function.node):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def _adds_again(sql: SqlCall, tables: Mapping[str, Table]) -> bool:
    match = INSERT.match(sql.text)
    if match is None or REPEATABLE.search(sql.text):
        return False
    table = tables.get(match[1].lower())
    named = re.search(r"\(([^)]*)\)\s*VALUES", sql.text, re.IGNORECASE)
    columns = {name.strip().lower() for name in named[1].split(",")} if named else set()
    return table is None or not (columns & table.unique)
