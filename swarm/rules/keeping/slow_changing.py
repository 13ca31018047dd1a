"""Whether what is read changes seldom: no subject of events, and who writes it is known."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from swarm.analysis.added_modules import is_added
from swarm.analysis.databases.models import mentioned, models_of
from swarm.analysis.effects import SqlCall, effects_cache, http_call
from swarm.analysis.index import Function, Index
from swarm.analysis.module import walk
from swarm.analysis.outgoing.handed_requests import requests_of
from swarm.analysis.source import parameters
from swarm.rules.facts.independence import GUARD_WORDS
from swarm.rules.keeping.known_reads import Reads, url_path

# what events are about, what must be true right now, and what decides whether something may be done
LIVE_WORDS = frozenset({
    "account", "activity", "alert", "answer", "appointment", "attempt", "audit", "balance", "booking", "budget",
    "call", "campaign", "cart", "charge", "chat", "checkpoint", "client", "comment", "consent", "contact",
    "conversation", "counter", "credit", "current", "customer", "cursor", "deal", "delivery", "device", "dialog",
    "email", "event", "execution", "flight", "health", "history", "inbox", "inventory", "invoice", "issue", "job",
    "last", "latest", "lead", "ledger", "level", "lock", "log", "match", "meeting", "member", "membership", "message",
    "metric", "new", "next", "nonce", "notification", "now", "offset", "opportunity", "order", "outbox", "parcel",
    "patient", "payment", "pending", "person", "position", "presence", "profile", "progress", "quota", "queue",
    "recent", "recipient", "record", "refund", "reminder", "request", "reservation", "run", "score", "sequence",
    "session", "shipment", "state", "stats", "status", "stock", "submission", "subscriber", "subscription", "task",
    "thread", "ticket", "today", "total", "tracking", "transaction", "turn", "unread", "usage", "user", "visit",
    "wallet", "webhook",
    "banned", "blocked", "blocklist", "denylist", "allowlist", "whitelist", "blacklist", "key", "optout",
    "password", "role", "secret", "suppressed", "suppression", "credential", "otp", "dnd", "idempotency", "seen",
    "processed", "duplicate", "exists", "permission", "token", "grant",
})  # fmt: skip
DECIDING_PREFIXES = ("is_", "has_", "can_", "may_", "should_", "in_", "must_", "exists_", "count_")
REFERENCE_WORDS = frozenset({
    "setting", "config", "configuration", "customfield", "customvalue", "pipeline", "stage", "calendar", "template",
    "location", "tenant", "flag", "feature", "rate", "currency", "catalog", "catalogue", "schema", "metadata",
    "definition", "reference", "timezone", "country", "region", "form", "field", "option", "plan", "category",
    "label", "translation", "locale", "rule", "policy", "workflow", "holiday", "jwk", "pricelist", "menu",
    "language", "tax", "tariff",
})  # fmt: skip
# by whose key a row is found that belongs to one of them alone
SUBJECTS = frozenset({
    "contact", "customer", "user", "lead", "member", "patient", "person", "subscriber", "order", "ticket",
    "conversation", "device", "session", "invoice", "payment", "recipient", "guest", "employee", "deal", "thread",
    "opportunity", "appointment", "email", "phone",
})  # fmt: skip
COMPARED = re.compile(r"[\"`\[]?(\w+)[\"`\]]?\s*(?:=|\bin\b)", re.IGNORECASE)
CHANGING_INSERT = re.compile(r"on\W?conflict|on\W?duplicate|or\s+replace|\bmerge\b", re.IGNORECASE)
NO_RESOURCE = re.compile(r"^(?:v\d+(?:\.\d+)?|api|rest|\?|)$", re.IGNORECASE)


def words_of(name: str) -> frozenset[str]:
    """The words of a name in the singular: `customFields` gives custom, field and customfield."""
    parts = [part.lower() for part in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)]
    single = [_singular(part) for part in parts]
    return frozenset({*single, "".join(single)})


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def is_live(names: Iterable[str]) -> bool:
    """Whether a name speaks of what events are about."""
    return any(words_of(name) & LIVE_WORDS for name in names)


def is_found_by_subject(statement: SqlCall) -> bool:
    """Whether rows are looked up by whom or what an event is about: `WHERE contact = ?`, `Tag.order_id == key`."""
    names: set[str] = set()
    if statement.construct is None:
        names.update(COMPARED.findall(statement.text))
    for node in walk(statement.construct) if statement.construct is not None else ():
        if isinstance(node, ast.Compare):
            names |= {side.attr for side in (node.left, *node.comparators) if isinstance(side, ast.Attribute)}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "filter_by":
            names |= {keyword.arg for keyword in node.keywords if keyword.arg}
    return any(words_of(name) & SUBJECTS for name in names)


def is_deciding(function: Function) -> bool:
    """Whether the function's name says that others rely on it for what may be done."""
    name = function.name.lower().lstrip("_")
    return bool(words_of(name) & GUARD_WORDS) or name.startswith(DECIDING_PREFIXES)


