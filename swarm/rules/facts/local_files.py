"""Work on files of the machine's own, SQLite's included: it blocks, mostly for a millisecond or less."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from swarm.analysis.index import Function, Index
from swarm.analysis.source import Module
from swarm.rules.facts.request_code import is_kept

PATHS = ("pathlib.Path", "pathlib.PosixPath", "pathlib.PurePath")
OF_PATHS = ("read_text", "read_bytes", "write_text", "write_bytes", "open")
OPENING = ("open", "io.open", "codecs.open", "gzip.open")


def is_local_file(index: Index, module: Module, call: ast.Call) -> bool:
    """Whether a blocking call works on SQLite, which no network stands before."""
    if index.resolve(module, call.func) == "sqlite3.connect":
        return True
    owner = index.kinds.of(module, call.func.value) if isinstance(call.func, ast.Attribute) else None
    return (owner or index.kinds.of(module, call) or "").startswith("sqlite3.")


def work_on_files(index: Index, function: Function) -> Iterator[ast.Call]:
    """The first call of an async function that opens, reads or writes a file, itself or in a sync function."""
    for call in index.calls(function):
        callee = index.resolve_call(function.module, call)
        if callee is None:
            found = _opens(index, function.module, call)
        else:
            sync = not callee.is_async and not is_kept(callee)
            found = sync and any(_opens(index, callee.module, inner) for inner in index.calls(callee))
        if found:
            yield call
            return


def _opens(index: Index, module: Module, call: ast.Call) -> bool:
    if isinstance(call.func, ast.Name):
        return call.func.id == "open" and "open" not in module.globals and "open" not in module.imports
    if not isinstance(call.func, ast.Attribute):
        return False
    if call.func.attr in OF_PATHS and index.kinds.of(module, call.func.value) in PATHS:
        return True
    return call.func.attr == "open" and index.resolve(module, call.func) in OPENING
