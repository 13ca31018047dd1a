"""Which work a webhook's handler waits for although its answer does not depend on it, and whether it may move."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from swarm.analysis.effects import effects_cache
from swarm.analysis.index import Function, Index, Route
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.rules.answering.answers import failure_answers, is_inert
from swarm.rules.answering.made_anew import made_anew
from swarm.rules.answering.plain_data import is_plain, positional
from swarm.rules.facts.independence import GUARD_WORDS, REQUEST_LOCALS

WEBHOOK = re.compile(r"(?i)hook|callback|inbound|ingest|receive|notification|events?\b|signature|hmac|x-hub|svix")
HANDING = frozenset({
    "asyncio.to_thread", "starlette.concurrency.run_in_threadpool", "fastapi.concurrency.run_in_threadpool",
})  # fmt: skip
DECIDES = re.compile(r"(?:^|\.)(?:HTTPException|abort)$|^werkzeug\.exceptions\.|^flask\.(?:abort|redirect)$")
CHECKS = GUARD_WORDS | {"parse", "authenticated", "signature", "deserialize"}
EXCEPTION_HOOKS = frozenset({"exception_handler", "add_exception_handler", "errorhandler", "register_error_handler"})
_OPAQUE = (ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
OWN_MODULE = "DURABLE_WORK_PATH"  # in the text of the module that the mend adds


@dataclass(frozen=True, slots=True)
class Step:
    """One statement that waits: what it runs, and with which arguments (in the order of the parameters)."""

    statement: ast.stmt
    function: Function
    arguments: tuple[ast.expr, ...]
    awaited: bool
    in_thread: bool
    callee: ast.expr  # how the handler names the function


@dataclass(frozen=True, slots=True)
class Work:
    """Steps in a row that a handler waits for. `doubt` is why they may not be moved, "" where they may."""

    route: Route
    steps: tuple[Step, ...]
    doubt: str

    @property
    def names(self) -> str:
        """The functions that do it."""
        return " and ".join(dict.fromkeys(step.function.qualname for step in self.steps))


def waited_work(index: Index) -> Iterator[Work]:
    """The work of every webhook's handler that its answer does not depend on."""
    seen: set[Function] = set()
    for route in index.routes:
        if {"POST", "PUT"} & {*route.methods} and route.function not in seen and is_webhook(route):
            seen.add(route.function)
            yield from _of_handler(index, route)


def is_webhook(route: Route) -> bool:
    """Whether a route's path, decorators, file or code speak of webhooks."""
    module, node = route.function.module, route.function.node
    decorators = " ".join(unparsed(decorator) for decorator in node.decorator_list)
    words = f"{route.path} {decorators} {module.path} {module.segment(node)}"
    return WEBHOOK.search(words) is not None


def _of_handler(index: Index, route: Route) -> Iterator[Work]:
    handler = route.function
    taken: set[ast.stmt] = set()
    for node in index.own_nodes(handler):
        if not isinstance(node, ast.Expr | ast.Assign) or node in taken:
            continue
        steps = _row(index, handler, node)
        taken.update(step.statement for step in steps)
        if not steps or not any(waits(index, step.function) for step in steps):
            continue
        after, inside = surroundings(handler, steps[0].statement, len(steps))
        if after is None or not all(is_inert(index, handler, statement) for statement in after):
            continue
        yield Work(route, steps, _doubt(index, route, steps, after, inside))


def _row(index: Index, handler: Function, first: ast.stmt) -> tuple[Step, ...]:
    """The step that a statement is, and those that follow it directly."""
    body = handler.module.block_around(first) or [first]
    steps: list[Step] = []
    for statement in body[body.index(first) :]:
        step = _step(index, handler, statement)
        if step is None:
            break
        steps.append(step)
    return tuple(steps)


def _step(index: Index, handler: Function, statement: ast.stmt) -> Step | None:
    match statement:
        case ast.Expr(value=value):
            pass
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if not _is_read(handler, name):
            pass
        case _:
            return None
    awaited = isinstance(value, ast.Await)
    call = value.value if isinstance(value, ast.Await) else value
    if not isinstance(call, ast.Call):
        return None
    named, arguments = call.func, list(call.args)
    in_thread = awaited and index.resolve(handler.module, call.func) in HANDING and bool(arguments)
    if in_thread:
        named = arguments.pop(0)
    function = index.named_function(handler.module, named)
    if function is None or OWN_MODULE in function.module.text or set(function.name.lower().split("_")) & CHECKS:
        return None
    if not (awaited or not handler.is_async):
        return None  # nothing waits but the loop: that is mended first
    ordered = positional(function, arguments, call.keywords)
    return Step(statement, function, ordered, awaited, in_thread, named) if ordered is not None else None


def _is_read(handler: Function, name: str) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
        for node in walk(handler.node)
    )


def waits(index: Index, function: Function) -> bool:
    """Whether a function may wait for anything outside: a call, a database, something that blocks."""
    cache = effects_cache(index)
    for reached in closure(index, function):
        effects = cache.of(reached)
        if effects.http or effects.sql or effects.commits or effects.blocking or effects.unknown_database:
            return True
    return False


def closure(index: Index, function: Function) -> Set[Function]:
    """The function and all that it may run: what it names or finds in a table of handlers as well."""
    seen = {function: None}
    todo = [function, *index.registered]
    while todo:
        current = todo.pop()
        seen[current] = None
        several = [*index.callees(current), *index.handed_over(current), *index.mentions(current)]
        todo += [other for other in several if other not in seen]
        seen.update(dict.fromkeys(several))
    return seen.keys()


