"""How work is handed to the module durable_work: the call that keeps it, functions made for it, the module itself."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from swarm.analysis.edits import Edit
from swarm.analysis.index import AppObject, Function, Index
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.core.patches import FileChange
from swarm.rules.answering.behind_the_answer import OWN_MODULE
from swarm.rules.rule import edited
from swarm.rules.writing.placing import added_line, free_file, import_edit, sibling_import
from swarm.rules.writing.reaching import import_of
from swarm.rules.writing.splices import first_line, free_name

STEM = "durable_work"
# The generated module, in the order in which its parts stand in it; the last is the way in that a framework needs.
_TEXTS = Path(__file__).parent / "durable_work"
_PARTS = ("settings", "journal", "work", "submitting", "jobs_as_text", "rows", "shown")


def verbs_for(module: Module, handlers: Iterable[Function]) -> dict[str, str]:
    """How the module names `submit` and `submit_sync`, those that its handlers need."""
    verbs = {"submit" if handler.is_async else "submit_sync" for handler in handlers}
    return {verb: _imported(module, verb) or free_name(module, verb) for verb in verbs}


def _imported(module: Module, verb: str) -> str:
    """The name under which an earlier mend imported the verb, "" where none did."""
    made = (local for local, origin in module.imports.items() if origin.endswith(f"{STEM}.{verb}"))
    return next(made, "")


def handed_over(
    module: Module, handler: Function, span: tuple[int, int], callee: ast.expr, arguments: Sequence[ast.expr],
    verbs: dict[str, str],
) -> Edit:  # fmt: skip
    """The statements of `span` as one call that keeps a function of a module with its arguments."""
    parts = [module.segment(callee), *(module.segment(argument) for argument in arguments)]
    return Edit(*span, f"{_verb(handler, verbs)}({', '.join(parts)})")


def as_function(
    module: Module, handler: Function, span: tuple[int, int], body: str, uses: Iterable[ast.AST],
    verbs: dict[str, str], *, is_async: bool, made: Mapping[str, str] | None = None,
) -> list[Edit]:  # fmt: skip
    """The same for a function of its own, made of `body`: what of the handler `uses` name are its arguments.

    `made` are objects that it makes itself, by name with their expressions.
    """
    own = module.local_names(handler.node)
    names = [node.id for use in uses for node in walk(use) if isinstance(node, ast.Name)]
    anew = {name: expression for name, expression in (made or {}).items() if name in names}
    body = "".join(f"{name} = {expression}\n" for name, expression in anew.items()) + textwrap.dedent(body)
    data = list(dict.fromkeys(name for name in names if name in own and name not in anew))
    name = free_name(module, f"work_of_{handler.name}")
    head = f"{'async ' if is_async else ''}def {name}({', '.join(data)}):"
    at = module.line_start(first_line(_outermost(module, handler)))
    text = f"{head}\n{textwrap.indent(textwrap.dedent(body), '    ')}\n\n\n"
    return [Edit(*span, f"{_verb(handler, verbs)}({', '.join([name, *data])})"), Edit(at, at, text)]


def _verb(handler: Function, verbs: dict[str, str]) -> str:
    return f"await {verbs['submit']}" if handler.is_async else verbs["submit_sync"]


def _outermost(module: Module, handler: Function) -> ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef:
    found: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef = handler.node
    for around in module.ancestors(handler.node):
        if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found = around
    return found


def with_module(
    index: Index, app: AppObject, module: Module, edits: list[Edit], names: dict[str, str]
) -> tuple[FileChange, ...]:
    """The handler's file, the application's (perhaps the same) and the new module's; `names` are those of verbs."""
    tree = index.tree
    there = next((other for other in tree.modules.values() if OWN_MODULE in other.text), None)
    path = there.path if there is not None else free_file(tree, app.module.path.rpartition("/")[0], STEM)
    stem = path.rpartition("/")[2].removesuffix(".py")
    wanted = sorted((verb, name) for verb, name in names.items() if not _imported(module, verb))
    imported = ", ".join(verb if verb == name else f"{verb} as {name}" for verb, name in wanted)
    if there is not None and not wanted:
        return (edited(module, edits),)
    if there is not None:
        return (edited(module, [*edits, import_edit(tree, module, import_of(tree, module, there, stem, imported))]),)
    line = f"{app.name}.add_middleware(DurableWork)"
    if app.framework == "flask":
        line = f"{app.name}.wsgi_app = DurableWork({app.name}.wsgi_app)"
    at_app = [added_line(app, app.node, line)]
    new = FileChange(path, None, module_text(app.framework == "flask"))
    if module is app.module:
        statement = sibling_import(tree, module, stem, f"DurableWork, {imported}")
        return edited(module, [*edits, *at_app, import_edit(tree, module, statement)]), new
    at_app.append(import_edit(tree, app.module, sibling_import(tree, app.module, stem, "DurableWork")))
    edits.append(import_edit(tree, module, import_of(tree, module, app.module, stem, imported)))
    return edited(module, edits), edited(app.module, at_app), new


def module_text(is_wsgi: bool) -> str:
    """The module that keeps and does the work."""
    parts = (*_PARTS, "wsgi" if is_wsgi else "asgi")
    text = "".join((_TEXTS / f"{part}.txt").read_text(encoding="utf-8") for part in parts)
    if is_wsgi:
        text = text.replace("import asyncio\n", "import asyncio\nimport atexit\n", 1)
        text = text.replace("collections.abc import Callable", "collections.abc import Callable, Iterable", 1)
    return text
