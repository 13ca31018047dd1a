"""Middlewares of our own: written from their templates, and put around a target's application in their order."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from swarm.analysis.edits import Edit, apply_edits
from swarm.analysis.index import AppObject, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.core.patches import FileChange
from swarm.rules.rule import Mend
from swarm.rules.writing.placing import added_line, free_file, import_edit, main_app, sibling_import
from swarm.rules.writing.reaching import import_of

# From the application outwards, so that each sees what it must: a repetition is told only of what passed all checks,
# bodies are bounded before they are parsed, and who counts or notes answers sees the one that the sender gets.
INNERMOST_FIRST = (
    "ReplayGuardMiddleware",
    "DeliveryAgeMiddleware",
    "CheckedJsonMiddleware",
    "ContentTypeMiddleware",
    "BodyLimitMiddleware",
    "RateLimitMiddleware",
    "BodyLengthsMiddleware",
    "AnswerHeadersMiddleware",
    "DataAuditMiddleware",
    "SecurityAuditMiddleware",
    "MetricsMiddleware",
    "RequestIdMiddleware",
)


@dataclass(frozen=True, slots=True)
class Middleware:
    """A pure standard library middleware that is put into a file of its own."""

    file_stem: str
    class_name: str
    asgi_text: str
    wsgi_text: str


def middleware_text(folder: Path, stem: str, class_name: str) -> Middleware:
    """A middleware from its templates `<stem>_core.txt`, `<stem>_asgi.txt` and `<stem>_wsgi.txt` in a folder."""
    core = (folder / f"{stem}_core.txt").read_text(encoding="utf-8")
    asgi = (folder / f"{stem}_asgi.txt").read_text(encoding="utf-8")
    wsgi = (folder / f"{stem}_wsgi.txt").read_text(encoding="utf-8")
    return Middleware(stem, class_name, _with_imports(core + asgi, ""), _with_imports(core + wsgi, "import io\n"))


def _with_imports(text: str, first: str) -> str:
    """A template's text with the imports that it uses where it wants them."""
    typed = "from typing import Any, Iterable\n" if "Iterable[" in text else "from typing import Any\n"
    return text.replace("@IMPORTS@", typed).replace("@STDLIB@", f"{first}import os\n{typed}")


def is_installed(index: Index, class_name: str) -> bool:
    """Whether the target has a generated middleware of this name already."""
    return any(dotted.rpartition(".")[2] == class_name for dotted in index.classes)


def installed(
    index: Index, findings: Sequence[Finding], made: Middleware, title: str, rationale: str,
    used: str = "", inside: Sequence[tuple[Module, Edit]] = (),
) -> Mend | None:  # fmt: skip
    """The mend that puts a middleware around the main application, where the findings stand.

    `inside` are edits of handlers that call `used`, a function of the new module.
    """
    app = main_app(index)
    if app is None or not findings or app.module.path != findings[0].file:
        return None
    return Mend(title, rationale, _install(index, app, made, used, inside))


def _install(
    index: Index, app: AppObject, middleware: Middleware, used: str, inside: Sequence[tuple[Module, Edit]]
) -> tuple[FileChange, ...]:
    """The changes that put a middleware around an application: a new module beside it, an import and one line."""
    module, tree = app.module, index.tree
    path = free_file(tree, module.path.rpartition("/")[0], middleware.file_stem)
    stem = path.rpartition("/")[2].removesuffix(".py")
    is_flask = app.framework == "flask"
    name = middleware.class_name
    here = [edit for where, edit in inside if where is module]
    statement = sibling_import(tree, module, stem, f"{name}, {used}" if here else name)
    if is_flask:
        line = f"{app.name}.wsgi_app = {name}({app.name}.wsgi_app)"
    else:
        line = f"{app.name}.add_middleware({name})"
    edits = [import_edit(tree, module, statement), added_line(app, _inner_neighbour(app, name), line), *here]
    text = middleware.wsgi_text if is_flask else middleware.asgi_text
    changes = [FileChange(module.path, module.text, apply_edits(module.text, [edit for edit in edits if edit.text]))]
    for other in dict.fromkeys(where for where, _ in inside if where is not module):
        imported = import_edit(tree, other, import_of(tree, other, module, stem, used))
        edits = [one for one in (imported, *(edit for where, edit in inside if where is other)) if one.text]
        changes.append(FileChange(other.path, other.text, apply_edits(other.text, edits)))
    return (*changes, FileChange(path, None, text))


def _inner_neighbour(app: AppObject, class_name: str) -> ast.stmt:
    """The statement after which a middleware goes: what is added later lies further out, in each framework."""
    place = INNERMOST_FIRST.index(class_name) if class_name in INNERMOST_FIRST else -1
    around = app.module.parent(app.node)
    body = next((b for b in _bodies(around) if app.node in b), [app.node])
    neighbour = app.node
    for statement in body[body.index(app.node) + 1 :]:
        added = _added_middleware(statement, app.name)  # routes and settings may stand between those added
        if added is not None and added in INNERMOST_FIRST[: place + 1]:
            neighbour = statement
    return neighbour


def _bodies(node: ast.AST | None) -> list[list[ast.stmt]]:
    parts = [getattr(node, name, None) for name in ("body", "orelse", "finalbody")]
    return [part for part in parts if isinstance(part, list)]


def _added_middleware(statement: ast.stmt, app_name: str) -> str | None:
    """The class of `app.add_middleware(X)` or `app.wsgi_app = X(app.wsgi_app)`; None for another statement."""
    value = statement.value if isinstance(statement, ast.Expr | ast.Assign) else None
    if not isinstance(value, ast.Call):
        return None
    if isinstance(statement, ast.Expr) and unparsed(value.func) == f"{app_name}.add_middleware" and value.args:
        return unparsed(value.args[0])
    if isinstance(statement, ast.Assign) and unparsed(statement.targets[0]) == f"{app_name}.wsgi_app":
        return unparsed(value.func)
    return None
