"""Runs inside the unmodified target: keeps each request's waits, with the line of the target that waits.

First of the files that are injected in order (`waterfall.TRACER_FILES`), in whatever interpreter the target has:
standard library only, Python 3.8 and newer. SWARM_TRACE_FILE takes one JSON line a
request; SWARM_TARGET_ROOT says which files are the target's own. Nothing here may raise into the target or
change what it does, and the trace holds no bodies, headers, query strings or SQL parameters.
"""
# ruff: noqa: BLE001, PTH109, PTH206, SIM105, UP031 - never fails the target, runs on Python 3.8

from __future__ import annotations

import contextvars
import json
import os
import re
import sys
import threading
import time
import types
from typing import Any, Callable  # noqa: UP035 - Python 3.8

MAX_SPANS = 2000
MAX_PATH = 24
LEFT_OUT = ("site-packages", "dist-packages", ".venv", "venv", ".tox", "node_modules")
# Below these a stack is the server's and no longer the request's, also where the target starts the server itself.
BOUNDARIES = (os.sep + "trace_requests.py", os.sep + "asyncio" + os.sep + "runners.py")
QUEUED_S = 0.001  # a shorter wait for a turn is the usual way through the loop
ARRIVED = "waits until the service begins with it"
COMPREHENSIONS = ("<listcomp>", "<genexpr>", "<setcomp>", "<dictcomp>")

clock = time.perf_counter
current_request: contextvars.ContextVar[Any] = contextvars.ContextVar("swarm_trace_request", default=None)
inside_call: contextvars.ContextVar[bool] = contextvars.ContextVar("swarm_trace_inside", default=False)
creator: contextvars.ContextVar[Any] = contextvars.ContextVar("swarm_trace_creator", default=())
# .request and .creator in threads that got no copy of the context, .silent where another thread times the work
in_thread = threading.local()

_root = os.path.realpath(os.environ.get("SWARM_TARGET_ROOT") or os.getcwd()) + os.sep
_relative: dict[str, Any] = {}
_hooks: dict[str, list[Callable[[Any], None]]] = {}
_busy: set[str] = set()
_fd: Any = None


class Request:
    """One request under way; number 0 is no request but whatever works outside of all."""

    numbers = 0
    guard = threading.Lock()

    def __init__(self, method: str, path: str, arrived: Any = None) -> None:
        self.number = 0
        if method:
            with Request.guard:
                Request.numbers += 1
                self.number = Request.numbers
        self.method = method
        self.path = path
        self.status = 0
        self.spans: list[Any] = []
        self.waits: list[Any] = []  # (start, duration, chain, kind, name) of what counts where no span explains it
        self.held = 0  # connections of pools that it has taken and not given back
        self.dropped = 0
        self.tracing_s = 0.0  # our own part of its time, so that it is not blamed on the target
        self.done = False
        self.answered: Any = None
        now = clock()
        self.start = now if arrived is None else arrived
        if arrived is not None and now - arrived >= QUEUED_S:
            self.spans.append(("queue", ARRIVED, arrived, now - arrived, (), False))


# What a worker does that no request started: a queue's thread, a task of the start. Told by its time alone.
background = Request("", "")
background.start = 0.0
background.done = True
BACKGROUND_KINDS = ("http", "sql", "redis", "file", "subprocess")


def active() -> Any:
    """The request that this code works for, or None; also None inside a call that is being timed already.

    What works for none is `background`, once a first request has come.
    """
    if inside_call.get() or getattr(in_thread, "silent", False):
        return None
    return owner()


def owner() -> Any:
    """The request that this code works for, inside timed calls too; `background` or None as `active` says."""
    found = current_request.get() or getattr(in_thread, "request", None)
    return found or (background if Request.numbers else None)


def relative(filename: str) -> Any:
    """The target's own file relative to its root, None for every other file, False where a request's stack ends."""
    try:
        return _relative[filename]
    except KeyError:
        found: Any = None
        if filename.endswith(BOUNDARIES):
            found = False
        elif not filename.startswith("<"):
            real = os.path.realpath(filename)
            parts = real[len(_root) :].split(os.sep)
            if real.startswith(_root) and not any(part in LEFT_OUT for part in parts):
                found = "/".join(parts)
        _relative[filename] = found
        return found


def chain_of(frame: Any) -> Any:
    """The target's frames from the outermost to the innermost, those that created this task or thread first."""
    found = _own_frames(frame)
    if not found:
        found = _own_frames(_awaiting_frame())
    before = getattr(in_thread, "creator", None) or creator.get()
    return (tuple(before) + tuple(reversed(found)))[-MAX_PATH:]


def _awaiting_frame() -> Any:
    """Inside a greenlet (SQLAlchemy's async side) the frame that awaits it; the greenlet's own stack ends before."""
    greenlet = sys.modules.get("greenlet")
    parent = greenlet.getcurrent().parent if greenlet is not None else None
    return parent.gr_frame if parent is not None else None


def _own_frames(frame: Any) -> list[Any]:
    found: list[Any] = []
    while frame is not None:
        code = frame.f_code
        name = relative(code.co_filename)
        if name is False:
            break
        if name is not None:
            if found and found[-1][2] in COMPREHENSIONS and found[-1][0] == name:
                found[-1] = (name, found[-1][1], code.co_name)
            else:
                found.append((name, frame.f_lineno, code.co_name))
        frame = frame.f_back
    return found


