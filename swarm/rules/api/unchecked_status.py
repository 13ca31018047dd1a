"""Answers of other services whose status nobody looks at."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

from swarm.analysis.edits import Edit
from swarm.analysis.effects import HttpCall, effects_cache, outgoing_call
from swarm.analysis.index import Function, Index
from swarm.analysis.module import walk
from swarm.analysis.outgoing.handed_requests import requests_of
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.examples import unchecked_status as examples
from swarm.rules.facts.clients import construction
from swarm.rules.rule import Mend, Rule, edited
from swarm.rules.writing.splices import after_imports, free_name, import_as, is_alone

NOTE = "functions that give answers back"
CHECKS = frozenset({
    "raise_for_status", "status_code", "ok", "is_success", "is_error", "is_client_error", "is_server_error", "status",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Place:
    """An answer that is thrown away (`name` is None) or used without a look at its status."""

    function: Function
    call: ast.Call
    verb: str
    statement: ast.stmt
    name: str | None
    mendable: bool
    item: ast.withitem | None = None  # of aiohttp's `async with`
    status: str = "status_code"


class UncheckedStatus(Rule):
    """A request's answer is thrown away, or its body is used, with no look at the status.

    Why: a 401, a 404 or a 500 then passes for success: the order that was never told to the shop, the message that
    was never sent. Example: `requests.post(url, json=order)` and nothing more.

    The mend: a warning in the log when the status is 400 or more. It raises nothing and changes no answer: whether
    a failure should fail the webhook is a decision, and the recommendation says so (`raise_for_status()`).
    Never where the answer is handed on to someone who may check it, or an event hook of the client checks it.
    """

    id = "unchecked-status"
    category = "api"
    severity = "medium"
    title = "The status of an answer is not checked"
    cwe = ("CWE-252",)
    sources = ("https://requests.readthedocs.io/en/latest/user/quickstart/#response-status-codes",)
    bad = examples.BAD
    good = examples.GOOD

    def find(self, index: Index) -> Iterable[Finding]:
        """Every unchecked answer on a request's path."""
        for function in index.functions_on_path:
            seen: dict[str, int] = {}
            for place in _places(index, function):
                yield self._finding(place, seen)

    def _finding(self, place: _Place, seen: dict[str, int]) -> Finding:
        key = f"{place.function.qualname}:{place.verb}"
        seen[key] = seen.get(key, 0) + 1
        what = "is thrown away" if place.name is None else "is used"
        return self.finding(
            place.function.module, place.call,
            evidence=f"the answer to the {place.verb} in {place.function.qualname} {what} whatever its status",
            recommendation="Call raise_for_status() where a failure should fail the webhook; else log it",
            anchor=key + (f"#{seen[key]}" if seen[key] > 1 else ""),
            mendable=place.mendable,
        )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Log the failures that the findings overlook."""
        module = index.tree.modules[findings[0].file]
        wanted = {finding.id for finding in findings}
        logger, edits = _logger(index, module)
        for function in index.functions:
            if function.module is not module:
                continue
            seen: dict[str, int] = {}
            for place in _places(index, function):
                if self._finding(place, seen).id in wanted and place.mendable:
                    edits += _log(module, place, logger)
        return Mend(
            "Log failed answers of other services",
            "A status of 400 or more leaves a warning in the log. Nothing else changes: whether it should fail the "
            "webhook is the team's decision.",
            (edited(module, edits),),
        )


def _places(index: Index, function: Function) -> Iterator[_Place]:
    module = function.module
    for call in index.calls(function):
        request = outgoing_call(index, module, call) or _by_another(index, module, call)
        if request is None or request.library == "urllib" or _has_hooks(index, module, request.owner):
            continue  # urlopen raises for a bad status by itself
        if any(keyword.arg == "raise_for_status" for keyword in call.keywords):
            continue
        if request.library == "aiohttp" and not isinstance(module.parent(call), ast.Await):
            yield from _in_context(function, request)
            continue
        outer: ast.AST = call
        around = module.parent(outer)
        if isinstance(around, ast.Lambda):  # a retrying function's argument: its result stands for the answer
            outer, around = around, module.parent(around)
            if isinstance(around, ast.Call):
                outer, around = around, module.parent(around)
        if isinstance(around, ast.Await):
            outer, around = around, module.parent(around)
        known = request.library != "urllib3"  # its answers have no `status_code` that could be logged
        if isinstance(around, ast.Expr):
            fine = known and is_alone(module, around)
            yield _Place(function, call, request.verb, around, None, fine, status=_status_of(request))
        elif isinstance(around, ast.Assign) and isinstance(around.targets[0], ast.Name):
            name = around.targets[0].id
            if _is_overlooked(module, function, name):
                fine = known and is_alone(module, around) and len(around.targets) == 1
                yield _Place(function, call, request.verb, around, name, fine, status=_status_of(request))
        elif isinstance(around, ast.Attribute) and around.attr in ("json", "text", "content"):
            yield _Place(function, call, request.verb, module.statement(call), "", False)


def _status_of(request: HttpCall) -> str:
    return "status" if request.library == "aiohttp" else "status_code"


def _by_another(index: Index, module: Module, call: ast.Call) -> HttpCall | None:
    """The request of a function of the target's that gives its answer back as it came: `self._call("GET", path)`."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    function = index.resolve_call(module, call) if name in _giving_answers(index) else None
    asked = _giving_answers(index)[name].get(function) if function is not None else None
    found = [one for _, one in requests_of(index, module, call)] if asked is not None else []
    return replace(found[0], call=call, owner=None) if asked is not None and len(found) == 1 else None


