"""Connections to PostgreSQL that a request opens and closes: whether they can be kept for the next, and how."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from swarm.analysis.edits import Edit
from swarm.analysis.index import Function, Index
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.core.patches import FileChange
from swarm.rules.facts.built_per_call import SharedFile, shared_module
from swarm.rules.rule import edited
from swarm.rules.writing.placing import import_edit, sibling_import
from swarm.rules.writing.splices import names_in, whole_lines

MAKER = "kept_connection"
# what opens a connection that can be kept, by its driver
KEPT = {
    "psycopg.connect": "psycopg", "psycopg.Connection.connect": "psycopg", "psycopg2.connect": "psycopg2",
    "psycopg.AsyncConnection.connect": "psycopg_async", "asyncpg.connect": "asyncpg",
}  # fmt: skip
# what would be another one's on a connection that goes from hand to hand
OF_SESSION = re.compile(
    r"""["';]\s*(?:SET\s+(?!LOCAL\b|CONSTRAINTS\b)\w|LISTEN\s|CREATE\s+(?:LOCAL\s+)?TEMP|PREPARE\s)"""
    r"""|\bset_config\(|\bpg_(?:try_)?advisory_lock|\bset_session\(|\.add_\w*(?:handler|listener)\("""
    r"""|\bregister_\w+\(|set_\w*type_codec""",
    re.IGNORECASE,
)
OWN_WAYS = frozenset({"connection_factory", "connection_class", "context"})
_TEXTS = Path(__file__).parent / "kept_connections"


@dataclass(frozen=True, slots=True)
class _Driver:
    """How the text of the generated module speaks of a driver; `marker` tells that it is there already."""

    name: str
    connect: str
    marker: str
    standard: tuple[str, ...]
    ends: str
    asked: str
    place: str = ""


_ASKED = " One that lay for more than a second is asked for a sign of life before it is handed out."
_OF_LOOP = "weakref.ref(asyncio.get_running_loop()), "  # a connection serves the event loop that opened it
_SYNC = (
    "import os",
    "import threading",
    "import time",
    "from collections.abc import Hashable",
    "from typing import Any",
)
_DRIVERS = {
    "psycopg": _Driver(
        "psycopg", "psycopg.connect", "KeptPsycopg", _SYNC, "close(), and with it the end of a `with`, gives", _ASKED,
    ),
    "psycopg2": _Driver("psycopg2", "psycopg2.connect", "KeptPsycopg2", _SYNC, "close() gives", _ASKED),
    "psycopg_async": _Driver(
        "psycopg", "psycopg.AsyncConnection.connect", "KeptAsyncPsycopg",
        ("import asyncio", *_SYNC[:3], "import weakref", *_SYNC[3:]),
        "close(), and with it the end of an `async with`, gives", _ASKED, _OF_LOOP,
    ),
    "asyncpg": _Driver(
        "asyncpg", "asyncpg.connect", "KeptAsyncpg", ("import asyncio", *_SYNC[:3], "import weakref", _SYNC[3],
                                   "from contextlib import suppress", _SYNC[4]),
        "close() gives", "", _OF_LOOP,
    ),
}  # fmt: skip


def can_be_kept(index: Index, function: Function, call: ast.Call) -> bool:
    """Whether the next request may have a connection: who opened it closes it, and the call alone sets it up."""
    module = function.module
    driver = KEPT.get(index.resolve(module, call.func) or "")
    if driver is None or any(isinstance(value, ast.Starred) for value in call.args):
        return False
    if any(keyword.arg in OWN_WAYS for keyword in call.keywords) or MAKER in names_in(module):
        return False
    texts = (one.text for one in index.tree.modules.values())
    ends = _is_closed(function, call, driver) or _is_closed_by_callers(index, function, call, driver)
    return ends and not any(OF_SESSION.search(text) for text in texts)


