"""Which waiting statements of a function may run at the same time: they only read, and none needs another."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from swarm.analysis.databases.database_kinds import DATABASES, ENGINES, POOLS, REDIS_READS
from swarm.analysis.effects import WRITE_WORDS, Effects, HttpCall, effects_cache, http_call, outgoing_call
from swarm.analysis.index import Function, Index
from swarm.analysis.kinds.client_kinds import HTTP_CLIENTS
from swarm.analysis.layout import BLOCKS, unparsed
from swarm.analysis.module import walk
from swarm.analysis.outgoing.handed_requests import requests_of
from swarm.analysis.outgoing.model_calls import asks_model, asks_sdk
from swarm.analysis.source import Module, parameters

PURE_BUILTINS = frozenset({"str", "int", "float", "bool", "len", "list", "dict", "tuple", "set", "sorted", "repr"})
# what follows a guard must not begin before it has spoken
GUARD_WORDS = frozenset({
    "check", "verify", "validate", "ensure", "require", "authorize", "authenticate", "assert", "guard", "allow",
    "allowed", "limit", "acquire", "lock", "refresh", "login", "authorise", "permission",
})  # fmt: skip
OF_NO_REQUEST = frozenset({"flask.abort", "flask.Flask", "flask.Blueprint"})
REQUEST_LOCALS = ("flask.", "werkzeug.local")
DATABASE_AWAITS = ("aiosqlite.", "httpx.", "sqlalchemy.ext.asyncio.", "sqlmodel.ext.asyncio.", "asyncpg.",
                   "psycopg.")  # fmt: skip
SESSION_NAME = re.compile(r"(?:^|_|\.)(?:session|sess|db|conn|connection|cursor|transaction|tx)$", re.IGNORECASE)
COLLECTING = frozenset({
    "append", "add", "extend", "update", "setdefault", "json", "raise_for_status", "get", "items", "keys", "values",
    "strip", "lower", "upper", "split",
})  # fmt: skip
TEXT_METHODS = frozenset({
    "split", "rsplit", "partition", "rpartition", "strip", "lstrip", "rstrip", "lower", "upper", "title", "casefold",
    "removeprefix", "removesuffix", "splitlines", "replace", "zfill",
})  # fmt: skip
ADDING = ("append", "add", "extend", "update", "setdefault", "insert")
PARTS = ("json", "raise_for_status")  # what is asked of an answer without a wait of its own (httpx, requests)
CACHING = ("cache", "memo")  # in a decorator's name: an answer that is kept is not worth a thread, or asked for twice


@dataclass(frozen=True, slots=True)
class Step:
    """One waiting statement; `hosts` are the bases of its requests.

    `is_question` where it POSTs and may only ask: one that is sure to ask a model is a read. `before` are plain
    assignments that stand between it and the step ahead; they neither wait nor use what that one gives. `value` is
    what is kept of the answer, where that is a part of it: `http.get(url).json()`. `of_redis` where it is one command
    of Redis, of which several go into one.
    """

    statement: ast.stmt
    target: str
    call: ast.Call
    is_question: bool
    hosts: frozenset[str]
    before: tuple[ast.stmt, ...] = ()
    value: ast.expr | None = None
    of_redis: bool = False

    def tail(self, module: Module) -> str:
        """The text behind the call that takes a part of its answer: ".json()", "" where all of it is kept."""
        if self.value is None:
            return ""
        _, end = module.span(self.value)
        rest = module.text[module.span(self.call)[1] : end].lstrip()
        return rest[1:].lstrip() if rest.startswith(")") else rest

    def binding(self, module: Module) -> str:
        """The text that binds the answer: "name = ", "name: Kind = "."""
        if isinstance(self.statement, ast.AnnAssign):
            start, end = module.span(self.statement)[0], module.span(self.statement.annotation)[1]
            return f"{module.text[start:end]} = "
        return f"{self.target} = "


def only_collects(statements: Sequence[ast.stmt], bound: str) -> bool:
    """Whether the rest of a loop's turn only takes an answer apart and keeps it: it waits for nothing, leaves by
    nothing, and calls nothing that could notice when the others' answers came."""
    for part in (node for statement in statements for node in walk(statement)):
        if isinstance(part, ast.Await | ast.Yield | ast.YieldFrom | ast.Break | ast.Return | ast.NamedExpr):
            return False
        if isinstance(part, ast.Name) and part.id == bound and isinstance(part.ctx, ast.Store):
            return False
        if isinstance(part, ast.Call):
            method = part.func.attr if isinstance(part.func, ast.Attribute) else ""
            builtin = part.func.id if isinstance(part.func, ast.Name) else ""
            if method not in COLLECTING and builtin not in PURE_BUILTINS:
                return False
    return bool(statements)


