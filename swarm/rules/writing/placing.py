"""Where new code goes in a target: its main application, free names and files, the style of its imports, loggers."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace

from swarm.analysis.added_modules import is_added
from swarm.analysis.edits import Edit, apply_edits
from swarm.analysis.index import AppObject, Index
from swarm.analysis.reading.mentions import holds, in_small_letters
from swarm.analysis.reading.parsing import parse_module
from swarm.analysis.source import FunctionNode, Module, SourceTree
from swarm.core.patches import FileChange
from swarm.rules.writing.fitting import fitted
from swarm.rules.writing.splices import WIDTH

# generated modules whose words say nothing of what the target does by itself; their rules know them by their class
GUARDS = frozenset({
    "ReplayGuardMiddleware", "DeliveryAgeMiddleware", "CheckedJsonMiddleware", "ContentTypeMiddleware",
    "RateLimitMiddleware", "BodyLengthsMiddleware", "DataAuditMiddleware", "SecurityAuditMiddleware",
    "AnswerHeadersMiddleware",
})  # fmt: skip


def main_app(index: Index) -> AppObject | None:
    """The application that serves the target: of several, the one whose module draws in most of the tree.

    One that a factory returns as it makes it (`return Starlette(…)`) is taken where none has a name; what is added
    to it gives it one. None where nothing can be added to any.
    """
    apps = [app for app in index.apps if app.is_app and app.name and isinstance(app.node, ast.Assign | ast.AnnAssign)]
    if not apps:
        returned = [app for app in index.apps if app.is_app and _is_returned(app)]
        apps = [replace(app, name=free_name(app.module, "app", "application")) for app in returned]
    if not apps:
        return None
    return min(
        apps,
        key=lambda app: (
            -_drawn_in(index.tree, app.module), app.module.path.count("/"), app.module.path,
            app.inside_function, _is_mounted(app),
        ),
    )  # fmt: skip


def _is_returned(app: AppObject) -> bool:
    return isinstance(app.node, ast.Return) and app.node.value is app.call and on_own_line(app.module, app.node)


def _is_mounted(app: AppObject) -> bool:
    """Whether another application of its module takes this one in: `app.mount("/admin", admin)`."""
    return any(
        isinstance(call.func, ast.Attribute) and call.func.attr == "mount"
        and any(isinstance(given, ast.Name) and given.id == app.name for given in call.args)
        for call in app.module.nodes(ast.Call)
    )  # fmt: skip


def _drawn_in(tree: SourceTree, module: Module) -> int:
    seen = {module.path}
    todo = [module]
    while todo:
        current = todo.pop()
        for dotted in current.imports.values():
            found, _ = tree.split(dotted, current)
            if found is not None and found.path not in seen:
                seen.add(found.path)
                todo.append(found)
    return len(seen)


def text_mentions(index: Index, pattern: str) -> bool:
    """Whether any module or manifest of the tree holds the pattern (case does not matter).

    Modules that an earlier mend brought and that only offer figures for /metrics are no answer.
    """
    if any(module.mentions(pattern) for module in _own_modules(index) if not is_added(module)):
        return True
    return any(holds(text.lower(), in_small_letters(pattern)) for text in index.tree.other.values())


def code_mentions(index: Index, pattern: str) -> bool:
    """Whether any module's code holds the pattern (case does not matter)."""
    return any(module.mentions(pattern) for module in _own_modules(index))


def _own_modules(index: Index) -> list[Module]:
    return [module for module in index.tree.modules.values() if not GUARDS & module.globals.keys()]


