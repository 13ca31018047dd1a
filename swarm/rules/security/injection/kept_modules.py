"""Small modules that mends of data flows import: where they lie, and how a file of the target reaches them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.source import Module
from swarm.core.patches import FileChange
from swarm.rules.writing.placing import free_file, import_edit, main_app
from swarm.rules.writing.reaching import import_of

_FLASK = {404: "NotFound", 400: "BadRequest"}
_REFUSALS = {
    "fastapi": ("from fastapi import HTTPException", "HTTPException"),
    "starlette": ("from starlette.exceptions import HTTPException", "HTTPException"),
}


@dataclass(frozen=True, slots=True)
class KeptModule:
    """A module of the target's that a mend brings once: `mark` is the name by which it is known again."""

    stem: str
    function: str
    mark: str
    status: int  # of the answer to what it refuses

    def existing(self, index: Index, module: Module) -> Module | None:
        """The module, where an earlier mend has brought it to where `module` can import it from."""
        there = [m for m in index.tree.modules.values() if self.mark in m.globals]
        return next((m for m in there if _can_reach(index, module, m)), None)

    def path(self, index: Index, module: Module) -> str:
        """Where a new one goes: beside the application, else beside the file that needs it."""
        return free_file(index.tree, _beside(index, module).path.rpartition("/")[0], self.stem)

    def import_edit(self, index: Index, module: Module) -> Edit:
        """The import of its function in a module."""
        there = self.existing(index, module)
        beside = there or _beside(index, module)
        path = there.path if there is not None else self.path(index, module)
        stem = path.rpartition("/")[2].removesuffix(".py")
        return import_edit(index.tree, module, import_of(index.tree, module, beside, stem, self.function))

    def added(self, index: Index, module: Module) -> tuple[FileChange, ...]:
        """The new file; none where it is there."""
        if self.existing(index, module) is not None:
            return ()
        app = main_app(index)
        framework = app.framework if app is not None else next((r.framework for r in index.routes), "")
        statement, refusal = _REFUSALS.get(framework, ("", "ValueError"))
        arguments = f"status_code={self.status}" if statement else ""
        if framework == "flask":
            refusal = _FLASK[self.status]
            statement = f"from werkzeug.exceptions import {refusal}"
        text = (Path(__file__).parent / f"{self.stem}.txt").read_text(encoding="utf-8")
        text = text.replace("@IMPORT@\n\n", f"{statement}\n\n" if statement else "")
        text = text.replace("@REFUSAL@", refusal)
        text = text.replace(", @ARGUMENTS@", f", {arguments}" if arguments else "").replace("@ARGUMENTS@", arguments)
        return (FileChange(self.path(index, module), None, text),)


def _beside(index: Index, module: Module) -> Module:
    """The application that the module belongs to, else the module itself: a tree may hold several services."""
    app = main_app(index)
    return app.module if app is not None and _draws_in(index, app.module, module) else module


def _can_reach(index: Index, module: Module, there: Module) -> bool:
    return there.path.rpartition("/")[0] == _beside(index, module).path.rpartition("/")[0]


def _draws_in(index: Index, app: Module, module: Module) -> bool:
    """Whether the application's module imports the other, by way of others too."""
    seen, todo = {app.path}, [app]
    while todo:
        current = todo.pop()
        if current is module:
            return True
        for dotted in current.imports.values():
            found, _ = index.tree.split(dotted, current)
            if found is not None and found.path not in seen:
                seen.add(found.path)
                todo.append(found)
    return False
