"""The tables that SQLAlchemy declares in Python: mapped classes, SQLModel's, Flask-SQLAlchemy's and `Table(…)`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module

if TYPE_CHECKING:
    from swarm.analysis.index import Index
    from swarm.analysis.parts import ClassInfo

LIBRARIES = ("sqlalchemy", "sqlmodel", "flask_sqlalchemy")
COLUMN_MAKERS = ("mapped_column", "Column", "Field", "column")
RELATION_MAKERS = ("relationship", "Relationship")
EAGER = ("selectin", "joined", "subquery", "immediate", "False")
MAX_DEPTH = 6


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column: `attribute` in Python, `name` in the database; `call` is what declares it, if anything does.

    `indexed` where it leads an index, a key or a unique constraint; `foreign_key` is "table.column" or "".
    """

    attribute: str
    name: str
    module: Module
    statement: ast.stmt
    call: ast.Call | None
    annotation: ast.expr | None
    indexed: bool
    unique: bool
    foreign_key: str


@dataclass(frozen=True, slots=True, eq=False)
class Relation:
    """One relationship: `target` is the dotted class it leads to, where that is known."""

    attribute: str
    target: str | None
    eager: bool
    many: bool
    statement: ast.stmt
    call: ast.Call


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """One declared table; `node` is its class, or the assignment of a `Table(…)`."""

    dotted: str
    table: str
    module: Module
    node: ast.ClassDef | ast.stmt
    columns: dict[str, Column] = field(default_factory=dict)
    relations: dict[str, Relation] = field(default_factory=dict)

    @property
    def is_class(self) -> bool:
        """Whether it is a mapped class, not a plain `Table(…)`."""
        return isinstance(self.node, ast.ClassDef)


