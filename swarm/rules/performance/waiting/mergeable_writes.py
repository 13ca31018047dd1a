"""Several partial updates of one resource, one call after the other."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from swarm.analysis.edits import Edit
from swarm.analysis.effects import HttpCall, effects_cache, http_call
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import BLOCKS, unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module, parameters
from swarm.core.findings import Finding
from swarm.rules.examples import mergeable_writes as examples
from swarm.rules.rule import Mend, Rule, edited
from swarm.rules.writing.splices import WIDTH, is_alone, whole_lines

PARTIAL_VERBS = frozenset({"PUT", "PATCH"})
PAYLOADS = frozenset({"json", "data", "payload", "body", "content"})
PURE_CALLS = frozenset(
    {"str", "int", "float", "bool", "len", "list", "dict", "tuple", "sorted", "round", "min", "max"}
)
CLIENTS = frozenset({"self._client", "self.client", "self._session", "self.session", "self._http", "self.http"})


@dataclass(frozen=True, slots=True)
class _Update:
    """A statement that sends some fields of a resource; `key` says which resource, and over which function.

    `check` is the statement behind it that does nothing but raise for a bad answer. `by_name` where the fields are
    the call's keywords.
    """

    statement: ast.stmt
    call: ast.Call
    fields: ast.Dict
    key: str
    check: ast.stmt | None = None
    by_name: bool = False


class MergeableWrites(Rule):
    """A resource is updated twice in a row, each time with a few of its fields, though one call takes them all.

    Why: each call waits for the other service and counts against its quota. Example: `await crm.update(id,
    {"score": 5})` and then `await crm.update(id, {"tier": "hot"})`.

    The mend: one call with the fields of both. Only for neighbours in one block whose results nobody uses, over
    one function of the target that sends a PUT or PATCH whose body is made of those fields alone. That the second
    PUT does not take back the first one's fields shows that it is partial. The fields must be dict literals with
    constant keys, and their values must be computed without an effect. In between, an observer could see the
    resource with the first fields alone; after the mend it sees none or all.
    """

    id = "mergeable-writes"
    category = "performance"
    severity = "medium"
    title = "Two updates of one resource in a row"
    order = 80
    sources = ("HighLevel API v2: PUT /contacts/{id} takes all custom fields in one call",)
    bad = examples.BAD
    good = examples.GOOD

    def find(self, index: Index) -> Iterable[Finding]:
        """Every run of updates of one resource on a request's path."""
        for function in index.functions_on_path:
            for run in _runs(index, function):
                yield self._finding(function, run)

    def _finding(self, function: Function, run: Sequence[_Update]) -> Finding:
        module = function.module
        place = ast.Pass(lineno=run[0].statement.lineno, end_lineno=run[-1].statement.end_lineno, col_offset=0)
        names = [_names(update.fields) for update in run]
        return self.finding(
            module, place,
            evidence=f"{unparsed(run[0].call.func)} is called {len(run)} times for one resource in "
            f"{function.qualname}, with {' and then '.join(', '.join(sorted(some)) for some in names)}",
            recommendation="Send the fields in one call",
            anchor=f"{function.qualname}:{run[0].key}",
            mendable=_is_plain_layout(module, run),
        )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """One call in place of each run that the findings name."""
        module = index.tree.modules[findings[0].file]
        wanted = {finding.id for finding in findings}
        edits: list[Edit] = []
        for function in index.functions:
            if function.module is module:
                for run in _runs(index, function):
                    if self._finding(function, run).id in wanted:
                        edits += _merged(module, run)
        return Mend(
            "Update a resource in one call",
            "The calls sent parts of one resource, one after the other; one call sends them all. The request body "
            "is built from these fields alone, and nothing used the answers.",
            (edited(module, edits),),
        )


def _runs(index: Index, function: Function) -> Iterator[list[_Update]]:
    if len(index.calls(function)) < 2:
        return
    for node in [function.node, *index.own_of(function, *BLOCKS)]:
        for body in (getattr(node, field, None) for field in ("body", "orelse", "finalbody")):
            run: list[_Update] = []
            for statement, following in pairwise([*body, None, None]) if isinstance(body, list) else ():
                if run and statement is not None and statement is run[-1].check:
                    continue
                may_be_one = isinstance(statement, ast.Expr | ast.Assign)
                update = _checked(index, function, statement, following) if may_be_one else None
                if update is not None and run and update.key == run[0].key:
                    run.append(update)
                    continue
                if len(run) > 1:
                    yield run
                run = [update] if update is not None else []


