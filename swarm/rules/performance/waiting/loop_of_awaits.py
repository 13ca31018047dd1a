"""Reads that a loop awaits one after the other, although no turn needs what another gave."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from swarm.analysis.edits import Edit
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.examples import loop_of_awaits as examples
from swarm.rules.facts.independence import Step, core_of, feeds_itself, is_plain, only_collects, step_of, uses, varies
from swarm.rules.facts.request_code import request_functions
from swarm.rules.queries.loops_of_writes import told_writes
from swarm.rules.rule import Mend, Rule, edited
from swarm.rules.writing.splices import free_name, import_as, is_alone, whole_lines

LIMIT = 8


class LoopOfAwaits(Rule):
    """A loop awaits one read of an upstream in each turn and keeps the answers in a list.

    Why: the waits add up: twenty calls of 80 ms are 1.6 s, together they take a tenth of it. Example:
    `for key in keys: found.append(await fetch(key))`.

    The mend: the same calls with `asyncio.gather`, CALLS_AT_ONCE at a time (8; 0 or 1: one after the other), so that
    neither the upstream nor a pool of connections is overrun; answers keep their order. Only for calls that only
    read, and for loops that do nothing else. If one call fails, its error is raised as before, while the others run
    to their end.
    """

    id = "loop-of-awaits"
    category = "performance"
    severity = "medium"
    order = 42
    title = "A loop waits for one call after the other"
    sources = ("https://docs.python.org/3/library/asyncio-task.html#asyncio.gather",)
    bad = examples.BAD
    good = examples.GOOD

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every loop of reads on a request's path whose turns do not need each other."""
        for function in request_functions(index):
            if function.is_async:
                loops = list(_loops(index, function))
                yield from map(self._finding, loops)
                told = {loop.node for loop in loops}
                yield from told_writes(self, index, function, told, waits="awaits", how="together, a few at a time")

    def _finding(self, loop: Loop) -> Finding:
        called = " ".join(unparsed(loop.step.call.func).split())
        return self.finding(
            loop.function.module, loop.node,
            evidence=f"{loop.function.qualname} awaits {called} once in each turn; no turn needs another's answer",
            recommendation="Ask Redis once: MGET, or a pipeline" if loop.step.of_redis else
            "Await the calls together with asyncio.gather, a few at a time",
            anchor=f"{loop.function.qualname}:{called}",
            mendable=loop.mendable,
            severity="low" if loop.step.of_redis else None,
        )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Gather the calls of each loop, eight at a time."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        asyncio_name, imported = import_as(module, "asyncio")
        os_name, of_os = import_as(module, "os")
        edits = [edit for edit in (imported, of_os) if edit]
        for function in index.functions:
            for loop in _loops(index, function) if function.module is module and function.is_async else ():
                if loop.node.lineno in lines and loop.mendable:
                    edits += _rewrite(loop, asyncio_name, os_name)
        return Mend(
            "Await the calls of a loop together",
            f"The calls only read; {LIMIT} at a time take a fraction of the time, and answers keep their order.",
            (edited(module, edits),),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """A loop of reads; `value` is what each turn waits for, with what it takes of the answer.

    `name` is the list of the answers, `empty` its beginning. `kept` where a loop's other statements stay: they only
    take an answer apart. Neither: it is told and left.
    """

    function: Function
    node: ast.stmt
    step: Step
    value: ast.expr
    target: ast.expr
    over: ast.expr
    name: str = ""
    empty: ast.stmt | None = None
    kept: bool = False

    @property
    def mendable(self) -> bool:
        """Whether it can be written anew."""
        return not self.step.of_redis and (
            bool(self.name)
            or self.kept
            or (
                isinstance(self.node, ast.Return)
                and isinstance(self.target, ast.Name)
                and is_alone(self.function.module, self.node)
            )
        )


def _loops(index: Index, function: Function) -> Iterator[Loop]:
    for node in index.own_of(function, ast.For, ast.ListComp, ast.DictComp):
        if isinstance(node, ast.For) and not node.orelse:
            yield from _of_for(index, function, node)
        elif isinstance(node, ast.ListComp | ast.DictComp):
            yield from _of_display(index, function, node)


def _awaited(value: ast.expr) -> ast.Await | None:
    core = core_of(value)
    return core if isinstance(core, ast.Await) else None


def _of_for(index: Index, function: Function, loop: ast.For) -> Iterator[Loop]:
    module = function.module
    first = loop.body[0]
    match first:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append"), args=[value])) if (
            len(loop.body) == 1
        ):
            waited = _awaited(value)
            step = step_of(index, function, waited) if waited is not None else None
            empty = _empty_before(module, loop, name)
            plain = empty is not None and is_alone(module, empty) and is_alone(module, first)
            plain = plain and not _is_used_elsewhere(function, loop)
            if step is not None and varies(step, loop.target) and not uses(name, value, loop.iter):
                yield Loop(function, loop, step, value, loop.target, loop.iter, name if plain else "", empty)
        case ast.Assign(targets=[ast.Name() | ast.Subscript() as bound], value=value) if not _leaves(loop):
            waited = _awaited(value)
            step = step_of(index, function, waited) if waited is not None else None
            alone = sum(isinstance(part, ast.Await) for part in walk(loop)) == 1
            if step is not None and alone and varies(step, loop.target) and not feeds_itself(loop, value):
                kept = _only_collects(function, loop, bound)
                yield Loop(function, loop, step, value, loop.target, loop.iter, kept=kept)


