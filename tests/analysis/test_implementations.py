"""Calls that lead elsewhere than their names say: promises, partials, objects that are called, what is handed in."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.analysis.databases.handed_statements import handed_statement
from swarm.analysis.effects import effects_cache
from swarm.analysis.index import Function, Index
from swarm.analysis.outgoing.handed_requests import requests_of
from tests.analysis.trees import index_of

PROMISES = """from abc import ABC, abstractmethod
from typing import Protocol

import httpx


class Carrier(Protocol):
    def state(self, key): ...


class Parcels:
    def __init__(self):
        self.http = httpx.Client()

    def state(self, key):
        return self.http.get(f"http://parcels/{key}")


class Store(ABC):
    @abstractmethod
    def load(self, key): ...

    def twice(self, key):
        return [self.load(key), self.load(key)]


class Files(Store):
    def load(self, key):
        return open(key)


class Empty:
    def load(self, key):
        pass


class Full(Empty):
    def load(self, key):
        return key


def where(carrier: Carrier, key):
    return carrier.state(key)


def nothing(empty: Empty):
    return empty.load(1)
"""
WRAPPERS = """import functools
import sqlite3

import requests


def rows(sql, values=()):
    with sqlite3.connect("a.db") as db:
        return db.execute(sql, values).fetchall()


def one(sql, *values):
    return rows(sql, values)[0]


def order(key):
    return one("SELECT * FROM orders WHERE id = ?", key)


def anything(text):
    return rows(text.strip())


class Api:
    def __init__(self):
        self.session = requests.Session()

    def _send(self, method, path, **options):
        options.setdefault("timeout", 5)
        return self.session.request(method, "http://api" + path, **options)

    def __call__(self, path):
        return self._send("GET", path)

    def save(self, path):
        return self._send("put", path)


api = Api()
plans = functools.partial(api, "/plans")
fetch = functools.partial(requests.get, timeout=5)


def read():
    return api("/plans")


def write():
    return api.save("/plans")


def both():
    return plans_of("a"), fetch("http://api")


def plans_of_(kind, key):
    return fetch(kind + key)


plans_of = functools.partial(plans_of_, "team")
"""


def function(index: Index, name: str) -> Function:
    return next(one for one in index.functions if one.qualname == name)


@pytest.mark.parametrize(
    ("caller", "callee"), [("where", "Parcels.state"), ("Store.twice", "Files.load"), ("nothing", "Empty.load")]
)
def test_a_promise_is_kept_by_the_one_class_that_does_the_work(tmp_path: Path, caller: str, callee: str) -> None:
    index = index_of(tmp_path, {"app.py": PROMISES})
    assert {one.qualname for one in index.callees(function(index, caller))} == {callee}


def test_several_implementations_leave_it_open(tmp_path: Path) -> None:
    other = "\n\nclass Letters:\n    def state(self, key):\n        return key\n"
    index = index_of(tmp_path, {"app.py": PROMISES + other})
    assert {one.qualname for one in index.callees(function(index, "where"))} == {"Carrier.state"}


def test_a_statement_belongs_to_who_wrote_it(tmp_path: Path) -> None:
    index = index_of(tmp_path, {"app.py": WRAPPERS})
    asking = function(index, "order")
    (call,) = index.calls(asking)
    found = handed_statement(index, asking.module, call)
    assert found is not None and (found.verb, found.tables) == ("SELECT", {"orders"})
    effects = dict(effects_cache(index).reached(asking))
    assert [sql.tables for sql in effects[asking].sql] == [{"orders"}]
    assert effects_cache(index).of(function(index, "rows")).unknown_database  # `anything` hands it who knows what


def test_a_wrapper_is_known_where_each_caller_is(tmp_path: Path) -> None:
    index = index_of(tmp_path, {"app.py": WRAPPERS.replace("text.strip()", "'SELECT 1'")})
    assert not effects_cache(index).of(function(index, "rows")).unknown_database


@pytest.mark.parametrize(("name", "verb"), [("read", "GET"), ("write", "PUT")])
def test_a_verb_that_is_handed_on_is_the_caller_s(tmp_path: Path, name: str, verb: str) -> None:
    index = index_of(tmp_path, {"app.py": WRAPPERS})
    asking = function(index, name)
    (call,) = index.calls(asking)
    assert [request.verb for _, request in requests_of(index, asking.module, call)] == [verb]


def test_a_partial_runs_what_it_was_made_of(tmp_path: Path) -> None:
    index = index_of(tmp_path, {"app.py": WRAPPERS})
    asking = function(index, "both")
    assert {one.qualname for one in index.callees(asking)} == {"plans_of_"}
    assert [request.verb for request in effects_cache(index).of(asking).http] == ["GET"]
