"""Relationships of mapped objects that a loop loads one object at a time, and the option that loads all at once."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from swarm.analysis.databases.entities import objects_of
from swarm.analysis.databases.models import Model, Relation, is_library, last_name, models_of
from swarm.analysis.edits import Edit
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.rules.facts.request_code import COMPREHENSIONS
from swarm.rules.writing.placing import import_edit
from swarm.rules.writing.splices import import_from

LIBRARY, OPTION = "sqlalchemy.orm", "selectinload"
OPTIONS = (".options(", "contains_eager", "joinedload", "selectinload", "subqueryload", "immediateload", "raiseload")
OTHERWISE = re.compile(r"""['"]lazy['"]: ['"](?!select['"])""")  # SQLModel's `sa_relationship_kwargs`
CHAINED = re.compile(r"(\n[ \t]+)\.")
PLAIN_LAZY = ("", "select", "True")  # loaded at the first look, as a plain list or object


@dataclass(frozen=True, slots=True, eq=False)
class LazyLoad:
    """A loop that looks at a relationship of each object; `root` is what the objects' query begins with, if known."""

    function: Function
    node: ast.Attribute
    model: Model
    relation: Relation
    root: ast.expr | None


def lazy_loads(index: Index, function: Function) -> Iterator[LazyLoad]:
    """Each relationship that the turns of a loop load, once; none where the function chooses how it is loaded."""
    module = function.module
    if not any(model.relations for model in models_of(index).by_dotted.values()):
        return
    if "AsyncSession" in module.text or any(word in module.segment(function.node) for word in OPTIONS):
        return  # an async session refuses to load by itself
    seen: set[tuple[str, str]] = set()
    for target, over, parts in _loops(index, function):
        home, value = _source(index, function, over)
        model = objects_of(index, home, value)
        if model is None or not model.is_class:
            continue
        for node in (part for whole in parts for part in walk(whole)):
            if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name) or node.value.id != target:
                continue
            relation = model.relations.get(node.attr)
            loads = relation is not None and isinstance(node.ctx, ast.Load) and _is_lazy(relation)
            if relation is not None and loads and (model.dotted, node.attr) not in seen:
                seen.add((model.dotted, node.attr))
                root = _root(index, module, value, model) if value is over else None  # others may ask as well
                yield LazyLoad(function, node, model, relation, root)


def eager_edits(index: Index, module: Module, loads: Sequence[LazyLoad]) -> list[Edit]:
    """`.options(selectinload(Model.relation), …)` behind what each query begins with, and the option's import."""
    selectinload, imported = import_from(module, LIBRARY, OPTION)
    by_root: dict[ast.expr, list[str]] = {}
    for load in loads:
        if load.root is not None:
            named = _named_model(module, load.root)
            by_root.setdefault(load.root, []).append(f"{selectinload}({named}.{load.relation.attribute})")
    edits = [_import(index, module)] if imported is not None else []
    for root, options in by_root.items():
        end = module.span(root)[1]
        own_line = CHAINED.match(module.text[end:])  # each method of the chain stands on a line of its own
        edits.append(Edit(end, end, f"{own_line[1] if own_line else ''}.options({', '.join(options)})"))
    return edits


def _import(index: Index, module: Module) -> Edit:
    """The option added to the import of its library that is there, or one of its own."""
    for node in module.head_imports:
        if isinstance(node, ast.ImportFrom) and node.module == LIBRARY and not node.level:
            end = module.span(node.names[-1])[1]
            return Edit(end, end, f", {OPTION}")
    return import_edit(index.tree, module, f"from {LIBRARY} import {OPTION}")


def _loops(index: Index, function: Function) -> Iterator[tuple[str, ast.expr, list[ast.AST]]]:
    """The name of each loop's object, what it goes through, and what its turns run."""
    for node in index.own_of(function, ast.For, *COMPREHENSIONS):
        if isinstance(node, ast.For) and isinstance(node.target, ast.Name):
            yield node.target.id, node.iter, list(node.body)
        elif isinstance(node, COMPREHENSIONS) and isinstance(node.generators[0].target, ast.Name):
            first = node.generators[0]
            made = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
            later = [generator.iter for generator in node.generators[1:]]
            yield first.target.id, first.iter, [*made, *first.ifs, *later]  # type: ignore[attr-defined]


def _source(index: Index, function: Function, over: ast.expr) -> tuple[Module, ast.AST]:
    """The query that gives the objects: in place, under a name, or in a function of the target that returns it."""
    module = function.module
    value: ast.AST = over
    if isinstance(over, ast.Name):
        bound = index.kinds.bindings(function.node).get(over.id, [])
        value = bound[0] if len(bound) == 1 else over
    callee = index.resolve_call(module, value) if isinstance(value, ast.Call) else None
    if callee is None:
        return module, over
    returned = [node.value for node in index.own_of(callee, ast.Return) if node.value is not None]
    chosen = any(word in callee.module.segment(callee.node) for word in OPTIONS)
    return (callee.module, returned[0]) if len(returned) == 1 and not chosen else (module, over)


def _is_lazy(relation: Relation) -> bool:
    lazy = next((unparsed(k.value).strip("'\"") for k in relation.call.keywords if k.arg == "lazy"), "")
    return lazy in PLAIN_LAZY and not OTHERWISE.search(unparsed(relation.call))


def _root(index: Index, module: Module, value: ast.AST, model: Model) -> ast.expr | None:
    """`select(Model)`, `session.query(Model)` or `Model.query` at the beginning of the objects' one query."""
    function = module.enclosing_function(value)
    while isinstance(value, ast.Name) and function is not None:
        bound = index.kinds.bindings(function).get(value.id, [])
        if len(bound) != 1 or bound[0] is value:
            return None
        value = bound[0]
    found: list[ast.expr] = []
    for node in walk(value):
        if isinstance(node, ast.Name) and function is not None:
            bound = index.kinds.bindings(function).get(node.id, [])
            parts = [part for one in bound if len(bound) == 1 for part in walk(one)]
            found += [part for part in parts if isinstance(part, ast.expr) and _begins(index, module, part, model)]
        elif isinstance(node, ast.expr) and _begins(index, module, node, model):
            found.append(node)
    return found[0] if len(found) == 1 else None


def _begins(index: Index, module: Module, node: ast.expr, model: Model) -> bool:
    models = models_of(index)
    match node:
        case ast.Call(args=[named]) if (
            is_library(index, module, node.func, "select") or last_name(node.func) == "query"
        ):
            return models.find(module, named) is model
        case ast.Attribute(attr="query", value=named):
            return models.find(module, named) is model
    return False


def _named_model(module: Module, root: ast.expr) -> str:
    """The model as its query names it."""
    if isinstance(root, ast.Call):
        return module.segment(root.args[0])
    return module.segment(root.value) if isinstance(root, ast.Attribute) else ""