def names_of(function: Function) -> list[str]:
    """The names that tell what a function is about: its own and its parameters'."""
    return [function.name, *(argument.arg for argument in parameters(function.node) if argument.arg != "self")]


@dataclass(frozen=True, slots=True)
class Writer:
    """A function on a request's path that changes rows; `tables` is None where it cannot be told which."""

    function: Function
    tables: frozenset[str] | None


def writers(index: Index) -> tuple[Writer, ...]:
    """Every function on a request's path that writes SQL itself."""
    known = index.notes.get("writers")
    if isinstance(known, tuple):
        return known
    found = []
    for function in index.reachable():
        if is_added(function.module):
            continue
        effects = effects_cache(index).of(function)
        tables: set[str] | None = set(effects.dirties)
        for statement in effects.sql:
            if statement.writes and tables is not None:
                named = _tables(index, function, statement)
                tables = None if named is None else tables | named
        if effects.unknown_database:
            tables = None
        if tables is None or tables:
            found.append(Writer(function, None if tables is None else frozenset(tables)))
    index.notes["writers"] = tuple(found)
    return tuple(found)


def _tables(index: Index, function: Function, statement: SqlCall) -> frozenset[str] | None:
    """The tables that a statement writes; where it takes them from a table of the module's, all in there."""
    if not statement.unknown_tables:
        return statement.tables
    module, models = function.module, models_of(index)
    loops = index.own_of(function, ast.For, ast.AsyncFor)
    used = {node.id for node in walk(statement.call) if isinstance(node, ast.Name)}
    for loop in loops:
        if not used & {node.id for node in walk(loop.target) if isinstance(node, ast.Name)}:
            continue
        for part in walk(loop.iter):
            if not isinstance(part, ast.Name):
                continue
            home, name = index.tree.split(index.resolve(module, part) or "", module)
            value = getattr(home.globals.get(name), "value", None) if home is not None else None
            if home is not None and isinstance(value, ast.Dict | ast.List | ast.Tuple):
                named = {model.table for model in mentioned(models, home, value)}
                if named:
                    return statement.tables | named
    return None


def writers_of(index: Index, tables: frozenset[str]) -> list[Writer]:
    """Those that may change one of these tables."""
    return [writer for writer in writers(index) if writer.tables is None or writer.tables & tables]


def is_only_added_to(index: Index, table: str) -> bool:
    """Whether requests add rows to a table and never change one: a record of what happened, longer every time."""
    adds = False
    for writer in writers_of(index, frozenset({table})):
        effects = effects_cache(index).of(writer.function)
        if table in effects.dirties:
            return False
        for statement in effects.sql:
            if statement.writes and table in statement.tables:
                if statement.verb != "INSERT" or re.search(CHANGING_INSERT, statement.text):
                    return False
                adds = True
    return adds


def is_read_without_writing(index: Index, function: Function, writing: Iterable[Function]) -> bool:
    """Whether some request reads it without also changing it: else an answer would never be asked for twice."""
    changing = set(writing)
    reachable = index.reachable()
    called = {callee for caller in reachable for callee in (*index.callees(caller), *index.handed_over(caller))}
    for start in reachable:
        if start in called:
            continue
        reached = index.reaches(start)
        if function in reached and not changing & reached:
            return True
    return False


def is_reference(index: Index, function: Function, reads: Reads) -> bool:
    """Whether its GETs fetch settings or reference data that the target itself never changes."""
    changed = _changed_resources(index)
    for asking, request in reads.gets:
        path = url_path(index, asking.module, request.call)
        resources = [part for part in (path or "").split("/") if not NO_RESOURCE.match(part)]
        if not resources or changed is None or resources[0].lower() in changed:
            return False
        if not (words_of(resources[-1]) | words_of(function.name)) & REFERENCE_WORDS:
            return False
        if words_of(resources[-1]) & LIVE_WORDS:
            return False
    return True


def _handed_paths(index: Index, function: Function) -> Iterator[list[str]]:
    """The parts of the paths that its callers hand to a function which writes to whatever it is given."""
    for module, call in index.calls_named(function.name):
        if index.resolve_call(module, call) is function:
            path = url_path(index, module, call)
            asked = requests_of(index, module, call)
            if not (asked and all(request.reads for _, request in asked)):
                yield [part for part in (path or "").split("/") if not NO_RESOURCE.match(part)]


def _changed_resources(index: Index) -> frozenset[str] | None:
    """The first part of every path that the target writes to; None where it may write to any."""
    known = index.notes.get("changed resources")
    if isinstance(known, frozenset):
        return known
    found: set[str] = set()
    for function in index.functions:
        for call in index.calls(function):
            request = http_call(index, function.module, call)
            if request is None or request.reads:
                continue
            path = url_path(index, function.module, call)
            resources = [part for part in (path or "").split("/") if not NO_RESOURCE.match(part)]
            if resources:
                found.add(resources[0].lower())
                continue
            handed = list(_handed_paths(index, function)) if path is None else []
            if request.verb == "?" and not handed:
                return None
            for named in handed:
                if not named:
                    return None
                found.add(named[0].lower())
    index.notes["changed resources"] = frozenset(found)
    return frozenset(found)
