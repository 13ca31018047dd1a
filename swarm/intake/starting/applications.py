"""Finds the application object or factory, and the folder that the tree's imports count from."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.parts import AppObject, Framework
from swarm.analysis.source import Module

_USUAL_FILES = re.compile(r"(^|/)(main|app|application|wsgi|asgi|server|api|__init__|run|index|web)\.py$")
_EVENTS = re.compile(r"web_?hook|hook|event|callback|incoming|inbound|receiv|notif|ingest", re.IGNORECASE)
_ODD_FILES = re.compile(r"(^|/)(examples?|scripts?|tools?|samples?|demos?|bench|archive|mock\w*|fake\w*|stub\w*)/")


@dataclass(frozen=True, slots=True)
class Application:
    """One application: `root` is the folder (relative, "" the tree's own) that `import_name` counts from."""

    framework: Framework
    module: Module
    name: str
    is_factory: bool
    root: str
    import_name: str
    routes: int = 0
    takes_events: bool = False  # a route near it looks like one that senders call

    @property
    def written(self) -> str:
        """As a server's command line names it; a factory without its call."""
        return f"{self.import_name}:{self.name}"


def find_applications(index: Index) -> tuple[Application, ...]:
    """Every application that a server could be given, the likeliest first."""
    found: list[Application] = []
    for app in index.apps:
        if app.is_app:
            found += _named(index, app)
    return tuple(sorted(dict.fromkeys(found), key=_unlikely))


def _named(index: Index, app: AppObject) -> Iterator[Application]:
    """The names by which one construction can be reached from outside."""
    if not app.inside_function:
        if app.name.isidentifier():
            yield _application(index, app, app.module, app.name, is_factory=False)
        return
    around = app.module.enclosing_function(app.call)
    if around is None or app.module.enclosing_function(around) is not None \
            or app.module.enclosing_class(around) is not None:  # fmt: skip
        return
    if not _returns(around, app.name):
        return
    dotted = f"{app.module.dotted}.{around.name}"
    called = False  # by a module that a server may be given
    for module in index.tree.modules.values():
        for name, statement in module.globals.items():
            value = getattr(statement, "value", None)
            if isinstance(value, ast.Call) and index.resolve(module, value.func) == dotted:
                called |= not _ODD_FILES.search(module.path)
                yield _application(index, app, module, name, is_factory=False)
    needed = len(around.args.args) - len(around.args.defaults)
    needed += sum(default is None for default in around.args.kw_defaults)
    if not called and not needed and not isinstance(around, ast.AsyncFunctionDef):
        yield _application(index, app, app.module, around.name, is_factory=True)


def _returns(function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> bool:
    for node in ast.walk(function):
        value = node.value if isinstance(node, ast.Return) else None
        if isinstance(value, ast.Call) or (value is not None and unparsed(value) == name):
            return True
    return False


def _application(index: Index, app: AppObject, module: Module, name: str, *, is_factory: bool) -> Application:
    root = import_root(index, module)
    inside = module.path[len(root) + 1 :] if root else module.path
    import_name = inside.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    near = [route for route in index.routes if _near(route.module, module)]
    events = any("POST" in route.methods and _EVENTS.search(f"{route.path} {route.function.name}") for route in near)
    return Application(app.framework, module, name, is_factory, root, import_name, len(near), events)


def _near(one: Module, other: Module) -> bool:
    """Whether two modules lie in the same top folder: their routes are likely the same application's."""
    return one.path.split("/")[:-1][:1] == other.path.split("/")[:-1][:1] or one.path.startswith(
        other.path.rpartition("/")[0] or one.path
    )


def _unlikely(app: Application) -> tuple[bool, bool, bool, int, int, str]:
    odd = bool(_ODD_FILES.search(app.module.path))
    usual = bool(_USUAL_FILES.search(app.module.path)) and app.name in ("app", "application", "api", "create_app")
    return odd, not app.takes_events, not usual, -app.routes, app.module.path.count("/"), app.module.path


def import_root(index: Index, module: Module) -> str:
    """The folder from which a module's absolute imports are found; where none tells, the top of its packages."""
    files = index.tree.files
    folders = module.path.split("/")[:-1]
    candidates = ["/".join(folders[:count]) for count in range(len(folders), -1, -1)]
    votes: Counter[str] = Counter()
    sources = [module, *(m for m in index.tree.modules.values() if m.path.startswith(_top(module)))]
    for source in dict.fromkeys(sources):
        for dotted in _absolute_imports(source):
            path = dotted.replace(".", "/")
            for folder in candidates:
                prefix = f"{folder}/" if folder else ""
                if f"{prefix}{path}.py" in files or f"{prefix}{path}/__init__.py" in files:
                    votes[folder] += 3 if source is module else 1
                    break
    if votes:
        return votes.most_common(1)[0][0]
    while folders and f"{'/'.join(folders)}/__init__.py" in files:
        folders.pop()
    return "/".join(folders) if "__init__.py" in _names(module, files) or _is_script(module) else ""


def _top(module: Module) -> str:
    head, _, rest = module.path.partition("/")
    return f"{head}/" if rest else ""


def _names(module: Module, files: frozenset[str]) -> set[str]:
    folder = module.path.rpartition("/")[0]
    return {"__init__.py"} if f"{folder}/__init__.py" in files else set()


def _is_script(module: Module) -> bool:
    """Whether a module without a package uses no relative import: it is run from where it lies."""
    return not any(node.level for node in module.nodes(ast.ImportFrom))


def _absolute_imports(module: Module) -> Iterator[str]:
    for plain in module.nodes(ast.Import):
        yield from (alias.name for alias in plain.names)
    for node in module.nodes(ast.ImportFrom):
        if not node.level and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