def only_counts(loop: ast.For) -> bool:
    """Whether a loop goes through numbers alone: `for attempt in range(3)`."""
    return isinstance(loop.iter, ast.Call) and unparsed(loop.iter.func) in ("range", "itertools.count", "count")


def feeds_itself(loop: ast.For, value: ast.expr) -> bool:
    """Whether a turn's call uses what an earlier turn bound, collected or put into a place of."""
    stored: set[str] = set()
    for part in (node for statement in loop.body for node in walk(statement)):
        root: ast.AST | None = None
        if isinstance(part, ast.Name | ast.Subscript | ast.Attribute) and isinstance(part.ctx, ast.Store):
            root = part
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr in ADDING:
            root = part.func.value
        while isinstance(root, ast.Subscript | ast.Attribute):
            root = root.value
        stored |= {root.id} if isinstance(root, ast.Name) else set()
    return any(uses(name, value, loop.iter) for name in stored)


def core_of(value: ast.expr) -> ast.expr:
    """The call, or the await, whose answer an expression takes a part of: `(await get(url)).json()["name"]`."""
    current = value
    while True:
        match current:
            case ast.Call(func=ast.Attribute(value=inner, attr=name), args=[], keywords=[]) if name in PARTS:
                current = inner
            case ast.Attribute(value=inner, attr="text" | "content" | "status_code"):
                current = inner
            case ast.Subscript(value=inner, slice=ast.Constant()):
                current = inner
            case _:
                return current if isinstance(current, ast.Call | ast.Await) else value


def independent_runs(index: Index, function: Function) -> Iterator[list[Step]]:
    """Statements that follow each other, each waiting for others, none using what an earlier one gave."""
    waiting: Sequence[ast.expr] = index.own_of(function, ast.Await if function.is_async else ast.Call)
    if len(waiting) < 2:
        return
    for node in [function.node, *index.own_of(function, *BLOCKS)]:
        for body in (getattr(node, field, None) for field in ("body", "orelse", "finalbody")):
            if not isinstance(body, list):
                continue
            run: list[Step] = []
            between: list[ast.stmt] = []
            for statement in [*body, None]:
                step = _step(index, function, statement) if statement is not None else None
                if step is not None and all(_independent(earlier, step) for earlier in run):
                    run.append(replace(step, before=tuple(between) if run else ()))
                    between = []
                    continue
                if step is None and statement is not None and run and function.is_async \
                        and _may_go_first(statement, run):  # fmt: skip
                    between.append(statement)
                    continue
                if len(run) > 1:
                    yield run
                run, between = [step] if step is not None else [], []


def _may_go_first(statement: ast.stmt, run: Sequence[Step]) -> bool:
    """Whether a statement between two steps is a plain assignment that may as well stand before the first."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if is_plain(value):
            pass
        case _:
            return False
    read = {node.id for node in walk(value) if isinstance(node, ast.Name)}
    given = {step.target for step in run}
    used = {node.id for step in run for node in walk(step.call) if isinstance(node, ast.Name)}
    return not read & given and name not in given | used


def step_of(index: Index, function: Function, waited: ast.Await) -> Step | None:
    """An awaited call on its own, if it is safe to run beside others of its kind."""
    return _step(index, function, ast.Assign(targets=[ast.Name("_", ast.Store())], value=waited))


def step_of_call(index: Index, function: Function, call: ast.Call) -> Step | None:
    """A blocking call on its own, if it is safe to run in a thread beside others of its kind."""
    return _step(index, function, ast.Assign(targets=[ast.Name("_", ast.Store())], value=call))


def varies(step: Step, target: ast.expr) -> bool:
    """Whether a loop's call asks for something else in each turn; the same again and again is polling."""
    own = {part.id for part in walk(target) if isinstance(part, ast.Name)}
    return any(isinstance(part, ast.Name) and part.id in own for part in walk(step.call)) and not step.is_question


def uses(name: str, *nodes: ast.expr) -> bool:
    """Whether an expression reads a name: what a loop collects may be what its next turn goes by."""
    return any(isinstance(part, ast.Name) and part.id == name for node in nodes for part in walk(node))