def _only_collects(function: Function, loop: ast.For, bound: ast.expr) -> bool:
    """Whether the turn's other statements may follow when all answers are there."""
    module = function.module
    if not isinstance(loop.target, ast.Name) or not all(is_alone(module, statement) for statement in loop.body):
        return False
    if isinstance(bound, ast.Name):
        return only_collects(loop.body[1:], bound.id)
    owner = bound.value if isinstance(bound, ast.Subscript) else bound
    is_local = isinstance(owner, ast.Name) and owner.id in module.local_names(function.node)
    key = bound.slice if isinstance(bound, ast.Subscript) else bound
    return is_local and is_plain(key) and len(loop.body) == 1


def _of_display(index: Index, function: Function, made: ast.ListComp | ast.DictComp) -> Iterator[Loop]:
    """A list, or a dict by its key, whose entries are awaited one after the other."""
    module = function.module
    match made:
        case ast.ListComp(elt=value, generators=[ast.comprehension(ifs=[], is_async=0) as generator]):
            is_list = True
        case ast.DictComp(
            key=ast.Name(id=key), value=value, generators=[ast.comprehension(ifs=[], is_async=0) as generator]
        ):
            is_list = False
            if not isinstance(generator.target, ast.Name) or generator.target.id != key:
                return
        case _:
            return
    waited = _awaited(value)
    step = step_of(index, function, waited) if waited is not None else None
    if step is None or not varies(step, generator.target):
        return
    name = ""
    node = module.statement(made)
    match node:
        case ast.Assign(targets=[ast.Name(id=bound)], value=whole) if whole is made and is_list:
            name = bound if is_alone(module, node) and isinstance(generator.target, ast.Name) else ""
        case ast.Return(value=whole) if whole is not made:
            node = ast.copy_location(ast.Expr(made), made)
    yield Loop(function, node, step, value, generator.target, generator.iter, name)


def _is_used_elsewhere(function: Function, loop: ast.For) -> bool:
    """Whether the loop's variable is read outside of it too, or is more than one name."""
    if not isinstance(loop.target, ast.Name) or loop.type_comment is not None:
        return True
    inside = set(walk(loop))
    return any(
        isinstance(part, ast.Name)
        and part.id == loop.target.id
        and part not in inside
        and isinstance(part.ctx, ast.Load)
        for part in walk(function.node)
    )


def _empty_before(module: Module, loop: ast.For, name: str) -> ast.stmt | None:
    """The statement right before the loop that begins the list."""
    block = module.block_around(loop)
    if block and block.index(loop) > 0:
        match block[block.index(loop) - 1]:
            case ast.Assign(targets=[ast.Name(id=begun)], value=ast.List(elts=[])) as found if begun == name:
                return found
    return None


def _leaves(loop: ast.For) -> bool:
    return any(isinstance(part, ast.Break | ast.Return | ast.Raise | ast.Yield) for part in walk(loop))


def _rewrite(loop: Loop, asyncio_name: str, os_name: str) -> list[Edit]:
    module = loop.function.module
    indent = module.indent(loop.node)
    at_once = free_name(module, "at_once")
    one = free_name(module, f"{unparsed(loop.step.call.func).rsplit('.', 1)[-1]}_of")
    target, over = module.segment(loop.target), module.segment(loop.over)
    lines = [
        f"{at_once} = {asyncio_name}.Semaphore(max(1, int({os_name}.getenv(\"CALLS_AT_ONCE\", \"{LIMIT}\"))))", "",
        f"async def {one}({target}):",
        f"    async with {at_once}:",
        f"        return {module.segment(loop.value)}", "",
    ]  # fmt: skip
    end = ""
    if loop.kept and isinstance(loop.node, ast.For):
        turns, answers, answer = (free_name(module, name) for name in ("turns", "answers", "answer"))
        lines += [
            f"{turns} = list({over})",
            f"{answers} = await {asyncio_name}.gather(*[{one}({target}) for {target} in {turns}])",
            f"for {target}, {answer} in zip({turns}, {answers}):",
        ]
        body = loop.node.body
        first, last = module.span(body[0])[0], module.span(body[-1])[1]
        start, stop = module.span(loop.value)
        head = f"{module.text[first:start]}{answer}"
        match body[0]:
            case ast.Assign(targets=[ast.Name(id=bound)]) if len(body) > 1:  # its name is what the turn goes on with
                lines[-1] = f"for {target}, {bound} in zip({turns}, {answers}):"
                head, stop = "", module.span(body[0])[1]
        end = f"{module.indent(body[0])}{(head + module.text[stop:last]).lstrip()}\n"
    elif isinstance(loop.node, ast.Return):
        gathered = f"await {asyncio_name}.gather(*[{one}({target}) for {target} in"
        if isinstance(loop.node.value, ast.DictComp):
            turns = free_name(module, "turns")
            lines += [f"{turns} = list({over})", f"return dict(zip({turns}, {gathered} {turns}])))"]
        else:
            lines.append(f"return {gathered} {over}])")
    else:
        lines.append(f"{loop.name} = await {asyncio_name}.gather(*[{one}({target}) for {target} in {over}])")
    text = "".join(f"{indent}{line}\n" if line else "\n" for line in lines)
    edits = [Edit(*whole_lines(module, loop.node), text + end)]
    if loop.empty is not None:
        edits.append(Edit(*whole_lines(module, loop.empty), ""))
    return edits