def surroundings(handler: Function, first: ast.stmt, count: int) -> tuple[list[ast.stmt] | None, list[ast.AST]]:
    """What runs after the steps, and the statements around them; None where what follows cannot be told."""
    module = handler.module
    inside: list[ast.AST] = []
    for around in module.ancestors(first):
        if around is handler.node:
            break
        inside.append(around)
    if any(isinstance(around, _OPAQUE) for around in inside):
        return None, inside
    after: list[ast.stmt] = []
    current: ast.AST = first
    for parent in [*inside, handler.node]:
        if isinstance(current, ast.stmt):
            block = module.block_around(current) or [current]
            after += block[block.index(current) + (count if current is first else 1) :]
            if isinstance(parent, ast.Try | ast.TryStar) and current not in parent.body:
                return None, inside
            if isinstance(parent, ast.Try | ast.TryStar):
                after += parent.orelse
        if after and isinstance(after[-1], ast.Return):
            break
        current = parent
    return after, inside


def _doubt(index: Index, route: Route, steps: Sequence[Step], after: list[ast.stmt], inside: list[ast.AST]) -> str:
    """The first condition that does not hold."""
    handler = route.function
    for step in steps:
        function = step.function
        if function.class_name or "." in function.qualname:
            told = object_doubt(index, handler, step.callee, function)
            if told:
                return told
        if index.own_of(function, ast.Yield, ast.YieldFrom):
            return f"{function.qualname} is a generator"
        for argument in step.arguments:
            if not is_plain(index, handler, argument):
                return f"`{handler.module.segment(argument)}` is not known to be plain JSON data"
    for around in inside:
        if isinstance(around, ast.With | ast.AsyncWith):
            return "it runs inside of a `with`, whose end it would outlive"
        if isinstance(around, ast.Try | ast.TryStar):
            told = "a `finally` follows it" if around.finalbody else failure_answers(index, handler, around, after)
            if told:
                return told
    reached = (reach_doubt(index, route, step.function, step.arguments, after) for step in steps)
    return next(filter(None, reached), "")


def object_doubt(index: Index, handler: Function, callee: ast.expr, function: Function) -> str:
    """Why a method's object could not be had again after a restart; "" where it is made in place or a module's own.

    In place means by a class of a module from constants and what modules hold: `Pipeline(BASE).run`.
    """
    lost = f"{function.qualname} is no function of a module: after a restart nothing could find it"
    owner = callee.value if isinstance(callee, ast.Attribute) else None
    if not function.class_name or owner is None:
        return lost
    local = handler.module.local_names(handler.node)
    if isinstance(owner, ast.Name) and owner.id in made_anew(index, handler):
        return ""
    if any(isinstance(node, ast.Name) and node.id in local for node in walk(owner)):
        return lost
    if isinstance(owner, ast.Call):
        made = index.resolve(handler.module, owner.func)
        info = index.classes.get(made or "")
        is_of_module = info is not None and isinstance(info.module.parent(info.node), ast.Module)
        init = index.method(made or "", "__init__")
        if not is_of_module or (init is not None and waits(index, init)):
            return lost
        return ""
    home, name = index.tree.split(index.resolve(handler.module, owner) or "", handler.module)
    held = home.globals.get(name) if home is not None else None
    value = held.value if isinstance(held, ast.Assign | ast.AnnAssign) else None
    is_class = isinstance(held, ast.ClassDef)
    return "" if is_class or isinstance(value, ast.Call) else lost


def reach_doubt(
    index: Index, route: Route, function: Function, arguments: Sequence[ast.expr], after: list[ast.stmt]
) -> str:
    """What forbids that the function, with all that it may run, runs behind the answer; "" where nothing does."""
    cache = effects_cache(index)
    special = _special_exceptions(index)
    used = {node.id for statement in after for node in walk(statement) if isinstance(node, ast.Name)}
    shared = bool(used & {node.id for a in arguments for node in walk(a) if isinstance(node, ast.Name)})
    for reached in closure(index, function):
        for node in index.own_of(reached, ast.Name, ast.Attribute):
            dotted = index.resolve(reached.module, node) or ""
            if DECIDES.search(dotted) or dotted in special:
                return f"{reached.qualname} uses {dotted.rpartition('.')[2]}, which decides the answer"
            if dotted.startswith(REQUEST_LOCALS) and route.framework == "flask":
                return f"{reached.qualname} uses {dotted}, which ends with the request"
            if index.kinds.of(reached.module, node) == "contextvars.ContextVar":
                return f"{reached.qualname} uses the context variable {unparsed(node)}"
        written = cache.of(reached).writes_memory
        own = {argument.arg for argument in walk(reached.node.args) if isinstance(argument, ast.arg)}
        roots = {name.partition(".")[0].partition("[")[0] for name in written}
        if shared and roots & own - {"self", "cls"}:
            return f"{reached.qualname} may change what the answer is built from"
        if not function.is_async and roots - own - {"self", "cls"}:
            return f"{reached.qualname} changes {sorted(roots - own)[0]}, which several threads would share"
    return ""


def _special_exceptions(index: Index) -> frozenset[str]:
    """The exceptions of the target that it answers in a way of its own."""
    found: set[str] = set()
    for module in index.tree.modules.values():
        for call in module.nodes(ast.Call):
            if isinstance(call.func, ast.Attribute) and call.func.attr in EXCEPTION_HOOKS and call.args:
                found.add(index.resolve(module, call.args[0]) or "")
    return frozenset(name for name in found if "." in name and not name.startswith(("fastapi.", "starlette.")))