def _step(index: Index, function: Function, statement: ast.stmt) -> Step | None:
    """The statement as `name = await call(…)` (in sync code `name = call(…)`), if safe to run beside others."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=target)], value=value):
            pass
        case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value):
            pass
        case _:
            return None
    match core_of(value):
        case ast.Await(value=ast.Call() as call):
            whole = isinstance(value, ast.Await)
        case ast.Call() as call if not function.is_async:
            whole = value is call
        case _:
            return None
    step = _of_step_call(index, function, statement, target, call)
    return step if step is None or whole else replace(step, value=value)


def _of_step_call(index: Index, function: Function, statement: ast.stmt, target: str, call: ast.Call) -> Step | None:
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    if not all(is_plain(node) for node in given):
        return None
    if any(_is_connection(index, function.module, node) for node in given):
        return None
    request = outgoing_call(index, function.module, call)
    if request is not None and request.is_async == function.is_async and request.library != "aiohttp":
        asks = not request.reads and not asks_model(index, function.module, request)
        return Step(statement, target, call, asks, _hosts([request])) if request.verb != "?" else None
    if function.is_async and _reads_redis(index, function.module, call):
        return Step(statement, target, call, False, frozenset({unparsed(call.func)}), of_redis=True)
    if function.is_async and asks_sdk(index, function.module, call):
        return Step(statement, target, call, False, frozenset({unparsed(call.func)}))
    callee = index.run_by(function.module, call)
    if callee is not None and set(callee.name.lower().split("_")) & GUARD_WORDS:
        return None
    if callee is None or callee.is_async != function.is_async:
        return None
    return _from_callee(index, function.module, callee, statement, target, call)


def _reads_redis(index: Index, module: Module, call: ast.Call) -> bool:
    """Whether a call is a read of Redis, whose client gives each command a connection of its own."""
    named = isinstance(call.func, ast.Attribute) and call.func.attr in REDIS_READS
    return named and index.kinds.of(module, getattr(call.func, "value", call)) == "redis.asyncio.Redis"


def _from_callee(
    index: Index, module: Module, callee: Function, statement: ast.stmt, target: str, call: ast.Call
) -> Step | None:
    asked_for = requests_of(index, module, call)
    requests = [request for _, request in asked_for]
    questions = [r for one, r in asked_for if not r.reads and not asks_model(index, one.module, r)]
    waits = asked = False
    for reached, effects in effects_cache(index).reached(callee):
        if effects.unknown_database or effects.commits or effects.dirties or any(sql.writes for sql in effects.sql):
            return None
        if effects.borrows_database and (reached is callee or not _is_handed_on(reached, effects)):
            return None
        if effects.writes_memory - {"self._client", "self.client"}:
            return None
        if not callee.is_async and (effects.sql or _uses_request_locals(index, reached)):
            return None
        asks = any(
            asks_sdk(index, reached.module, asked) or _reads_redis(index, reached.module, asked)
            for asked in index.calls(reached)
        )
        asked = asked or asks
        waits = waits or asks or bool(effects.http or effects.sql or effects.blocking)
        if _unknown_await(index, reached) or _is_cached(reached):
            return None
    if (
        not waits
        or (not callee.is_async and not requests and not asked)
        or (questions and set(callee.name.lower().split("_")) & WRITE_WORDS)
    ):
        return None
    if any(request.verb not in ("GET", "HEAD", "OPTIONS", "POST") for request in requests) or len(questions) > 1:
        return None
    return Step(statement, target, call, bool(questions), _hosts(requests))


def _is_connection(index: Index, module: Module, value: ast.expr) -> bool:
    """Whether an argument is a session or connection, which must not be used by two at the same time."""
    kind = index.kinds.of(module, value)
    if kind in DATABASES - ENGINES - POOLS:
        return True
    return (
        kind not in HTTP_CLIENTS
        and isinstance(value, ast.Name | ast.Attribute)
        and bool(SESSION_NAME.search(unparsed(value)))
    )


def _is_handed_on(function: Function, effects: Effects) -> bool:
    """Whether a function works on a session that its caller gave it, not on one that it shares with others."""
    given = {argument.arg for argument in parameters(function.node)} - {"self", "cls"}
    owners: list[ast.expr] = [sql.owner for sql in effects.sql]
    for owner in owners:
        while isinstance(owner, ast.Attribute | ast.Call | ast.Await):
            owner = owner.value if not isinstance(owner, ast.Call) else owner.func
        local = isinstance(owner, ast.Name) and owner.id in function.module.local_names(function.node)
        if not local or (isinstance(owner, ast.Name) and owner.id not in given):
            return False
    return True


def _is_cached(function: Function) -> bool:
    decorators = [unparsed(decorator).split("(")[0].lower() for decorator in function.node.decorator_list]
    return any(word in name for name in decorators for word in CACHING)


def _uses_request_locals(index: Index, function: Function) -> bool:
    """Whether it uses what belongs to the request's own thread (`flask.request`, `current_app`, `g`)."""
    names = index.own_of(function, ast.Name)
    used = {function.module.resolve(name) or "" for name in names} - OF_NO_REQUEST
    return any(name.startswith(REQUEST_LOCALS) for name in used)


