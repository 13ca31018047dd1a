"""Runs inside the unmodified target: samples it with pyinstrument and keeps the time by the target's own lines.

SWARM_PROFILE_FILE takes one JSON object after SWARM_PROFILE_REQUESTS requests: the seconds sampled in each chain
of the target's lines (library code below a line counts for it), or the reason why there is no profile.
Standard library and pyinstrument only, Python 3.8 and newer. Never raises into the target.
"""
# ruff: noqa: BLE001, PTH105, PTH123, PTH206, SIM105 - profiling never fails the target

from __future__ import annotations

import functools
import importlib
import json
import os
import sys
import threading
from typing import Any

INTERVAL_S = 0.001
LEFT_OUT = ("site-packages", "dist-packages", ".venv", "venv", ".tox", "node_modules")

_file = os.environ.get("SWARM_PROFILE_FILE", "")
_wanted = int(os.environ.get("SWARM_PROFILE_REQUESTS", "20"))
_root = os.path.realpath(os.environ.get("SWARM_TARGET_ROOT", ".")) + os.sep
_guard = threading.Lock()
_seconds: dict[Any, float] = {}
_state: dict[str, Any] = {"requests": 0, "total_s": 0.0, "profiler": None, "written": False, "reason": ""}


def _pyinstrument() -> Any:
    try:
        return importlib.import_module("pyinstrument")
    except Exception as error:
        _state["reason"] = "pyinstrument cannot be imported there: %s" % error  # noqa: UP031
        return None


def _own(filename: str) -> Any:
    real = os.path.realpath(filename)
    parts = real[len(_root) :].split(os.sep)
    return "/".join(parts) if real.startswith(_root) and not set(parts) & set(LEFT_OUT) else None


def _keep(session: Any) -> None:
    """Add a session's samples: each is a stack of `function\\0file\\0line` with attributes after \\1."""
    with _guard:
        for stack, seconds in session.frame_records:
            chain = []
            for text in stack:
                identifier, *attributes = text.split("\x01")
                function, filename, first_line = (*identifier.split("\x00"), "", "0")[:3]
                name = _own(filename) if filename and not filename.startswith("<") else None
                if name is not None:
                    line = next((a[1:] for a in attributes if a.startswith("l")), first_line)
                    chain.append((name, int(line), function))
            _seconds[tuple(chain)] = _seconds.get(tuple(chain), 0.0) + seconds
            _state["total_s"] += seconds


def _write() -> None:
    with _guard:
        if _state["written"]:
            return
        _state["written"] = True
        result = {
            "reason": _state["reason"],
            "requests": _state["requests"],
            "total_s": _state["total_s"],
            "chains": [[[list(step) for step in chain], seconds] for chain, seconds in _seconds.items() if chain],
        }
    with open(_file + ".part", "w") as file:
        json.dump(result, file)
    os.replace(_file + ".part", _file)


def _start() -> Any:
    library = _pyinstrument()
    if library is None:
        _write()
        return None
    profiler = library.Profiler(interval=INTERVAL_S, async_mode="disabled")
    profiler.start()
    return profiler


def _finished_one() -> bool:
    with _guard:
        _state["requests"] += 1
        return bool(_state["requests"] >= _wanted)


def _wsgi(owner: Any) -> None:
    """Each request is profiled in its own thread."""
    original = owner.__call__

    @functools.wraps(original)
    def __call__(self: Any, environ: Any, start_response: Any) -> Any:
        profiler = None
        try:
            profiler = None if _state["written"] else _start()
        except Exception:
            pass
        try:
            return original(self, environ, start_response)
        finally:
            try:
                if profiler is not None:
                    _keep(profiler.stop())
                if _finished_one():
                    _write()
            except Exception:
                pass

    owner.__call__ = __call__


def _asgi(owner: Any) -> None:
    """The event loop's thread is profiled from the first request on."""
    original = owner.__call__

    @functools.wraps(original)
    async def __call__(self: Any, scope: Any, receive: Any, send: Any) -> None:
        outermost = scope.get("type") == "http" and not scope.get("swarm_profiled")
        if not outermost:
            await original(self, scope, receive, send)
            return
        scope["swarm_profiled"] = True
        try:
            if _state["profiler"] is None and not _state["written"]:
                _state["profiler"] = _start()
        except Exception:
            pass
        try:
            await original(self, scope, receive, send)
        finally:
            try:
                if _finished_one() and not _state["written"]:
                    profiler, _state["profiler"] = _state["profiler"], None
                    if profiler is not None:
                        _keep(profiler.stop())
                    _write()
            except Exception:
                pass

    owner.__call__ = __call__


_OWNERS = {
    "flask.app": ("Flask", _wsgi),
    "django.core.handlers.wsgi": ("WSGIHandler", _wsgi),
    "starlette.applications": ("Starlette", _asgi),
    "fastapi.applications": ("FastAPI", _asgi),
}


class _Finder:
    """Patches an application class right after its module has been imported."""

    busy: set[str] = set()

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in _OWNERS or name in cls.busy:
            return None
        cls.busy.add(name)
        try:
            for finder in sys.meta_path:
                find = getattr(finder, "find_spec", None)
                spec = find(name, path, target) if find is not None and finder is not cls else None
                if spec is not None:
                    cls._after(name, spec)
                    return spec
        finally:
            cls.busy.discard(name)
        return None

    @staticmethod
    def _after(name: str, spec: Any) -> None:
        execute = spec.loader.exec_module
        attribute, patch = _OWNERS[name]

        def exec_module(module: Any) -> None:
            execute(module)
            try:
                patch(getattr(module, attribute))
            except Exception:
                pass

        spec.loader.exec_module = exec_module


if _file:
    sys.meta_path.insert(0, _Finder)
