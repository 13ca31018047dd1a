"""Runs inside the target, after trace_calls.py: times work on files and programs that the target starts.

A file that the target's own code (or pathlib for it) opens during a request is one of a subclass that times its
reads and writes; shorter waits than WORTH_TELLING_S are left out, lines of a loop over a file are not timed.
"""
# ruff: noqa: BLE001, PTH119, SIM105 - tracing never fails the target, on Python 3.8 too

from __future__ import annotations

import builtins
import functools
import io
import os
import sys
from typing import Any

WORTH_TELLING_S = 0.0005
SYSTEM_CALLS = ("fsync", "fdatasync", "replace", "rename", "remove", "unlink", "listdir", "scandir", "makedirs")
WHOLE_TREES = ("copyfile", "copytree", "copyfileobj", "rmtree", "move", "make_archive", "unpack_archive")

_trace: Any = sys.modules.get("_swarm_trace")
_original_open = io.open
_opening_libraries = (os.sep + "pathlib.py", os.sep + "shutil.py")
_pathlib = os.sep + "pathlib" + os.sep  # a package from Python 3.13 on


def _spent(what: str, call: Any, args: Any, kwargs: Any) -> Any:
    request = _trace.active()
    if request is None:
        return call(*args, **kwargs)
    token = _trace.inside_call.set(True)
    start = _trace.clock()
    try:
        return call(*args, **kwargs)
    finally:
        end = _trace.clock()
        _trace.inside_call.reset(token)
        if end - start >= WORTH_TELLING_S:
            chain = _trace.chain_of(sys._getframe(2))
            _trace.record(request, "file", what, start, end, chain, _trace.on_loop())


def _timing(owner: Any) -> Any:
    """A subclass of one of io's file classes whose reads and writes are timed."""

    class File(owner):  # type: ignore[misc]
        def read(self, *args: Any) -> Any:
            return _spent("read a file", super().read, args, {})

        def readlines(self, *args: Any) -> Any:
            return _spent("read a file", super().readlines, args, {})

        def write(self, *args: Any) -> Any:
            return _spent("write a file", super().write, args, {})

        def writelines(self, *args: Any) -> Any:
            return _spent("write a file", super().writelines, args, {})

        def flush(self) -> Any:
            return _spent("write a file", super().flush, (), {})

        def close(self) -> Any:
            return _spent("close a file", super().close, (), {})

    File.__name__, File.__qualname__, File.__module__ = owner.__name__, owner.__qualname__, owner.__module__
    return File


_Text, _Reader = _timing(io.TextIOWrapper), _timing(io.BufferedReader)
_Writer, _Random = _timing(io.BufferedWriter), _timing(io.BufferedRandom)


def _own_call() -> bool:
    """Whether the target's own code opens the file, or a library of the standard's does it for it."""
    filename = sys._getframe(2).f_code.co_filename
    return bool(_trace.relative(filename)) or filename.endswith(_opening_libraries) or _pathlib in filename


def _timed_file(file: Any, mode: str, buffering: int, text: Any, rest: Any) -> Any:
    """The file as `open` gives it, of a class that times it; whatever fails in opening raises as it always did."""
    if "b" not in mode:
        plain = mode.replace("t", "") + "b"
        inner = _original_open(file, plain, -1 if buffering == 1 else buffering, **rest)
        line_by_line = buffering == 1 or (buffering < 0 and inner.isatty())
        found = _Text(inner, *text, line_by_line)
        found.mode = mode
        return found
    raw = _original_open(file, mode, 0, **rest)
    size = buffering if buffering > 1 else max(getattr(raw, "_blksize", 0), io.DEFAULT_BUFFER_SIZE)
    kind = _Random if "+" in mode else _Reader if "r" in mode else _Writer
    return kind(raw, size)


def _open(
    file: Any, mode: Any = "r", buffering: Any = -1, encoding: Any = None, errors: Any = None, newline: Any = None,
    closefd: Any = True, opener: Any = None,
) -> Any:  # fmt: skip
    usual = isinstance(mode, str) and isinstance(buffering, int) and buffering != 0 and "U" not in mode
    binary = usual and "b" in mode and (encoding or errors or newline) is not None
    if not usual or binary or _trace.active() is None or not _own_call():
        return _original_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
    rest = {"closefd": closefd, "opener": opener}
    return _spent("open a file", _timed_file, (file, mode, buffering, (encoding, errors, newline), rest), {})


def _of_program(args: Any, kwargs: Any) -> str:
    command = args[0] if args else kwargs.get("args", kwargs.get("command", ""))
    first = command.split() if isinstance(command, (str, bytes)) else list(command)
    return os.path.basename(os.fsdecode(first[0])) if first else "program"


def _of_process(args: Any, kwargs: Any) -> str:
    return _of_program((args[0].args,), {})


def _of_started(args: Any, kwargs: Any) -> str:
    return _of_program(args[1:], kwargs)


def _time_functions(owner: Any, names: Any) -> None:
    for name in names:
        if hasattr(owner, name):
            _trace.time_sync(owner, name, "file", functools.partial(_named, name), WORTH_TELLING_S)


def _named(name: str, args: Any, kwargs: Any) -> str:
    return name


def _patch_subprocess(module: Any) -> None:
    for name in ("run", "call", "check_call", "check_output", "getoutput"):
        _trace.time_sync(module, name, "subprocess", _of_program)
    _trace.time_sync(module.Popen, "__init__", "subprocess", _of_started, WORTH_TELLING_S)
    for name in ("communicate", "wait"):
        _trace.time_sync(module.Popen, name, "subprocess", _of_process, WORTH_TELLING_S)


def _patch_asyncio_subprocess(module: Any) -> None:
    def command(args: Any, kwargs: Any) -> str:
        return _of_program((args[0] if args else kwargs.get("cmd", kwargs.get("program", "")),), {})

    def started(args: Any, kwargs: Any) -> str:
        return str(getattr(args[0], "swarm_program", "program"))

    for name in ("create_subprocess_exec", "create_subprocess_shell"):
        original = getattr(module, name)
        _trace.time_async(module, name, "subprocess", command)
        timed = getattr(module, name)

        def wrap(timed: Any) -> Any:
            @functools.wraps(timed)
            async def create(*args: Any, **kwargs: Any) -> Any:
                process = await timed(*args, **kwargs)
                try:
                    process.swarm_program = command(args, kwargs)
                except Exception:
                    pass
                return process

            return create

        setattr(module, name, wrap(timed))
        package = sys.modules.get("asyncio")
        if getattr(package, name, None) is original:  # imported before the tracer came
            setattr(package, name, getattr(module, name))
    for name in ("communicate", "wait"):
        _trace.time_async(module.Process, name, "subprocess", started, WORTH_TELLING_S)


if _trace is not None:
    builtins.open = io.open = _open
    _time_functions(os, SYSTEM_CALLS)
    _trace.on_import("shutil", lambda module: _time_functions(module, WHOLE_TREES))
    _trace.time_sync(os, "system", "subprocess", _of_program)
    _trace.on_import("subprocess", _patch_subprocess)
    _trace.on_import("asyncio.subprocess", _patch_asyncio_subprocess)