def _unknown_await(index: Index, function: Function) -> bool:
    """Whether the function awaits something that is neither the target's own nor a known way to read."""
    for node in index.own_of(function, ast.Await):
        if isinstance(node.value, ast.Call):
            call = node.value
            dotted = index.resolve(function.module, call.func) or ""
            known = http_call(index, function.module, call) or index.run_by(function.module, call)
            kind = ""
            if isinstance(call.func, ast.Attribute):
                kind = index.kinds.of(function.module, call.func.value) or ""
            is_library = dotted.startswith("asyncio.") or kind.startswith(DATABASE_AWAITS)
            is_library = is_library or asks_sdk(index, function.module, call)
            is_library = is_library or _reads_redis(index, function.module, call)
            given = isinstance(call.func, ast.Name) and call.func.id in {a.arg for a in parameters(function.node)}
            if (
                not known
                and not given
                and not is_library
                and kind not in ("httpx.Response", "aiohttp.ClientResponse")
            ):
                return True
    return False


def _hosts(requests: Sequence[HttpCall]) -> frozenset[str]:
    """What the addresses of requests begin with, as text: the first interpolated part, or scheme and host."""
    found = set()
    for request in requests:
        url = request.call.args[0] if request.call.args else None
        if isinstance(url, ast.JoinedStr) and url.values and isinstance(url.values[0], ast.FormattedValue):
            found.add(unparsed(url.values[0].value))
            continue
        text = url.values[0] if isinstance(url, ast.JoinedStr) and url.values else url
        value = text.value if isinstance(text, ast.Constant) and isinstance(text.value, str) else None
        if value is not None and "://" in value:
            found.add("/".join(value.split("/")[:3]))
        else:
            found.add(unparsed(request.owner) if request.owner is not None else "?")
    return frozenset(found)


def _independent(first: Step, second: Step) -> bool:
    used = {node.id for node in walk(second.call) if isinstance(node, ast.Name)}
    if first.target in used or first.target == second.target:
        return False
    before = {node.id for node in walk(first.call) if isinstance(node, ast.Name)}
    if second.target in before:
        return False
    if first.is_question and second.is_question:
        return False
    asks = first.is_question or second.is_question
    return not (asks and first.hosts & second.hosts)


def _looks_up(call: ast.Call) -> bool:
    """`event.get("country", "US")`: a field by its name, which no client is asked for."""
    match call:
        case ast.Call(
            func=ast.Attribute(value=ast.Name() | ast.Subscript(), attr="get"),
            args=[ast.Constant(value=str(key)), *_],
        ):
            return re.fullmatch(r"[\w-]+", key) is not None and not call.keywords
    return False


def _is_of_text(call: ast.Call) -> bool:
    """`event["email"].split("@")`: a text's own method, with nothing but constants."""
    of_text = isinstance(call.func, ast.Attribute) and call.func.attr in TEXT_METHODS
    return of_text and not call.keywords and all(isinstance(given, ast.Constant) for given in call.args)


def is_plain(node: ast.expr) -> bool:
    """Whether computing an argument can have no effect of its own."""
    for part in walk(node):
        if isinstance(part, ast.Await | ast.NamedExpr | ast.Yield | ast.YieldFrom):
            return False
        if isinstance(part, ast.Call) and not (isinstance(part.func, ast.Name) and part.func.id in PURE_BUILTINS):
            owner = part.func.value if isinstance(part.func, ast.Attribute) else part.func
            is_headers = isinstance(part.func, ast.Attribute) and "headers" in part.func.attr
            if _looks_up(part) or _is_of_text(part):
                continue
            if not is_headers or not isinstance(owner, ast.Name):
                return False
    return True
