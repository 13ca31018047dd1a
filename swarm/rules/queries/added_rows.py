"""Loops that do nothing but add objects of one mapped class to a session, right before they are flushed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from swarm.analysis.databases.database_kinds import SESSIONS
from swarm.analysis.databases.models import Model, last_name, models_of
from swarm.analysis.index import ClassInfo, Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.rules.writing.splices import is_alone, whole_lines

FLUSHING = ("commit", "flush")
# what the unit of work does for each object, and an INSERT of many rows does not
OBJECT_EVENTS = ("before_insert", "after_insert", "before_flush", "after_flush", "after_attach", "validates(")
OWN_WAYS = frozenset({"__init__", "__new__", "__post_init__", "__mapper_args__", "__setattr__"})


@dataclass(frozen=True, slots=True, eq=False)
class Adding:
    """A loop whose body is `session.add(Model(…))`, perhaps with a commit; `is_plain` where it can be rewritten."""

    function: Function
    loop: ast.For
    call: ast.Call
    owner: ast.expr
    model: Model
    commit: ast.stmt | None
    is_plain: bool


def addings(index: Index, function: Function) -> Iterator[Adding]:
    """The loops of a function that only add."""
    for loop in index.own_of(function, ast.For):
        found = _added(index, function, loop)
        if found is not None:
            owner, made, model, commit = found
            plain = _is_plain(index, function, loop, made, model, commit)
            yield Adding(function, loop, made, owner, model, commit, plain)


def _added(
    index: Index, function: Function, loop: ast.For
) -> tuple[ast.expr, ast.Call, Model, ast.stmt | None] | None:
    """The session, the object's making, its class and the commit of a loop that only adds and flushes at once."""
    module = function.module
    commit: ast.stmt | None
    match loop.body:
        case [
            ast.Expr(value=ast.Call(func=ast.Attribute(value=owner, attr="add"), args=[ast.Call() as made])),
            *rest,
        ]:
            pass
        case [
            ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as made),
            ast.Expr(value=ast.Call(func=ast.Attribute(value=owner, attr="add"), args=[ast.Name(id=added)])),
            *rest,
        ] if name == added and _uses(function, name) == 1:
            pass
        case _:
            return None
    if loop.orelse or len(rest) > 1:
        return None
    commit = rest[0] if rest else None
    model = models_of(index).find(module, made.func)
    if model is None or not model.is_class or index.kinds.of(module, owner) not in SESSIONS:
        return None
    if commit is not None:
        ended = _flushes(commit, owner)
    else:
        ended = _flushes(_next(module, loop), owner) or _ends_transaction(module, loop)
    return (owner, made, model, commit) if ended else None


def _uses(function: Function, name: str) -> int:
    """How often the function reads a name, in what it defines inside as well."""
    return sum(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
        for node in walk(function.node)
    )  # fmt: skip


def _flushes(statement: ast.stmt | None, owner: ast.expr) -> bool:
    value = statement.value if isinstance(statement, ast.Expr) else None
    value = value.value if isinstance(value, ast.Await) else value
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Attribute):
        return False
    return value.func.attr in FLUSHING and unparsed(value.func.value) == unparsed(owner)


def _next(module: Module, statement: ast.stmt) -> ast.stmt | None:
    block = module.block_around(statement)
    place = block.index(statement) + 1 if block else 0
    return block[place] if 0 < place < len(block) else None


def _ends_transaction(module: Module, loop: ast.For) -> bool:
    """Whether it is the last statement of a `with session.begin():`."""
    parent = module.parent(loop)
    if not isinstance(parent, ast.With | ast.AsyncWith) or parent.body[-1] is not loop:
        return False
    return any(unparsed(item.context_expr).endswith(".begin()") for item in parent.items)


def _is_plain(
    index: Index, function: Function, loop: ast.For, made: ast.Call, model: Model, commit: ast.stmt | None
) -> bool:
    """Whether an INSERT of many rows says the same as the objects do."""
    module = function.module
    names = [keyword.arg for keyword in made.keywords]
    if made.args or not names or not all(name in model.columns for name in names):
        return False
    if any(model.columns[name or ""].name != name for name in names) or not _is_plain_class(index, model):
        return False
    if not is_alone(module, loop.body[0]) or loop.body[0].lineno == loop.lineno or loop.type_comment:
        return False
    comments = module.text[slice(*whole_lines(module, loop))].count("#")
    parts = [part for value in (loop.target, loop.iter, *made.keywords) for part in walk(value)]
    if comments or any(isinstance(part, ast.Await | ast.NamedExpr | ast.Yield | ast.YieldFrom) for part in parts):
        return False
    targets = {part.id for part in walk(loop.target) if isinstance(part, ast.Name)}
    inside = set(walk(loop))
    elsewhere = {
        node.id for node in walk(function.node)
        if isinstance(node, ast.Name) and node not in inside and isinstance(node.ctx, ast.Load)
        and not _has_own_loop(module, node)
    }  # fmt: skip
    simple = all(isinstance(part, ast.Name | ast.Tuple | ast.List | ast.Store) for part in walk(loop.target))
    return simple and not targets & elsewhere and (commit is None or is_alone(module, commit))


def _has_own_loop(module: Module, name: ast.Name) -> bool:
    """Whether another loop or comprehension around a name binds it anew."""
    for around in module.ancestors(name):
        targets = [around.target] if isinstance(around, ast.For | ast.AsyncFor) else []
        targets += [generator.target for generator in getattr(around, "generators", [])]
        if any(isinstance(part, ast.Name) and part.id == name.id for target in targets for part in walk(target)):
            return True
    return False


def _is_plain_class(index: Index, model: Model) -> bool:
    """Whether the unit of work does nothing for its objects but insert them."""
    models = models_of(index).by_dotted
    if any(column.call is not None and last_name(column.call.func) == "Field" for column in model.columns.values()):
        return False  # SQLModel's defaults are the object's, not the table's
    info = index.classes[model.dotted]
    parents = [index.classes.get(index.resolve(info.module, base) or "") for base in info.node.bases]
    for one in (info, *(parent for parent in parents if parent is not None)):
        if OWN_WAYS & {*one.methods, *one.attributes, *one.annotations} or "Dataclass" in _bases(one):
            return False
        if one is not info and one.dotted in models:
            return False
    children = [index.classes[other] for other, known in models.items() if known.is_class and other != model.dotted]
    name = model.dotted.rsplit(".", 1)[-1]
    if any(name in _bases(child).split() for child in children):
        return False
    texts = [module.text for module in index.tree.modules.values() if "sqlalchemy" in module.text]
    return not any(word in text for text in texts for word in (*OBJECT_EVENTS, "autoflush=False"))


def _bases(info: ClassInfo) -> str:
    return " ".join(unparsed(base) for base in info.node.bases)