def _giving_answers(index: Index) -> dict[str, dict[Function, HttpCall]]:
    """By name the functions whose one request's answer is all that they give, unseen by them."""
    if NOTE not in index.notes:
        found: dict[str, dict[Function, HttpCall]] = {}
        for function in index.functions_on_path:
            asked = effects_cache(index).of(function).http
            given = [node.value for node in index.own_of(function, ast.Return) if node.value is not None]
            values = [value.value if isinstance(value, ast.Await) else value for value in given]
            if len(asked) == 1 and values == [asked[0].call] and asked[0].library in ("httpx", "requests") \
                    and not _has_hooks(index, function.module, asked[0].owner):  # fmt: skip
                found.setdefault(function.name, {})[function] = asked[0]
        index.notes[NOTE] = found
    return cast("dict[str, dict[Function, HttpCall]]", index.notes[NOTE])


def _in_context(function: Function, request: HttpCall) -> Iterator[_Place]:
    """`async with session.put(…):` and `… as reply:` where nothing asks the reply for its status (aiohttp)."""
    module = function.module
    item, statement = module.parent(request.call), module.statement(request.call)
    if isinstance(item, ast.Lambda):  # a retrying function's argument
        retrying = module.parent(item)
        item = module.parent(retrying) if retrying is not None else None
    if not isinstance(item, ast.withitem) or not isinstance(statement, ast.AsyncWith):
        return
    fine = len(statement.items) == 1 and statement.body[0].lineno > (item.context_expr.end_lineno or 0)
    if item.optional_vars is None:
        yield _Place(function, request.call, request.verb, statement, None, fine, item)
    elif isinstance(item.optional_vars, ast.Name) and _is_overlooked(module, function, item.optional_vars.id):
        yield _Place(function, request.call, request.verb, statement, item.optional_vars.id, fine, item)


def _is_overlooked(module: Module, function: Function, name: str) -> bool:
    """Whether the answer is used, but never checked and never given to anyone who could."""
    used = False
    for node in walk(function.node):
        if not isinstance(node, ast.Name) or node.id != name or isinstance(node.ctx, ast.Store):
            continue
        parent = module.parent(node)
        if not isinstance(parent, ast.Attribute):
            return False
        if parent.attr in CHECKS and not _asks_for_one(module, parent):
            return False
        used = used or parent.attr not in CHECKS
    return used


def _asks_for_one(module: Module, status: ast.Attribute) -> bool:
    """`if reply.status_code == 404: return None`: what a 500 comes to is asked by nobody."""
    compared = module.parent(status)
    match compared:
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[ast.Constant(value=int(code))]) if left is status:
            around = module.parent(compared)
            if not isinstance(around, ast.If) or around.test is not compared or around.orelse:
                return False
            return 400 <= code < 500 and isinstance(around.body[-1], ast.Return | ast.Continue | ast.Raise)
    return False


def _has_hooks(index: Index, module: Module, owner: ast.expr | None) -> bool:
    """Whether the client is built with event hooks, which may check every answer."""
    if owner is None:
        return False
    built = construction(index, module, owner)
    checks = ("event_hooks", "raise_for_status")
    return built is not None and any(keyword.arg in checks for keyword in built.keywords)


def _logger(index: Index, module: Module) -> tuple[str, list[Edit]]:
    """The module's own logger, or a new one with its import."""
    for name, statement in module.globals.items():
        value = getattr(statement, "value", None)
        made = index.resolve(module, value.func) if isinstance(value, ast.Call) else None
        if made in ("logging.getLogger", "structlog.get_logger"):
            return name, []
    imported_loggers = [name for name in ("logger", "LOGGER", "log") if name in module.imports]
    if imported_loggers:
        return imported_loggers[0], []
    logging_name, imported = import_as(module, "logging")
    name = free_name(module, "logger")
    binding = after_imports(module, f"{name} = {logging_name}.getLogger(__name__)")
    return name, [imported, binding] if imported else [binding]


def _log(module: Module, place: _Place, logger: str) -> list[Edit]:
    indent = module.indent(place.statement)
    edits: list[Edit] = []
    name = place.name
    status = "status" if place.item is not None else place.status
    if name is None:
        taken = module.local_names(place.function.node) | set(module.globals) | set(module.imports)
        name = next(candidate for candidate in ("response", "answer", "http_response", "response_2")
                    if candidate not in taken or candidate == "response_2")  # fmt: skip
        start, _ = module.span(place.statement)
        end = module.span(place.item.context_expr)[1] if place.item is not None else 0
        edits.append(Edit(end, end, f" as {name}") if place.item is not None else Edit(start, start, f"{name} = "))
    at = module.line_start((place.statement.end_lineno or place.statement.lineno) + 1)
    told = f"{place.function.name}: the {place.verb} was answered with "
    given = f'"{told}%s", {name}.{status}'
    if logger in module.imports:  # some libraries' loggers do not know %s
        given = f'f"{told}{{{name}.{status}}}"'
    if isinstance(place.statement, ast.AsyncWith) and place.item is not None:
        first = place.statement.body[0]
        indent, at = module.indent(first), module.line_start(first.lineno)
    code = f"{indent}if {name}.{status} >= 400:\n{indent}    {logger}.warning({given})\n"
    lead = "" if module.text[:at].endswith("\n") else "\n"
    return [*edits, Edit(at, at, lead + code)]