def bound_names(module: Module) -> set[str]:
    """Every name that is bound or read anywhere in a module."""
    names = {node.id for node in module.nodes(ast.Name)} | set(module.imports) | set(module.globals)
    functions: list[FunctionNode] = [*module.nodes(ast.FunctionDef), *module.nodes(ast.AsyncFunctionDef)]
    for function in functions:
        names.add(function.name)
        arguments = function.args
        names |= {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    return names


def free_name(module: Module, *wishes: str) -> str:
    """The first of the wished names that the module does not use; the last with a number otherwise."""
    taken = bound_names(module)
    for wish in wishes:
        if wish not in taken:
            return wish
    number = 2
    while f"{wishes[-1]}_{number}" in taken:
        number += 1
    return f"{wishes[-1]}_{number}"


def free_file(tree: SourceTree, folder: str, stem: str) -> str:
    """A path for a new module in `folder` ("" for the root) that nothing has."""
    prefix = f"{folder}/" if folder else ""
    number = 1
    while True:
        name = stem if number == 1 else f"{stem}_{number}"
        if f"{prefix}{name}.py" not in tree.files and f"{prefix}{name}/__init__.py" not in tree.files:
            return f"{prefix}{name}.py"
        number += 1


def sibling_import(tree: SourceTree, module: Module, stem: str, name: str) -> str:
    """The import statement with which `module` reaches `name` in a module `stem` of its own folder.

    The module's own imports of its siblings decide between absolute, relative and bare; where it has none, the
    rest of the tree's imports of this folder do.
    """
    folder = module.path.rpartition("/")[0]
    prefix = f"{folder}/" if folder else ""
    siblings = {
        path[len(prefix) :].split("/")[0].removesuffix(".py") for path in tree.files if path.startswith(prefix)
    }
    for node in module.nodes(ast.ImportFrom):
        if node.level == 1 or (node.level > 1 and f"{prefix}__init__.py" in tree.files):
            return f"from .{stem} import {name}"
    spelled = _spelled(tree, module, folder)
    if spelled and _can_be_imported(spelled):
        return f"from {spelled}.{stem} import {name}"
    bare = False
    package = module.dotted if module.is_package else module.dotted.rpartition(".")[0]
    package = package if _can_be_imported(package) else ""
    for dotted in module.imports.values():
        if package and dotted.startswith(package + ".") and dotted[len(package) + 1 :].split(".")[0] in siblings:
            return f"from {package}.{stem} import {name}"
        bare = bare or dotted.split(".")[0] in siblings - {package.split(".")[0]}
    if bare:
        return f"from {stem} import {name}"
    for other in tree.modules.values():
        if (
            package
            and other is not module
            and any(dotted.startswith(package + ".") for dotted in other.imports.values())
        ):
            return f"from {package}.{stem} import {name}"
    runs_alone = any("__main__" in module.segment(node.test) for node in module.nodes(ast.If))
    if (f"{prefix}__init__.py" in tree.files or folder) and not runs_alone:
        return f"from .{stem} import {name}"
    return f"from {stem} import {name}"


def _can_be_imported(dotted: str) -> bool:
    """Whether a package's name can stand in an import: a folder like `my-app` is nobody's package."""
    return all(part.isidentifier() for part in dotted.split("."))


def _spelled(tree: SourceTree, module: Module, folder: str) -> str:
    """The package name with which the module's own imports reach modules of its folder; "" where they use none.

    In a folder without `__init__.py` it is not the module's dotted name: `from src.settings import load`.
    """
    for node in module.nodes(ast.ImportFrom):
        if node.level or not node.module:
            continue
        for dotted in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
            package = dotted.rpartition(".")[0]
            path = f"{dotted.replace('.', '/')}.py"
            if package and path in tree.files and path.rpartition("/")[0] == folder:
                return package
    return ""


def after_statement(module: Module, node: ast.stmt, line: str) -> Edit:
    """Insert a line of code after a statement, with the statement's indent."""
    end = module.line_start((node.end_lineno or node.lineno) + 1)
    lead = "" if module.text[:end].endswith("\n") else "\n"
    return Edit(end, end, f"{lead}{module.indent(node)}{line}\n")


def added_line(app: AppObject, node: ast.stmt, line: str) -> Edit:
    """A line after a statement at the application; a `return` of it becomes a name, the line and the `return`."""
    module = app.module
    if not isinstance(node, ast.Return):
        return after_statement(module, node, line)
    indent = module.indent(node)
    lines = f"{app.name} = {module.segment(app.call)}", line, f"return {app.name}"
    return Edit(*module.span(node), f"\n{indent}".join(lines))


def import_edit(tree: SourceTree, module: Module, statement: str) -> Edit:
    """An import beside those of the same package, in its alphabetical place, else where imports go."""
    source = statement.split()[1]
    top = source.split(".")[0] or "."
    alike = [
        node
        for node in module.head_imports
        if isinstance(node, ast.ImportFrom) and (("." * node.level + (node.module or "")).split(".")[0] or ".") == top
    ]
    if not alike:
        edit = module.insert_import(statement)
        before_it = [node for node in module.head_imports if module.span(node)[1] <= edit.start]
        own = any(tree.split(dotted, module)[0] for dotted in _origins(module, before_it[-1:]))
        is_group_of_its_own = before_it and not own and not edit.text.startswith("\n")
        return Edit(edit.start, edit.end, "\n" + edit.text) if is_group_of_its_own else edit
    if (joined := _joined_import(module, alike, statement)) is not None:
        return joined
    before = [node for node in alike if ("." * node.level + (node.module or "")) < source]
    if before:
        at = module.line_start((before[-1].end_lineno or before[-1].lineno) + 1)
    else:
        at = module.line_start(alike[0].lineno)
    return Edit(at, at, statement + "\n")


def _joined_import(module: Module, alike: Sequence[ast.ImportFrom], statement: str) -> Edit | None:
    """One name more in an import of the same module, in its alphabetical place; None where that is no short line."""
    wanted = parse_module(statement).body[0]
    assert isinstance(wanted, ast.ImportFrom)
    same = [node for node in alike if (node.level, node.module) == (wanted.level, wanted.module)]
    line = module.line(same[0].lineno) if same else ""
    name = wanted.names[0].name
    if len(same) != 1 or len(wanted.names) != 1 or wanted.names[0].asname or "(" in line or "#" in line:
        return None
    if same[0].end_lineno != same[0].lineno or len(line) + len(name) + 2 > WIDTH:
        return None
    following = next((alias for alias in same[0].names if alias.name.lower() > name.lower()), None)
    if following is None:
        end = module.span(same[0])[1]
        return Edit(end, end, f", {name}")
    start = module.span(following)[0]
    return Edit(start, start, f"{name}, ")


def _origins(module: Module, imports: Sequence[ast.stmt]) -> list[str]:
    return [
        module.imports.get(alias.asname or alias.name.split(".")[0], alias.name)
        for node in imports
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    ]


@dataclass(frozen=True, slots=True)
class LoggerChoice:
    """The name of a module's logger and the edits that create it (none where it is there)."""

    name: str
    edits: tuple[Edit, ...]


def module_logger(module: Module) -> LoggerChoice:
    """The module's own logger, or a new one after the imports."""
    for name, statement in module.globals.items():
        value = getattr(statement, "value", None)
        if isinstance(value, ast.Call):
            made_by = module.resolve(value.func) or ""
            if made_by.endswith(("getLogger", "get_logger")) and "structlog" not in made_by:
                return LoggerChoice(name, ())
    name = free_name(module, "logger", "_logger", "module_logger")
    line = f"{name} = logging.getLogger(__name__)\n"
    imported = module.insert_import("import logging")
    imports = [node for node in module.tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    edits = [imported] if imported.text else []
    if not imports or (imports[-1].__dict__.get("module") == "__future__" and len(imports) == 1):
        first = next((node for node in module.tree.body if module.span(node)[0] >= imported.start), None)
        is_definition = isinstance(first, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        spaced = module.text[imported.start : imported.start + 1] in ("\n", "")
        tail = "" if spaced else ("\n\n" if is_definition else "\n")
        text = imported.text.rstrip("\n") + f"\n\n{line}{tail}"
        return LoggerChoice(name, (Edit(imported.start, imported.end, text),))
    # after the imports that open the file, not after one that stands further down, but after that of logging
    known_from = imported.start if imported.text else _end_of_import(module, imports, "logging")
    before = [node for node in imports if module.span(node)[0] <= known_from]
    last = next((node for node in imports if module.span(node)[1] >= known_from), before[-1])
    for node in module.tree.body[module.tree.body.index(last) :]:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            break
        last = node
    at = module.line_start((last.end_lineno or last.lineno) + 1)
    following = module.text[at:]
    blank_lines = len(following) - len(following.lstrip("\n"))
    nxt = module.tree.body[module.tree.body.index(last) + 1 :]
    is_definition = bool(nxt) and isinstance(nxt[0], ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    tail = "" if blank_lines or not following else ("\n\n" if is_definition else "\n")
    edits.append(Edit(at, at, f"\n{line}{tail}"))
    return LoggerChoice(name, tuple(edits))


def _end_of_import(module: Module, imports: Sequence[ast.Import | ast.ImportFrom], name: str) -> int:
    """Where a plain `import name` among these ends; 0 where there is none."""
    return next(
        (
            module.span(node)[1] for node in imports
            if isinstance(node, ast.Import) and any(alias.name == name and not alias.asname for alias in node.names)
        ),
        0,
    )  # fmt: skip


def spliced(module: Module, edits: Sequence[Edit]) -> FileChange:
    """The module's file with some edits made, inserts at one place in the order given (a logger after its import)."""
    return FileChange(module.path, module.text, fitted(module.text, apply_edits(module.text, edits)))


def on_own_line(module: Module, node: ast.stmt) -> bool:
    """Whether nothing else stands on the statement's first line before it."""
    return not module.line(node.lineno)[: node.col_offset].strip()