def on_loop() -> bool:
    """Whether an event loop runs in this thread: a synchronous wait holds all of its requests up."""
    events = sys.modules.get("asyncio.events")
    return events is not None and events._get_running_loop() is not None


def record(request: Any, kind: str, name: str, start: float, end: float, chain: Any, blocks: bool = False) -> None:
    """Keep one span; one that ends after its request's end is written at once."""
    try:
        span = (kind, name, start, end - start, chain, blocks)
        if request is background:
            if kind in BACKGROUND_KINDS:
                _write({"request": 0, "background": [_plain(request, span)]})
        elif request.done:
            _write({"request": request.number, "late": [_plain(request, span)]})
        elif len(request.spans) < MAX_SPANS:
            request.spans.append(span)
        else:
            request.dropped += 1
    except Exception:
        pass


def note_stuck(request: Any, kind: str, name: str, start: float, chain: Any) -> None:
    """Write down a wait that has not ended: what hangs for good has no line of its own."""
    try:
        span = (kind, name, start, clock() - start, chain, False)
        _write({"request": request.number, "stuck": _plain(request, span), "held": request.held})
    except Exception:
        pass


def finish(request: Any) -> None:
    """Write a request's line. A wait that some span explains is no span of its own."""
    try:
        request.done = True
        end = request.answered or clock()
        spans = list(request.spans)
        for start, waited, chain, kind, name in sorted(request.waits, key=lambda wait: wait[3] == "other"):
            explained = sum(max(0.0, min(start + waited, s[2] + s[3]) - max(start, s[2])) for s in spans)
            if explained < waited * 0.5:
                spans.append((kind, name, start, waited, chain, False))
        _write(
            {
                "request": request.number,
                "at_ms": round(request.start * 1000, 3),
                "method": request.method,
                "path": request.path,
                "status": request.status,
                "duration_ms": round((end - request.start) * 1000, 3),
                "dropped": request.dropped,
                "spans": [_plain(request, span) for span in spans],
            }
        )
    except Exception:
        pass


def _plain(request: Any, span: Any) -> Any:
    kind, name, start, duration, chain, blocks = span
    file, line, function = chain[-1] if chain else ("", 0, "")
    path = ["%s:%d %s" % step for step in chain]
    return [
        kind, name, round((start - request.start) * 1000, 3), round(duration * 1000, 3), file, line, function,
        path, blocks,
    ]  # fmt: skip


def _write(entry: dict[str, Any]) -> None:
    global _fd
    if _fd is None:
        _fd = os.open(os.environ["SWARM_TRACE_FILE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    entry["pid"] = os.getpid()
    os.write(_fd, json.dumps(entry, separators=(",", ":")).encode() + b"\n")


_VERSION = re.compile(r"^v?\d{1,2}$")
_TWO_DIGITS = re.compile(r"\d.*\d")


def masked_path(path: str) -> str:
    """A URL's path with the segments that look like identifiers or personal data left out, no query string."""
    segments = path.split("?", 1)[0].split("#", 1)[0].split("/")
    for at, segment in enumerate(segments):
        if not segment or (_VERSION.match(segment) and segment.startswith("v")):
            continue
        if segment.isdigit() or _TWO_DIGITS.search(segment) or len(segment) > 40 or "@" in segment or "%" in segment:
            segments[at] = "{id}"
    return "/".join(segments)


def masked_url(method: Any, url: Any) -> str:
    """`METHOD host:port/path` of a URL, masked."""
    try:
        from urllib.parse import urlsplit

        parts = urlsplit(str(url))
        host = parts.netloc.rsplit("@", 1)[-1]
        return "%s %s%s" % (str(method).upper(), host, masked_path(parts.path) or "/")
    except Exception:
        return str(method).upper()


def on_import(name: str, patch: Callable[[Any], None]) -> None:
    """Call `patch(module)` right after the module `name` has been imported, or now if it has been already."""
    module = sys.modules.get(name)
    if module is not None:
        _apply(patch, module)
    else:
        _hooks.setdefault(name, []).append(patch)


def _apply(patch: Callable[[Any], None], module: Any) -> None:
    try:
        patch(module)
    except Exception:
        pass  # another version of the library: it goes untraced


class _Finder:
    """Lets the other finders find, and runs the hooks after the module's own code."""

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in _hooks or name in _busy:
            return None
        _busy.add(name)
        try:
            for finder in sys.meta_path:
                find = getattr(finder, "find_spec", None)
                spec = find(name, path, target) if find is not None and finder is not cls else None
                if spec is not None:
                    _wrap_loader(name, spec)
                    return spec
            return None
        finally:
            _busy.discard(name)


def _wrap_loader(name: str, spec: Any) -> None:
    execute = getattr(spec.loader, "exec_module", None)
    if execute is None or isinstance(spec.loader, type):
        return

    def exec_module(module: Any) -> None:
        execute(module)
        for patch in _hooks.pop(name, ()):
            _apply(patch, module)

    try:
        spec.loader.exec_module = exec_module
    except Exception:
        pass


if os.environ.get("SWARM_TRACE_FILE"):
    _shared: Any = types.ModuleType("_swarm_trace")
    for _name in (
        "Request", "active", "chain_of", "clock", "creator", "current_request", "finish", "in_thread", "inside_call",
        "masked_path", "masked_url", "note_stuck", "on_import", "on_loop", "owner", "record", "relative",
    ):  # fmt: skip
        setattr(_shared, _name, globals()[_name])
    sys.modules["_swarm_trace"] = _shared
    sys.meta_path.insert(0, _Finder)