def _is_closed(function: Function, call: ast.Call, driver: str) -> bool:
    """Whether the function closes what it opens, and neither hands it on nor sets anything on it."""
    module = function.module
    parent = module.parent(call)
    if isinstance(parent, ast.Await):
        parent = module.parent(parent)
    if isinstance(parent, ast.withitem) and isinstance(parent.optional_vars, ast.Name):
        return driver in ("psycopg", "psycopg_async") and not _is_changed(module, function, parent.optional_vars.id)
    if not isinstance(parent, ast.Assign) or len(parent.targets) != 1 or not isinstance(parent.targets[0], ast.Name):
        return False
    name = parent.targets[0].id
    ends = any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "close"
        and isinstance(node.func.value, ast.Name) and node.func.value.id == name
        for node in walk(function.node)
    )  # fmt: skip
    return ends and not _is_changed(module, function, name)


def _is_closed_by_callers(index: Index, function: Function, call: ast.Call, driver: str) -> bool:
    """Whether the function gives the connection back as it opened it, and who calls it closes it."""
    module = function.module
    parent = module.parent(call)
    parent = module.parent(parent) if isinstance(parent, ast.Await) else parent
    if not isinstance(parent, ast.Return):
        return False
    for caller in index.callers(function):
        for handed in index.calls(caller):
            if index.resolve_call(caller.module, handed) is function and _is_closed(caller, handed, driver):
                return True
    return False


def _is_changed(module: Module, function: Function, name: str) -> bool:
    """Whether an attribute of the connection is set, or it is bound a second time or kept beyond the function."""
    stored = 0
    for node in walk(function.node):
        if not isinstance(node, ast.Name) or node.id != name:
            continue
        stored += isinstance(node.ctx, ast.Store)
        parent = module.parent(node)
        if isinstance(parent, ast.Attribute) and isinstance(parent.ctx, ast.Store):
            return True
        if isinstance(parent, ast.Assign | ast.AnnAssign) and isinstance(node.ctx, ast.Load):
            return True
    return stored != 1


def keep_connections(index: Index, module: Module, calls: Sequence[ast.Call]) -> list[FileChange]:
    """The calls led to a generated module beside theirs; nothing where they are of several drivers."""
    drivers = {KEPT[index.resolve(module, call.func) or ""] for call in calls}
    if len(drivers) != 1:
        return []
    stem, added = shared_module(index, module, _generated(drivers.pop()))
    edits = [Edit(*module.span(call.func), MAKER) for call in calls]
    edits.append(import_edit(index.tree, module, sibling_import(index.tree, module, stem, MAKER)))
    edits += _without_import(module, calls)
    return [edited(module, edits), *([added] if added is not None else [])]


def _generated(kind: str) -> SharedFile:
    driver = _DRIVERS[kind]
    text = (_TEXTS / "core.txt").read_text(encoding="utf-8")
    for name, value in {
        "MAKER": MAKER, "CONNECT": driver.connect, "ENDS": driver.ends, "ASKED": driver.asked,
        "STDLIB": "\n".join(driver.standard) + "\n", "DRIVER": f"import {driver.name}" + _extensions(driver),
        "PLACE": driver.place,
    }.items():  # fmt: skip
        text = text.replace(f"@{name}@", value)
    own = (_TEXTS / f"{kind}.txt").read_text(encoding="utf-8")
    return SharedFile("kept_connections", text + own.replace("KeptConnection", driver.marker), driver.marker)


def _extensions(driver: _Driver) -> str:
    return "\nimport psycopg2.extensions" if driver.name == "psycopg2" else ""


def _without_import(module: Module, calls: Sequence[ast.Call]) -> list[Edit]:
    """The driver's own import goes where nothing speaks of it any more."""
    inside = {id(part) for call in calls for part in walk(call.func)}
    used = {node.id for node in module.nodes(ast.Name) if id(node) not in inside}
    found = []
    for node in module.tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom) and len(node.names) == 1:
            local = node.names[0].asname or node.names[0].name
            if local in {part.id for call in calls for part in walk(call.func) if isinstance(part, ast.Name)} - used:
                start, end = whole_lines(module, node)
                alone = module.text[:start].endswith("\n\n") and module.text[end : end + 1] == "\n"
                found.append(Edit(start, end + alone, ""))
    return found
