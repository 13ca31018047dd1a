"""Runs inside the unmodified target: counts what its long-lived containers hold, when it is asked to.

SWARM_CENSUS_FILE names a file. When `FILE.ask` appears, the sizes are written to FILE as one JSON object and the
question is removed. Counted are lists, dicts, sets and deques that live as long as the process: globals and class
attributes of the target's own modules, attributes of its own objects that are such globals, and `lru_cache`s.
Standard library only, Python 3.8 and newer. Never raises into the target, changes nothing in it.
"""
# ruff: noqa: BLE001, PTH105, PTH107, PTH110, PTH123 - it never fails the target, on Python 3.8 too

from __future__ import annotations

import collections
import json
import os
import sys
import threading
import time
from typing import Any

LOOK_EVERY_S = 0.05
CONTAINERS = (list, dict, set, collections.deque)
LEFT_OUT = ("site-packages", "dist-packages", ".venv", "venv", ".tox", "node_modules")
DEPTH = 2

_file = os.environ.get("SWARM_CENSUS_FILE", "")
_root = os.path.realpath(os.environ.get("SWARM_TARGET_ROOT", ".")) + os.sep
_sleep = time.sleep


def _own_file(module: Any) -> Any:
    filename = getattr(module, "__file__", None)
    if not isinstance(filename, str):
        return None
    real = os.path.realpath(filename)
    parts = real[len(_root) :].split(os.sep)  # noqa: PTH206
    return "/".join(parts) if real.startswith(_root) and not set(parts) & set(LEFT_OUT) else None


def _count(found: Any, file: str, name: str, value: Any, own: Any, seen: Any, depth: int) -> None:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, CONTAINERS):
        found[file + ":" + name] = len(value)
        return
    info = getattr(value, "cache_info", None)
    if callable(info) and hasattr(value, "__wrapped__"):
        found[file + ":" + name] = value.cache_info().currsize
        return
    if depth >= DEPTH:
        return
    kind = value if isinstance(value, type) else type(value)
    if kind.__module__ in own:
        for attribute, inner in list(getattr(value, "__dict__", {}).items()):
            if not attribute.startswith("__"):
                _count(found, file, name + "." + attribute, inner, own, seen, depth + 1)


def census() -> Any:
    """Sizes by `file:name`; None where no module of the target is loaded."""
    own = {}
    for name, module in list(sys.modules.items()):
        file = _own_file(module)
        if file is not None:
            own[name] = (file, module)
    if not own:
        return None
    found: dict[str, int] = {}
    seen: set[int] = set()
    for file, module in own.values():
        for name, value in list(vars(module).items()):
            if not name.startswith("__"):
                _count(found, file, name, value, own, seen, 0)
    return found


def _serve() -> None:
    while True:
        _sleep(LOOK_EVERY_S)
        try:
            if os.path.exists(_file + ".ask"):
                sizes = census()
                if sizes is None:
                    continue  # a master process, which has nothing of the target in it
                part = f"{_file}.{os.getpid()}"  # its workers may answer side by side
                with open(part, "w") as file:
                    json.dump(sizes, file)
                os.replace(part, _file)
                os.remove(_file + ".ask")
        except Exception:
            pass


def _start() -> None:
    threading.Thread(target=_serve, name="swarm-census", daemon=True).start()


if _file:
    _start()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_start)
