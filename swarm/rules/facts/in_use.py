"""Which modules a service comes to load: what its applications and workers import, over others as well."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from swarm.analysis.index import Index
from swarm.analysis.reading.mentions import holds
from swarm.analysis.source import Module
from swarm.core.findings import Finding, severity_rank

_LOADS_BY_NAME = (
    r"import_module\(|__import__\(|\bpkgutil\.|entry_points\(|load_extension\(|autodiscover|find_modules\(|import_string\("
    r"|spec_from_file_location\("
)
_WORKS = (
    r"\bCelery\(|@shared_task|\.task\b|\bdramatiq\b|\bhuey\b|\bfrom rq\b|\bimport rq\b|\barq\b|\bapscheduler\b"
    r"|\bWorkerSettings\b|lambda_handler|\bfunctions_framework\b"
)
_STARTED = re.compile(
    r"(^|/)(wsgi|asgi|manage|__main__|celery\w*|worker\w*|tasks?|gunicorn\w*|conf|main|app|server|run)\.py$"
)
_OWN_DANGER = frozenset({"CWE-798", "CWE-259", "CWE-321"})  # a secret is out, whoever runs the file


def with_scripts_low(index: Index, findings: list[Finding]) -> list[Finding]:
    """The findings, low and without a mend where nothing that serves or works imports their module."""
    unused = _unused(index)
    return [_lowered(finding) if finding.file in unused else finding for finding in findings]


def runs_with(index: Index, module: Module, other: Module) -> bool:
    """Whether every application that loads `module` may be taken to load `other`: a tree may hold several services.

    True as well where no application is seen to load `module`: then it is not known.
    """
    services = _services_with(index, module)
    return all(other in loaded_by(index, app) for app in services)


def loaded_beside(index: Index, module: Module) -> frozenset[Module]:
    """Modules that may run in one process with `module`; all of the tree where no application loads it."""
    services = _services_with(index, module)
    if not services:
        return frozenset(index.tree.modules.values())
    starts = [m for m in index.tree.modules.values() if any(app in loaded_by(index, m) for app in services)]
    return frozenset(found for start in [*starts, *services] for found in loaded_by(index, start))


def loaded_by(index: Index, start: Module) -> frozenset[Module]:
    """A module and all that it imports, over others as well."""
    known = cast("dict[Module, frozenset[Module]]", index.notes.setdefault("loaded-modules", {}))
    if start not in known:
        seen: set[Module] = set()
        todo = [start]
        while todo:
            module = todo.pop()
            if module not in seen:
                seen.add(module)
                todo += _imported(index, module)
        known[start] = frozenset(seen)
    return known[start]


def loads_by_name(index: Index) -> bool:
    """Whether some module is loaded by a name that is worked out: then nobody can tell which are."""
    return any(holds(module.text, _LOADS_BY_NAME) for module in index.tree.modules.values())


def _services_with(index: Index, module: Module) -> list[Module]:
    """The modules of the applications that load this one; of routers that do, where no application is seen to."""
    holders = [app for app in index.apps if module in loaded_by(index, app.module)]
    return [app.module for app in holders if app.is_app] or [router.module for router in holders]


def _lowered(finding: Finding) -> Finding:
    if _OWN_DANGER & set(finding.cwe) or severity_rank(finding.severity) >= severity_rank("low"):
        return finding
    words = f"{finding.evidence}; nothing that serves requests imports this file"
    return replace(finding, severity="low", mendable=False, evidence=words)


def _unused(index: Index) -> frozenset[str]:
    """Paths of modules that are run by hand, if at all; none where the tree loads modules by name."""
    modules = list(index.tree.modules.values())
    if not index.routes or loads_by_name(index):
        return frozenset()
    starts = {route.module for route in index.routes} | {route.function.module for route in index.routes}
    starts |= {app.module for app in index.apps}
    starts |= {module for module in modules if _STARTED.search(module.path) or module.mentions(_WORKS)}
    used = frozenset(found for start in starts for found in loaded_by(index, start))
    return frozenset(module.path for module in modules if module not in used)


def _imported(index: Index, module: Module) -> tuple[Module, ...]:
    known = cast("dict[Module, tuple[Module, ...]]", index.notes.setdefault("imported-modules", {}))
    if module not in known:
        known[module] = tuple(dict.fromkeys(_find_imported(index, module)))
    return known[module]


def _find_imported(index: Index, module: Module) -> Iterator[Module]:
    for origin in _origins(module):
        parts = origin.split(".")
        for count in range(len(parts), 0, -1):  # a package's own module runs as well
            home = index.tree.find_module(".".join(parts[:count]), module)
            if home is not None:
                yield home


def _origins(module: Module) -> Iterator[str]:
    for plain in module.nodes(ast.Import):
        yield from (alias.name for alias in plain.names)
    for node in module.nodes(ast.ImportFrom):
        yield from (f"{module.import_origin(node)}.{alias.name}".lstrip(".") for alias in node.names)
