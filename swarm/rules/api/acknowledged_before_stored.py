"""Events that are answered with "taken" while they exist in memory only."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence

from swarm.analysis.databases.statements import sql_call
from swarm.analysis.edits import Edit
from swarm.analysis.effects import http_call
from swarm.analysis.index import Function, Index, Route
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module, parameters
from swarm.core.findings import Finding
from swarm.rules.answering.behind_the_answer import waits
from swarm.rules.answering.durably import as_function, handed_over, verbs_for, with_module
from swarm.rules.answering.left_to_memory import TASKS, LeftWork, left_work
from swarm.rules.answering.made_anew import made_anew
from swarm.rules.distinct import distinct
from swarm.rules.examples import acknowledged_before_stored as examples
from swarm.rules.rule import Mend, Rule
from swarm.rules.writing.placing import main_app
from swarm.rules.writing.splices import is_alone

QUEUES = ("queue.Queue", "queue.SimpleQueue", "queue.LifoQueue", "asyncio.Queue", "collections.deque",
          "multiprocessing.Queue")  # fmt: skip


class AcknowledgedBeforeStored(Rule):
    """A handler of POSTs starts a task or a thread, or puts the event into a queue in memory, and answers.

    Why: the sender takes the answer for a receipt and does not send again. Where the process ends before the work
    is done (a deploy, a crash), the event is lost, and nobody knows. Example: `asyncio.create_task(handle(event))`
    and `return {"status": "ok"}`; tasks of FastAPI's BackgroundTasks too.

    The mend keeps the work on disk before the answer, as work-before-answer does: `await submit(handle, event)`. Only
    where the work is a function of a module, or a method of an object that a module holds or that is made in place,
    with plain JSON data. Elsewhere: store the event first (a row, a broker that keeps it), and work from the store.
    """

    id = "acknowledged-before-stored"
    category = "api"
    severity = "medium"
    order = 95
    answers_early = True
    title = "An event is acknowledged before it is stored"
    sources = ("https://docs.python.org/3/library/asyncio-task.html#asyncio.create_task",)
    bad = examples.BAD
    good = examples.GOOD

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Work that a handler of POSTs leaves to memory, with nothing stored or sent before."""
        app = main_app(index)
        for route, call, what, left in _all(index):
            doubt = "" if left is not None and app is not None else "the code does not show how it may be repeated"
            doubt = left.doubt if left is not None and left.doubt else doubt
            yield self.finding(
                route.function.module, call,
                evidence=f"{route.function.qualname} answers and leaves the event to {what}",
                recommendation="Store the event before the answer, and work from the store"
                + (f". Not done by itself here: {doubt}" if doubt else ""),
                anchor=f"{route.function.qualname}:{unparsed(call.func)}",
                mendable=not doubt and is_alone(route.function.module, route.function.module.statement(call)),
            )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Keep the work on disk before the answer, in the module of work-before-answer."""
        app = main_app(index)
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        chosen = [
            left for route, call, _, left in _all(index)
            if left is not None and not left.doubt and route.function.module is module and call.lineno in lines
        ]  # fmt: skip
        if app is None or not chosen:
            return None
        verbs = verbs_for(module, [left.route.function for left in chosen])
        edits = [edit for left in chosen for edit in _kept(index, module, left, verbs)]
        return Mend(
            "Keep events on disk before they are acknowledged",
            "The work is written to disk with fsync before the answer (about a millisecond), done behind it, taken "
            "up again after a crash, and kept with its error where it fails. DURABLE_WORK_PATH is a file that must "
            "outlive the process.",
            with_module(index, app, module, edits, verbs),
        )


def _all(index: Index) -> Iterator[tuple[Route, ast.Call, str, LeftWork | None]]:
    seen: set[Function] = set()
    for route in index.routes:
        if not {"POST", "PUT"} & set(route.methods) or route.function in seen:
            continue
        seen.add(route.function)
        for call, what in [*_left(index, route.function), *_left_by_others(index, route.function)]:
            if not _is_kept_before(index, route.function, call):
                yield route, call, what, left_work(index, route, call)


def _kept(index: Index, module: Module, left: LeftWork, verbs: dict[str, str]) -> list[Edit]:
    handler, span = left.route.function, module.span(left.statement)
    if not left.function.class_name:
        return [handed_over(module, handler, span, left.callee, left.arguments, verbs)]
    given = ", ".join(module.segment(argument) for argument in left.arguments)
    body = f"{'await ' if left.function.is_async else ''}{module.segment(left.callee)}({given})"
    uses = [left.callee, *left.arguments]
    made = made_anew(index, handler)
    return as_function(module, handler, span, body, uses, verbs, is_async=left.function.is_async, made=made)


def _left(index: Index, function: Function) -> Iterator[tuple[ast.Call, str]]:
    module = function.module
    for call in index.calls(function):
        dotted = index.resolve(module, call.func) or ""
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if isinstance(call.func, ast.Attribute) and _is_waited_for(module, call.func.value):
            continue
        begun = name in ("start_soon", "spawn", "start_task_soon") and bool(call.args)
        if begun or ((dotted in TASKS or name == "create_task") and not _is_awaited(function, call)):
            yield call, "a task in memory"
        elif (
            name == "start" and isinstance(call.func, ast.Attribute) and _is_thread(index, function, call.func.value)
        ):
            yield call, "a thread"
        elif name == "add_task" and isinstance(call.func, ast.Attribute) and call.args:
            kind = index.kinds.of(module, call.func.value) or ""
            named = index.named_function(module, call.args[0]) or index.behind_partial(module, call.args[0])
            if kind.endswith(".BackgroundTasks") and named is not None and waits(index, named):
                yield call, "a task in memory"
        elif name in ("put", "put_nowait", "append") and isinstance(call.func, ast.Attribute):
            kind = index.kinds.of(module, call.func.value) or _made_by(index, function, call.func.value)
            if kind in QUEUES:
                yield call, "a queue in memory"
        elif name == "submit" and isinstance(call.func, ast.Attribute):
            of_pool = _made_by(index, function, call.func.value).endswith("PoolExecutor")
            if of_pool and not _is_awaited(function, call):
                yield call, "a pool of threads"


def _left_by_others(index: Index, handler: Function) -> Iterator[tuple[ast.Call, str]]:
    """Calls of the handler that hand data to functions of the target which leave just that to memory."""
    for call in index.calls(handler):
        callee = index.resolve_call(handler.module, call)
        handed = [*call.args, *(keyword.value for keyword in call.keywords)]
        if callee is None or all(isinstance(value, ast.Constant) for value in handed):
            continue
        given = {argument.arg for argument in parameters(callee.node)} - {"self", "cls"}
        for inner, what in _left(index, callee):
            if any(isinstance(part, ast.Name) and part.id in given for part in _handed_on(index, callee, inner)) \
                    and not _is_kept_before(index, callee, inner):  # fmt: skip
                yield call, what
                break


def _handed_on(index: Index, function: Function, call: ast.Call) -> Iterator[ast.AST]:
    """What a call leaves to memory: its own arguments, those of the thread that it starts."""
    yield from (part for value in [*call.args, *call.keywords] for part in walk(value))
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    made = index.kinds.bindings(function.node).get(owner.id, []) if isinstance(owner, ast.Name) else [owner]
    yield from (part for value in made if isinstance(value, ast.Call) for part in walk(value))


def _is_waited_for(module: Module, owner: ast.expr) -> bool:
    """Whether a group or pool belongs to a `with` around, which ends when all is done."""
    named = unparsed(owner)
    for around in module.ancestors(owner):
        if isinstance(around, ast.With | ast.AsyncWith):
            for item in around.items:
                if item.optional_vars is not None and unparsed(item.optional_vars) == named:
                    return True
    return False


def _is_awaited(function: Function, call: ast.Call) -> bool:
    """Whether the handler waits for what it started: the task has a name that is used again, or stands in a call."""
    module = function.module
    parent = module.parent(call)
    if isinstance(parent, ast.Expr):
        return False
    if not isinstance(parent, ast.Assign) or not isinstance(parent.targets[0], ast.Name):
        return True
    name = parent.targets[0].id
    uses = [n for n in walk(function.node) if isinstance(n, ast.Name) and n.id == name and n is not parent.targets[0]]
    kept = ("add_done_callback", "add", "set_name")
    return any(
        not (isinstance(module.parent(use), ast.Attribute) and getattr(module.parent(use), "attr", "") in kept)
        and not _is_noted(module.parent(use))
        for use in uses
    )


def _is_noted(parent: ast.AST | None) -> bool:
    """`tasks.add(task)` keeps a task from the garbage collector; it waits for nothing."""
    return (
        isinstance(parent, ast.Call)
        and isinstance(parent.func, ast.Attribute)
        and parent.func.attr in ("add", "append")
    )


def _is_thread(index: Index, function: Function, value: ast.expr) -> bool:
    made = _made_by(index, function, value)
    if isinstance(value, ast.Call):
        made = index.resolve(function.module, value.func) or ""
    joined = isinstance(value, ast.Name) and f"{value.id}.join(" in unparsed(function.node)
    return made in ("threading.Thread", "threading.Timer", "multiprocessing.Process") and not joined


def _made_by(index: Index, function: Function, value: ast.expr) -> str:
    """The maker of what a name holds, in the function or a module."""
    if not isinstance(value, ast.Name | ast.Attribute):
        return ""
    bound = index.kinds.bindings(function.node).get(value.id, []) if isinstance(value, ast.Name) else []
    home = function.module
    made: object = bound[0] if len(bound) == 1 else None
    if made is None:
        found, name = index.tree.split(index.resolve(home, value) or "", home)
        home = found or home
        made = getattr(found.globals.get(name), "value", None) if found is not None else None
    return index.resolve(home, made.func) or "" if isinstance(made, ast.Call) else ""


def _is_kept_before(index: Index, function: Function, call: ast.Call) -> bool:
    """Whether the handler itself, or a function that it calls first, writes to a database or sends the event on."""
    for before in index.calls(function):
        if before.lineno > call.lineno or before is call:
            continue
        sql = sql_call(index, function.module, before)
        request = http_call(index, function.module, before)
        if (sql is not None and sql.writes) or (request is not None and not request.reads):
            return True
        callee = index.resolve_call(function.module, before)
        inside = index.calls(callee) if callee is not None and before not in walk(call) else ()
        if callee is not None and any(
            (found := sql_call(index, callee.module, one)) is not None and found.writes for one in inside
        ):
            return True
        if isinstance(before.func, ast.Attribute) and before.func.attr in (
            "xadd",
            "lpush",
            "rpush",
            "publish",
            "delay",
        ):
            return True
    return False
