"""A setup that makes the tables which the code declares, for services that leave this to somebody's hands."""

from __future__ import annotations

import ast
import re
import shlex

from swarm.analysis.index import Index
from swarm.analysis.source import Module

_BASES = frozenset({
    "sqlalchemy.orm.declarative_base", "sqlalchemy.ext.declarative.declarative_base",
    "sqlalchemy.orm.DeclarativeBase",
    "sqlmodel.SQLModel", "sqlalchemy.orm.decl_api.declarative_base",
})  # fmt: skip
_ENGINES = {
    "sqlalchemy.create_engine": False, "sqlmodel.create_engine": False, "sqlalchemy.engine.create_engine": False,
    "sqlalchemy.ext.asyncio.create_async_engine": True,
}  # fmt: skip
NO_TABLE = re.compile(r"UndefinedTable|no such table|relation \"[^\"]+\" does not exist|UndefinedTableError")


def create_tables(index: Index, root: str) -> str | None:
    """`python -c` that makes all tables; None where base, engine or models are not told by plain names.

    `root` is the folder that imports count from, relative to the tree.
    """
    modules = list(index.tree.modules.values())
    engine = next((found for module in modules if (found := _engine(index, module))), None)
    base = next((one for module in modules if (one := _base(index, module))), None)
    if base is None or engine is None:
        return None
    models = sorted(
        {module for module in index.tree.modules.values() if re.search(r"__tablename__|table=True", module.text)},
        key=lambda module: module.path,
    )
    names = [_import_name(module, root) for module in [*models, base[0], engine[0]]]
    if not models or None in names:
        return None
    lines = [f"import {name}" for name in dict.fromkeys(name for name in names if name)]
    lines.append(f"from {names[-2]} import {base[1]} as Base")
    lines.append(f"from {names[-1]} import {engine[1]} as engine")
    if engine[2]:
        lines += [
            "import asyncio", "async def make():",
            "    async with engine.begin() as connection:",
            "        await connection.run_sync(Base.metadata.create_all)", "asyncio.run(make())",
        ]  # fmt: skip
    else:
        lines.append("Base.metadata.create_all(engine)")
    return f"python -c {shlex.quote((chr(10) if engine[2] else '; ').join(lines))}"


def _base(index: Index, module: Module) -> tuple[Module, str] | None:
    for name, statement in module.globals.items():
        value = getattr(statement, "value", None)
        if isinstance(value, ast.Call) and (index.resolve(module, value.func) or "") in _BASES:
            return module, name
        if isinstance(statement, ast.ClassDef):
            bases = {index.resolve(module, base) or "" for base in statement.bases}
            if "sqlalchemy.orm.DeclarativeBase" in bases:
                return module, name
            if "sqlmodel.SQLModel" in bases and any(keyword.arg == "table" for keyword in statement.keywords):
                return module, name
    return None


def _engine(index: Index, module: Module) -> tuple[Module, str, bool] | None:
    for name, statement in module.globals.items():
        value = getattr(statement, "value", None)
        if isinstance(value, ast.Call):
            is_async = _ENGINES.get(index.resolve(module, value.func) or "")
            if is_async is not None:
                return module, name, is_async
    return None


def _import_name(module: Module, root: str) -> str | None:
    if root and not module.path.startswith(f"{root}/"):
        return None
    inside = module.path[len(root) + 1 :] if root else module.path
    name = inside.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return name if re.fullmatch(r"[A-Za-z_][\w.]*", name) else None