class Models:
    """Every declared table of a tree, by the dotted name of its class or `Table`."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self.by_dotted: dict[str, Model] = {}
        self._aliases: set[str] = set()  # attributes under which classes keep a mapped one: `model = Order`
        index.notes["models"] = self  # what asks for it while it is read finds what there is
        for dotted, info in index.classes.items():
            table = self._table_name(info, 0)
            if table is not None:
                self.by_dotted[dotted] = Model(dotted, table, info.module, info.node)
        for dotted, model in self.by_dotted.items():
            self._read_class(model, index.classes[dotted], 0)
        for module in index.tree.modules.values():
            self._read_tables(module)
        self._read_indexes()
        for info in index.classes.values():
            kept = ((name, index.resolve(info.module, value)) for name, value in info.attributes.items()
                    if isinstance(value, ast.Name | ast.Attribute))  # fmt: skip
            self._aliases |= {name for name, dotted in kept if dotted in self.by_dotted}

    def find(self, module: Module, expression: ast.AST, depth: int = 0) -> Model | None:
        """The table that an expression names: a mapped class, an alias of one, a `Table`, `X.__table__`."""
        if not isinstance(expression, ast.Name | ast.Attribute) or not self.by_dotted:
            return None
        dotted = self._index.resolve(module, expression)
        if dotted is not None and (known := self.by_dotted.get(dotted.removesuffix(".__table__"))) is not None:
            return known
        if isinstance(expression, ast.Attribute) and expression.attr in self._aliases and depth < MAX_DEPTH:
            return self._of_class(module, expression, depth)
        if dotted is not None:
            return None
        if isinstance(expression, ast.Name) and depth < MAX_DEPTH:
            function = module.enclosing_function(expression)
            for value in self._index.kinds.bindings(function).get(expression.id, []) if function is not None else []:
                is_alias = isinstance(value, ast.Call) and last_name(value.func) == "aliased" and value.args
                named: ast.AST = value.args[0] if is_alias and isinstance(value, ast.Call) else value
                found = self.find(module, named, depth + 1)
                if found is not None:
                    return found
        return None

    def _of_class(self, module: Module, named: ast.Attribute, depth: int) -> Model | None:
        """`Orders.model`, `self.model`, where the class says `model = Order`."""
        index = self._index
        owner = index.resolve(module, named.value)
        info = index.classes.get(owner if owner in index.classes else index.kinds.of(module, named.value) or "")
        value = info.attributes.get(named.attr) if info is not None else None
        return self.find(info.module, value, depth + 1) if info is not None and value is not None else None

    def column(self, module: Module, expression: ast.AST) -> tuple[Model, Column] | None:
        """The table and its column that `Model.attribute` or `table.c.name` names; None for anything else."""
        if not isinstance(expression, ast.Attribute):
            return None
        owner = expression.value
        if isinstance(owner, ast.Attribute) and owner.attr in ("c", "columns"):
            owner = owner.value
        model = self.find(module, owner)
        column = model.columns.get(expression.attr) if model is not None else None
        return (model, column) if model is not None and column is not None else None

    # -- reading classes

    def _table_name(self, info: ClassInfo, depth: int) -> str | None:
        name = info.attributes.get("__tablename__")
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            return name.value.lower()
        if "__abstract__" in info.attributes or depth > MAX_DEPTH:
            return None
        if any(k.arg == "table" and unparsed(k.value) == "True" for k in info.node.keywords):
            return info.node.name.lower()
        for base in info.bases:
            if isinstance(base, ast.Attribute) and base.attr == "Model" \
                    and self._index.kinds.of(info.module, base.value) == "flask_sqlalchemy.SQLAlchemy":  # fmt: skip
                return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", info.node.name).lower()
            parent = self._index.classes.get(self._index.resolve(info.module, base) or "")
            inherited = self._table_name(parent, depth + 1) if parent is not None else None
            if inherited is not None:
                return inherited
            if parent is not None and "__tablename__" in parent.methods and self._has_columns(info):
                return info.node.name.lower()  # computed from the class's name, as a rule like this
        return None

    def _has_columns(self, info: ClassInfo) -> bool:
        values = list(info.attributes.values())
        values += [s.value for s in info.node.body if isinstance(s, ast.AnnAssign) and s.value is not None]
        return any(isinstance(value, ast.Call) and last_name(value.func) in COLUMN_MAKERS for value in values)

    def _read_class(self, model: Model, info: ClassInfo, depth: int) -> None:
        """Columns and relationships of a class, those of its bases and mixins first."""
        for base in info.bases:
            parent = self._index.classes.get(self._index.resolve(info.module, base) or "")
            if parent is not None and depth < MAX_DEPTH:
                self._read_class(model, parent, depth + 1)
        for statement in info.node.body:
            match statement:
                case ast.AnnAssign(target=ast.Name(id=name), value=value, annotation=annotation):
                    self._read_attribute(model, info.module, statement, name, value, annotation)
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self._read_attribute(model, info.module, statement, name, value, None)

    def _read_attribute(self, model: Model, module: Module, statement: ast.stmt, name: str,
                        value: ast.expr | None, annotation: ast.expr | None) -> None:  # fmt: skip
        call = value if isinstance(value, ast.Call) else None
        maker = last_name(call.func) if call is not None else ""
        if call is not None and maker in RELATION_MAKERS:
            model.relations[name] = _relation(self, statement, name, call, annotation)
        elif call is not None and maker in COLUMN_MAKERS:
            model.columns[name] = _column(module, statement, name, call, annotation)
        elif call is None and annotation is not None and not name.startswith("_") and model.is_class:
            mapped = unparsed(annotation).startswith(("Mapped[", "orm.Mapped["))
            sqlmodel = any(k.arg == "table" for k in getattr(model.node, "keywords", []))
            if mapped or sqlmodel:
                model.columns[name] = Column(name, name, module, statement, None, annotation, False, False, "")

    def class_named(self, name: str) -> str | None:
        """The dotted class of a mapped class's plain name, where only one has it."""
        found = [dotted for dotted in self.by_dotted if dotted.rsplit(".", 1)[-1] == name.rsplit(".", 1)[-1]]
        return found[0] if len(found) == 1 else None

    # -- reading `Table(…)` and indexes

    def _read_tables(self, module: Module) -> None:
        for name, statement in module.globals.items():
            call = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
            if not isinstance(call, ast.Call) or not is_library(self._index, module, call.func, "Table"):
                continue
            first = call.args[0] if call.args else None
            if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
                continue
            dotted = f"{module.dotted}.{name}" if module.dotted else name
            model = Model(dotted, first.value.lower(), module, statement)
            for part in call.args[2:]:
                inner = part if isinstance(part, ast.Call) and last_name(part.func) == "Column" else None
                column = _column(module, statement, "", inner, None) if inner is not None else None
                if column is not None and column.name:
                    model.columns[column.name] = column
            self.by_dotted[dotted] = model

    def _read_indexes(self) -> None:
        """Columns that lead an `Index` or a constraint of several count as indexed."""
        for model in self.by_dotted.values():
            within = [call for call in walk(model.node) if isinstance(call, ast.Call)]
            for call in within:
                if last_name(call.func) in ("Index", "UniqueConstraint", "PrimaryKeyConstraint"):
                    names = call.args[1:] if last_name(call.func) == "Index" else call.args
                    self._mark(model, names[0] if names else None)
        for module in self._index.tree.modules.values():
            for call in module.nodes(ast.Call):
                if last_name(call.func) == "Index" and len(call.args) > 1:
                    found = self.column(module, call.args[1])
                    if found is not None:
                        self._mark(found[0], ast.Constant(found[1].name))

    def _mark(self, model: Model, leading: ast.expr | None) -> None:
        wanted = leading.value if isinstance(leading, ast.Constant) else unparsed(leading) if leading else ""
        for key, column in list(model.columns.items()):
            if wanted in (column.name, column.attribute):
                model.columns[key] = Column(
                    column.attribute, column.name, column.module, column.statement, column.call,
                    column.annotation, True, column.unique, column.foreign_key,
                )  # fmt: skip


