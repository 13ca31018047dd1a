"""How a module of the target imports from a module that a mend puts beside the application."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from swarm.analysis.source import Module, SourceTree
from swarm.rules.writing.placing import sibling_import


def import_of(tree: SourceTree, module: Module, beside: Module, stem: str, name: str) -> str:
    """The statement with which `module` reaches `name` in a new module `stem` that lies beside `beside`.

    It is spelled as the tree spells its imports of that folder: relative, with the package's name, or bare.
    """
    folder, own = _folder(beside), _folder(module)
    if folder == own:
        return sibling_import(tree, module, stem, name)
    relative = any(node.level for node in module.nodes(ast.ImportFrom))
    if relative and (relative_path := _relative(tree, own, folder)) is not None:
        return f"from {relative_path}{stem} import {name}"
    prefix = next(_prefixes(tree, module, folder), None)
    if prefix is None:
        others = (found for other in tree.modules.values() for found in _prefixes(tree, other, folder))
        prefix = next(others, beside.dotted if beside.is_package else beside.dotted.rpartition(".")[0])
    return f"from {prefix}.{stem} import {name}" if prefix else f"from {stem} import {name}"


def _folder(module: Module) -> str:
    return module.path.rpartition("/")[0]


def _relative(tree: SourceTree, own: str, folder: str) -> str | None:
    """The dots and names from a module in `own` to one in `folder`, where all between are packages."""
    here, there = [part for part in own.split("/") if part], [part for part in folder.split("/") if part]
    shared = 0
    while shared < min(len(here), len(there)) and here[shared] == there[shared]:
        shared += 1
    up = len(here) - shared
    top = "/".join(here[:shared])
    if f"{top}/__init__.py".lstrip("/") not in tree.files:
        return None
    return "." * (up + 1) + "".join(f"{part}." for part in there[shared:])


def _prefixes(tree: SourceTree, module: Module, folder: str) -> Iterator[str]:
    """The package names by which a module's imports reach modules that lie in `folder`."""
    for node in module.tree.body:
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for dotted in names:
            found = tree.find_module(dotted, module)
            if found is not None and not found.is_package and _folder(found) == folder:
                yield dotted.rpartition(".")[0]