def _checked(index: Index, function: Function, statement: ast.stmt, following: ast.stmt | None) -> _Update | None:
    """The update that a statement is, or that it is with the check of its answer behind it."""
    match statement, following:
        case (
            ast.Assign(targets=[ast.Name(id=name)], value=value),
            ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=asked), attr="raise_for_status"), args=[])),
        ) if name == asked:
            found = _update(index, function, ast.copy_location(ast.Expr(value), statement))
            if found is not None:
                return replace(found, statement=statement, key=f"{name} = {found.key}", check=following)
            return None
    return _update(index, function, statement)


def _update(index: Index, function: Function, statement: ast.stmt) -> _Update | None:
    """The statement as a partial update whose answer nobody uses."""
    match statement:
        case ast.Expr(value=ast.Await(value=ast.Call() as call)) | ast.Expr(value=ast.Call() as call):
            pass
        case _:
            return None
    match call:  # `requests.patch(…).raise_for_status()`
        case ast.Call(
            func=ast.Attribute(
                value=ast.Await(value=ast.Call() as inner) | (ast.Call() as inner), attr="raise_for_status"
            ),
            args=[],
        ):
            call = inner
    callee = index.resolve_call(function.module, call)
    request = http_call(index, function.module, call)
    if request is not None:
        return _sent_directly(statement, request)
    given = [*enumerate(call.args), *((keyword.arg, keyword.value) for keyword in call.keywords)]
    dicts = [(place, value) for place, value in given if isinstance(value, ast.Dict)]
    if callee is None or callee is function or not all(_is_pure(value) for _, value in given):
        return None
    if not dicts:
        return _of_keywords(index, callee, statement, call)
    if len(dicts) != 1:
        return None
    place, fields = dicts[0]
    if not isinstance(fields, ast.Dict) or not fields.keys or None in (_name(key) for key in fields.keys):
        return None
    parameter = _parameter(callee, place)
    if parameter is None or not _sends_partially(index, callee, parameter):
        return None
    others = [f"{where}={unparsed(value)}" for where, value in given if value is not fields]
    return _Update(statement, call, fields, f"{unparsed(call.func)}({', '.join(others)}, {place})")


def _of_keywords(index: Index, callee: Function, statement: ast.stmt, call: ast.Call) -> _Update | None:
    """`desk.update(number, state="closed")`, where the function takes its fields as `**fields`."""
    taken = callee.node.args.kwarg
    own = {argument.arg for argument in parameters(callee.node)}
    names = [keyword.arg for keyword in call.keywords]
    if taken is None or not names or not all(name and name not in own for name in names):
        return None
    if not _sends_partially(index, callee, taken.arg):
        return None
    pairs = [(ast.Constant(keyword.arg), keyword.value) for keyword in call.keywords]
    fields = ast.Dict([key for key, _ in pairs], [value for _, value in pairs])
    key = f"{unparsed(call.func)}({', '.join(map(unparsed, call.args))}, **)"
    return _Update(statement, call, fields, key, by_name=True)


def _sent_directly(statement: ast.stmt, request: HttpCall) -> _Update | None:
    """`client.patch(url, json={…})` with nothing else that differs: a PATCH is partial by its verb."""
    call = request.call
    fields = next((keyword.value for keyword in call.keywords if keyword.arg == "json"), None)
    given = [*enumerate(call.args), *((keyword.arg, keyword.value) for keyword in call.keywords)]
    if request.verb != "PATCH" or not isinstance(fields, ast.Dict) or not all(_is_pure(value) for _, value in given):
        return None
    if not fields.keys or None in (_name(key) for key in fields.keys):
        return None
    others = [f"{where}={unparsed(value)}" for where, value in given if value is not fields]
    return _Update(statement, call, fields, f"{unparsed(call.func)}({', '.join(others)}, json)")


def _parameter(callee: Function, place: int | str | None) -> str | None:
    if not isinstance(place, int):
        return place
    node = callee.node.args
    names = [argument.arg for argument in (*node.posonlyargs, *node.args)]
    names = names[1:] if callee.class_name and names[:1] in (["self"], ["cls"]) else names
    return names[place] if place < len(names) else None


def _sends_partially(index: Index, callee: Function, parameter: str) -> bool:
    """Whether all that the function does is to send one PUT or PATCH whose body is made of the parameter alone."""
    effects = effects_cache(index)
    reached = effects.reached(callee)
    if any(e.sql or e.commits or e.unknown_database or e.writes_memory - CLIENTS for _, e in reached):
        return False
    if sum(len(e.http) for _, e in reached) != 1:
        return False
    sends = [call for call in index.calls(callee) if _verb(index, callee.module, call) in PARTIAL_VERBS]
    if len(sends) != 1:
        return False
    payload = next((k.value for k in sends[0].keywords if k.arg in PAYLOADS), None)
    derived = _derived(index, callee, parameter)
    if payload is None or not _made_of(payload, derived):
        return False
    inside = {id(node) for node in walk(payload)}
    for statement in _derivations(index, callee, derived):
        inside |= {id(node) for node in walk(statement)}
    uses = (node for node in index.own_of(callee, ast.Name) if node.id in derived)
    return all(id(node) in inside for node in uses)