def _column(module: Module, statement: ast.stmt, attribute: str, call: ast.Call,
            annotation: ast.expr | None) -> Column:  # fmt: skip
    given = {keyword.arg: unparsed(keyword.value) for keyword in call.keywords if keyword.arg}
    first = call.args[0] if call.args else None
    is_named = isinstance(first, ast.Constant) and isinstance(first.value, str) and last_name(call.func) != "Field"
    name = (
        str(first.value) if is_named and isinstance(first, ast.Constant) else given.get("name", attribute).strip("'")
    )
    key = given.get("foreign_key", "").strip("'\"")
    for part in walk(call):
        if isinstance(part, ast.Call) and last_name(part.func) == "ForeignKey" and part.args:
            target = part.args[0]
            key = str(target.value) if isinstance(target, ast.Constant) else unparsed(target)
    unique = given.get("unique") == "True"
    primary = given.get("primary_key") == "True"
    indexed = unique or primary or given.get("index", "False") not in ("False", "None")
    return Column(attribute or name, name, module, statement, call, annotation, indexed, unique or primary, key)


def _relation(models: Models, statement: ast.stmt, name: str, call: ast.Call,
              annotation: ast.expr | None) -> Relation:  # fmt: skip
    named = ""
    if call.args:
        first = call.args[0]
        named = str(first.value) if isinstance(first, ast.Constant) else unparsed(first)
    text = unparsed(annotation).replace("'", "").replace('"', "") if annotation is not None else ""
    if not named and text:
        named = re.sub(r"^.*\[|\].*$", "", text).partition("|")[0].strip()
    lazy = next((unparsed(k.value).strip("'") for k in call.keywords if k.arg == "lazy"), "")
    many = bool(re.search(r"\b(?:list|List|set|Set|Sequence)\[", text))
    return Relation(name, models.class_named(named) if named else None, lazy in EAGER, many, statement, call)


def last_name(expression: ast.AST) -> str:
    """The last part of a dotted expression."""
    if isinstance(expression, ast.Attribute):
        return expression.attr
    return expression.id if isinstance(expression, ast.Name) else ""


def library_name(index: Index, module: Module, expression: ast.AST) -> str:
    """The plain name under which SQLAlchemy (or a companion) knows a function or class; "" for all else."""
    dotted = index.resolve(module, expression) or ""
    if dotted.split(".")[0] in LIBRARIES:
        return dotted.rsplit(".", 1)[-1]
    if isinstance(expression, ast.Attribute) \
            and index.kinds.of(module, expression.value) == "flask_sqlalchemy.SQLAlchemy":  # fmt: skip
        return expression.attr
    return ""


def is_library(index: Index, module: Module, expression: ast.AST, *names: str) -> bool:
    """Whether an expression is one of SQLAlchemy's (or its companions') functions or classes of these names."""
    return library_name(index, module, expression) in names


def mentioned(models: Models, module: Module, expression: ast.AST) -> Iterator[Model]:
    """The tables that any part of an expression names, what loads with them included."""
    for node in walk(expression):
        model = models.find(module, node)
        if model is not None:
            yield model
            yield from _loaded_with(models, model)
        if isinstance(node, ast.Attribute):
            owner = models.find(module, node.value)
            relation = owner.relations.get(node.attr) if owner is not None else None
            target = models.by_dotted.get(relation.target or "") if relation is not None else None
            if target is not None:
                yield target


def _loaded_with(models: Models, model: Model, depth: int = 0) -> Iterator[Model]:
    for relation in model.relations.values():
        target = models.by_dotted.get(relation.target or "")
        if relation.eager and target is not None and depth < MAX_DEPTH:
            yield target
            yield from _loaded_with(models, target, depth + 1)


def models_of(index: Index) -> Models:
    """The declared tables that belong to an index, read once."""
    found = index.notes.get("models")
    return found if isinstance(found, Models) else Models(index)
