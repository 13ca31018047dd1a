"""Whether the target itself remembers deliveries: a row that can be inserted once for each delivery's id."""

from __future__ import annotations

import ast
import re

from swarm.analysis.effects import effects_cache
from swarm.analysis.index import Function, Index

_ID = re.compile(
    r"\b(event|delivery|message|webhook|notification|request|msg|hook)_?ids?\b|idempotency", re.IGNORECASE
)
_ONCE = re.compile(r"INSERT\s+OR\s+IGNORE|ON\s+CONFLICT[^;]*DO\s+NOTHING|INSERT\s+IGNORE", re.IGNORECASE)
_METHODS = frozenset({"on_conflict_do_nothing", "setnx"})


def claims_deliveries(index: Index) -> bool:
    """Whether code on a request's path claims a delivery's id: an insert that adds it once, Redis' SET with NX.

    What follows where the id was there already is the code's own matter; a live probe sends one twice.
    """
    return any(_claims(index, function) for function in index.reachable())


def _claims(index: Index, function: Function) -> bool:
    if not _ID.search(function.module.segment(function.node)):
        return False
    if any(_ONCE.search(sql.text) and _ID.search(sql.text) for sql in effects_cache(index).of(function).sql):
        return True
    return any(_claims_by_call(call) for call in index.calls(function))


def _claims_by_call(call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute):
        return False
    only_new = any(
        word.arg == "nx" and isinstance(word.value, ast.Constant) and word.value.value is True
        for word in call.keywords
    )
    return call.func.attr in _METHODS or (call.func.attr == "set" and only_new)