def _verb(index: Index, module: Module, call: ast.Call) -> str:
    request = http_call(index, module, call)
    if request is not None:
        return request.verb
    if index.named_function(module, call.func) is None:
        return ""
    named = call.func.attr if isinstance(call.func, ast.Attribute) else unparsed(call.func)
    words = [
        named.strip("_"),
        *(a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)),
    ]
    return next((word.upper() for word in words if word.upper() in PARTIAL_VERBS), "")


def _derived(index: Index, callee: Function, parameter: str) -> frozenset[str]:
    """The parameter, and the names that are computed from it alone."""
    names = {parameter}
    for node in index.own_nodes(callee):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name) \
                and _made_of(node.value, frozenset(names)):  # fmt: skip
            names.add(node.targets[0].id)
    assigned = [n.id for n in index.own_of(callee, ast.Name) if isinstance(n.ctx, ast.Store)]
    return frozenset(name for name in names if assigned.count(name) == (name != parameter))


def _derivations(index: Index, callee: Function, derived: frozenset[str]) -> Iterator[ast.AST]:
    for node in index.own_of(callee, ast.Assign):
        if isinstance(node.targets[0], ast.Name) and node.targets[0].id in derived:
            yield node


def _made_of(value: ast.expr, names: frozenset[str]) -> bool:
    """Whether an expression uses the names, and beside them only constants and its own loop variables."""
    own = {node.id for node in walk(value) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    used = {node.id for node in walk(value) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return bool(used & names) and used <= names | own | PURE_CALLS


def _is_pure(value: ast.expr) -> bool:
    """Whether computing it has no effect, and gives the same before and after another call of its kind."""
    for node in walk(value):
        if isinstance(node, ast.Await | ast.NamedExpr | ast.Yield | ast.YieldFrom | ast.Lambda):
            return False
        if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in PURE_CALLS):
            return False
    return True


def _name(key: ast.expr | None) -> str | None:
    return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else None


def _names(fields: ast.Dict) -> set[str]:
    return {name for name in map(_name, fields.keys) if name is not None}


def _is_plain_layout(module: Module, run: Sequence[_Update]) -> bool:
    """Whether no field is named twice, calls stand on lines of their own and no comment would be lost with one."""
    names = [name for update in run for name in _names(update.fields)]
    parts = [part for update in run for part in (update.statement, update.check) if part is not None]
    if not all(is_alone(module, part) for part in parts):
        return False
    comments = any("#" in module.segment(update.statement) for update in run[:-1])
    return len(names) == len(set(names)) and not comments


def _merged(module: Module, run: Sequence[_Update]) -> list[Edit]:
    """The last call takes the fields of those before it, which go."""
    last = run[-1]
    gone = [
        statement for update in run[:-1] for statement in (update.statement, update.check) if statement is not None
    ]
    edits = [Edit(*whole_lines(module, statement), "") for statement in gone]
    if last.by_name:
        given = ", ".join(module.segment(keyword) for update in run[:-1] for keyword in update.call.keywords)
        first_name = module.span(last.call.keywords[0])[0]
        return [*edits, Edit(first_name, first_name, f"{given}, ")]
    start, end = module.span(last.fields)
    first = last.fields.keys[0]
    assert first is not None
    at = module.span(first)[0]
    opening = module.text[start + 1 : at]
    texts = [text for update in run[:-1] for text in _pair_texts(module, update.fields)]
    if "\n" in opening:
        lead = opening.rpartition("\n")[2]
        return [*edits, Edit(at, at, "".join(f"{text},\n{lead}" for text in texts))]
    whole = module.segment(last.statement)
    joined = ", ".join(texts) + ", "
    indent = module.indent(last.statement)
    if "\n" not in whole and len(indent + whole) + len(joined) > WIDTH:
        everything = [*texts, *_pair_texts(module, last.fields)]
        inner = "".join(f"{indent}    {text},\n" for text in everything)
        return [*edits, Edit(start, end, f"{{\n{inner}{indent}}}")]
    return [*edits, Edit(at, at, joined)]


def _pair_texts(module: Module, fields: ast.Dict) -> list[str]:
    pairs = zip(fields.keys, fields.values, strict=True)
    return [f"{module.segment(key)}: {module.segment(value)}" for key, value in pairs if key is not None]
