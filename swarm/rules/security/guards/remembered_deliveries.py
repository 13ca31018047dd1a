"""Whether the target itself remembers deliveries: a row for each id that goes in once, or a look for it before."""

from __future__ import annotations

import ast
import re

from swarm.analysis.effects import effects_cache
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import within

_ID = re.compile(
    r"\b(event|delivery|message|webhook|notification|request|msg|hook)_?ids?\b|idempotency", re.IGNORECASE
)
_ONCE = re.compile(r"INSERT\s+OR\s+IGNORE|ON\s+CONFLICT[^;]*DO\s+NOTHING|INSERT\s+IGNORE", re.IGNORECASE)
_SEEN = re.compile(r"(^|[_.])(seen|processed|handled|is_known|duplicate|dedup\w*|replayed)($|_|\b)", re.IGNORECASE)
_ID_OF = re.compile(r"(id|sid|uuid|key|nonce|reference)\b", re.IGNORECASE)
_DELIVERIES = re.compile(
    r"from\s+\w*(deliver|event|webhook|notification|message)\w*\s+where\s+\w*id\b", re.IGNORECASE
)
_AGAIN = re.compile(r"duplicat|already|\bseen\b|repeat|replay", re.IGNORECASE)
_TAKEN = re.compile(r"IntegrityError|UniqueViolation|DuplicateKey|UniqueConstraint")
_ADDED = re.compile(r"\.add\(\s*\w*(Deliver|Event|Processed|Seen|Webhook|Receipt|Idempot)\w*\(")
_METHODS = frozenset({"on_conflict_do_nothing", "setnx"})


def claims_deliveries(index: Index) -> bool:
    """Whether code on a request's path claims a delivery's id, or looks for it before it goes on.

    To claim it is an insert that adds it once, or Redis' SET with NX.

    What follows where the id was there already is the code's own matter; a live probe sends one twice.
    """
    return any(claims_or_looks(index, function) for function in index.reachable())


def claims_or_looks(index: Index, function: Function) -> bool:
    """The same of one function."""
    return _claims(index, function) or _looks_first(index, function)


def _claims(index: Index, function: Function) -> bool:
    inserts = any(_ONCE.search(sql.text) and _ID.search(sql.text) for sql in effects_cache(index).of(function).sql)
    claims = (
        inserts or _refuses_second(index, function) or any(_claims_by_call(call) for call in index.calls(function))
    )
    text = function.module.segment(function.node)
    return claims and (_ID.search(text) is not None or _ADDED.search(text) is not None)


def _refuses_second(index: Index, function: Function) -> bool:
    """`except IntegrityError:` around an insert of a delivery's id: the second one is told by the database."""
    text = function.module.segment
    is_added = _ADDED.search(text(function.node)) is not None
    return any(
        handler.type is not None and _TAKEN.search(unparsed(handler.type))
        and (is_added or any(_ID.search(text(statement)) for statement in tried.body))
        for tried in index.own_of(function, ast.Try) for handler in tried.handlers
    )  # fmt: skip


def _claims_by_call(call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute):
        return False
    only_new = any(
        word.arg == "nx" and isinstance(word.value, ast.Constant) and word.value.value is True
        for word in call.keywords
    )
    return call.func.attr in _METHODS or (call.func.attr == "set" and only_new)


def _looks_first(index: Index, function: Function) -> bool:
    """`if event["id"] in seen: return`, `if self.payments.seen(event_id): return`: kept beyond one request."""
    leaving = [node for node in index.own_of(function, ast.If) if isinstance(node.body[-1], ast.Return | ast.Raise)]
    if not leaving:
        return False
    own = {node.id for node in index.own_of(function, ast.Name) if isinstance(node.ctx, ast.Store)}
    return any(
        _answers_again(function, node)
        or any(_asks_of_seen(part, own) for part in within(node.test, ast.Compare, ast.Call))
        for node in leaving
    )


def _answers_again(function: Function, node: ast.If) -> bool:
    """`if await connection.fetchval("SELECT 1 FROM deliveries …", delivery): return {"status": "duplicate"}`."""
    asked = [ask for ask in within(node.test, ast.Call) if ask.args or ask.keywords]
    if isinstance(node.test, ast.Name):  # what was found on a line before
        made = [one.value for one in within(function.node, ast.Assign)
                if any(isinstance(to, ast.Name) and to.id == node.test.id for to in one.targets)]  # fmt: skip
        asked += [ask for value in made for ask in within(value, ast.Call) if ask.args or ask.keywords]
    by_id = any(_ID.search(unparsed(ask)) or _DELIVERIES.search(unparsed(ask)) for ask in asked)
    return by_id and any(_AGAIN.search(function.module.segment(statement)) for statement in node.body)


def _asks_of_seen(node: ast.AST, own: set[str]) -> bool:
    if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In):
        place, asked = node.comparators[0], unparsed(node.left)
        if isinstance(place, ast.Name) and place.id in own:
            return False  # of this request alone
        return _SEEN.search(unparsed(place)) is not None and _ID_OF.search(asked) is not None
    if isinstance(node, ast.Call) and (node.args or node.keywords):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        asked = " ".join(unparsed(value) for value in [*node.args, *(word.value for word in node.keywords)])
        return _SEEN.search(name) is not None and _ID_OF.search(asked) is not None
    return False
