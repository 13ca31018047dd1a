"""Runs inside the target, after tracer.py: where a request begins and ends, and what holds the loop up.

Requests of ASGI (Starlette, FastAPI, whatever uvicorn serves) and WSGI (Flask, Django); tasks and threads
started by one stay with it. A step of the event loop over BLOCKED_S becomes a span of kind "blocked", its line
found by a watching thread; a wait that no known call explains gets the line that awaits.
"""
# ruff: noqa: BLE001, SIM105 - tracing never fails the target

from __future__ import annotations

import functools
import os
import sys
import threading
import time
from typing import Any

BLOCKED_S = 0.020
WATCH_EVERY_S = 0.008
WAIT_S = 0.002

_trace: Any = sys.modules.get("_swarm_trace")
_sleep = time.sleep
_steps: dict[int, Any] = {}
_awake = threading.Event()
_watched_pid = 0
_factories: set[int] = set()


class _Step:
    """One run of a callback on the loop, for a request."""

    def __init__(self, request: Any) -> None:
        self.request = request
        self.first_span = len(request.spans)
        self.tracing_s = request.tracing_s
        self.chains: list[Any] = []
        self.ended = False
        self.start = _trace.clock()


def _watch() -> None:
    while True:
        _awake.wait()
        _sleep(WATCH_EVERY_S)
        try:
            now = _trace.clock()
            steps = list(_steps.items())
            if not steps:
                _awake.clear()
            for thread, step in steps:
                if now - step.start > WATCH_EVERY_S:
                    chain = _trace.chain_of(sys._current_frames().get(thread))
                    if chain:
                        step.chains.append(chain)
        except Exception:
            pass


def _begin_step(request: Any) -> Any:
    global _watched_pid
    if _watched_pid != os.getpid():  # also after a fork, which takes no threads along
        _watched_pid = os.getpid()
        _steps.clear()
        threading.Thread(target=_watch, name="swarm-trace-watch", daemon=True).start()
    step = _Step(request)
    _steps[threading.get_ident()] = step
    if not _awake.is_set():
        _awake.set()
    return step


def _end_step(step: Any) -> None:
    _steps.pop(threading.get_ident(), None)
    end = _trace.clock()
    if step.ended or end - step.start < BLOCKED_S:
        return
    step.ended = True
    spans = [span for span in step.request.spans[step.first_span :] if span[5]]
    tracing_s = step.request.tracing_s - step.tracing_s
    rest = end - step.start - tracing_s - sum(span[3] for span in spans)
    if rest < BLOCKED_S:
        return
    known = {span[4][-1][:2] for span in spans if span[4]}
    chains = [c for c in step.chains if c[-1][:2] not in known] or step.chains
    lines = [c[-1] for c in chains]
    chain = max(chains, key=lambda c: lines.count(c[-1])) if chains else ()
    _trace.record(step.request, "blocked", "event loop held up", step.start, step.start + rest, chain, True)


def _close_step(step: Any) -> None:
    try:
        _end_step(step)
    except Exception:
        pass


def _patch_events(events: Any) -> None:
    run = events.Handle._run

    def _run(self: Any) -> Any:
        request = self._context.get(_trace.current_request)
        if request is None or request.done:
            return run(self)
        step = _begin_step(request)
        try:
            return run(self)
        finally:
            _close_step(step)

    events.Handle._run = _run


class _Drive:
    """Awaits a coroutine and notes the line that waits each time it yields to the loop."""

    def __init__(self, coroutine: Any, request: Any) -> None:
        self.coroutine = coroutine
        self.request = request

    def __await__(self) -> Any:
        value: Any = None
        error: Any = None
        coroutine = self.coroutine
        while True:
            # the first step of a task, and every one of loops that are not asyncio's own, is timed from here
            own = _begin_step(self.request) if threading.get_ident() not in _steps else None
            try:
                yielded = coroutine.send(value) if error is None else coroutine.throw(error)
            except StopIteration as stop:
                return stop.value
            finally:
                if own is not None:
                    _close_step(own)
            unknown = not _trace.inside_call.get()
            start = _trace.clock()
            chain = _waiting_line(coroutine) if unknown else ()
            error = None
            try:
                value = yield yielded
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as raised:
                error, value = raised, None
            if chain:
                waited = _trace.clock() - start
                if waited > WAIT_S and len(self.request.waits) < 500:
                    self.request.waits.append((start, waited, chain, "other", "await"))


def _waiting_line(coroutine: Any) -> Any:
    chain = []
    try:
        for _ in range(200):
            frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
            if frame is None:
                break
            name = _trace.relative(frame.f_code.co_filename)
            if name:
                chain.append((name, frame.f_lineno, frame.f_code.co_name))
            coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    except Exception:
        pass
    return tuple(chain)


def _keep_tasks() -> None:
    """Remember with each task of a request which line created it (`gather(client.get(a), client.get(b))`)."""
    import asyncio

    loop = asyncio.get_running_loop()
    if id(loop) in _factories:
        return
    _factories.add(id(loop))
    inner = loop.get_task_factory()

    def factory(loop: Any, coroutine: Any, **options: Any) -> Any:
        token = None
        if _trace.current_request.get() is not None:
            token = _trace.creator.set(_trace.chain_of(sys._getframe(1)))
        try:
            if inner is None:
                return asyncio.Task(coroutine, loop=loop, **options)
            return inner(loop, coroutine, **options)
        finally:
            if token is not None:
                _trace.creator.reset(token)

    loop.set_task_factory(factory)


async def _traced_app(call: Any, scope: Any, receive: Any, send: Any, arrived: Any = None) -> None:
    """Run `call(scope, receive, send)` as one request, unless it already is part of one."""
    if scope.get("type") != "http" or _trace.current_request.get() is not None:
        await call(scope, receive, send)
        return
    request = _trace.Request(scope.get("method", ""), _trace.masked_path(scope.get("path", "")), arrived)
    try:
        _keep_tasks()
    except Exception:
        pass

    async def noted_send(message: Any) -> None:
        kind = message.get("type")
        if kind == "http.response.start":
            request.status = message.get("status", 0)
        await send(message)
        if kind == "http.response.body" and not message.get("more_body"):
            request.answered = _trace.clock()

    token = _trace.current_request.set(request)
    try:
        await _Drive(call(scope, receive, noted_send), request)
    finally:
        _trace.current_request.reset(token)
        _finish_asgi(request, scope)


def _finish_asgi(request: Any, scope: Any) -> None:
    try:
        template = getattr(scope.get("route"), "path", None)
        if isinstance(template, str):
            request.path = template
        step = _steps.get(threading.get_ident())
        if step is not None and step.request is request:
            _end_step(step)  # this very step is the request's last one, and goes into its line
        code: Any = getattr(scope.get("endpoint"), "__code__", None)
        name = _trace.relative(code.co_filename) if code is not None else None
        if name:  # the framework's own job for a `def` handler: the line of the handler
            place = ((name, code.co_firstlineno, code.co_name),)
            request.waits = [(*wait[:2], wait[2] or place, *wait[3:]) for wait in request.waits]
    except Exception:
        pass
    _trace.finish(request)


def _patch_asgi(owner: Any) -> None:
    original = owner.__call__

    @functools.wraps(original)
    async def __call__(self: Any, scope: Any, receive: Any, send: Any) -> None:
        await _traced_app(functools.partial(original, self), scope, receive, send)

    owner.__call__ = __call__


def _patch_uvicorn(module: Any) -> None:
    cycle = module.RequestResponseCycle
    run_asgi, built = cycle.run_asgi, cycle.__init__

    @functools.wraps(built)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        self.swarm_arrived = _trace.clock()  # its head was read; the task that handles it waits for its turn
        built(self, *args, **kwargs)

    @functools.wraps(run_asgi)
    async def traced(self: Any, app: Any) -> None:
        await run_asgi(self, functools.partial(_traced_app, app, arrived=getattr(self, "swarm_arrived", None)))

    cycle.__init__, cycle.run_asgi = __init__, traced


def _patch_wsgi(owner: Any) -> None:
    original = owner.__call__

    @functools.wraps(original)
    def __call__(self: Any, environ: Any, start_response: Any) -> Any:
        if _trace.current_request.get() is not None:
            return original(self, environ, start_response)
        arrived, _trace.in_thread.arrived = getattr(_trace.in_thread, "arrived", None), None
        path = _trace.masked_path(environ.get("PATH_INFO", ""))
        request = _trace.Request(environ.get("REQUEST_METHOD", ""), path, arrived)

        def noted_start(status: Any, *rest: Any, **options: Any) -> Any:
            try:
                request.status = int(str(status).split(" ", 1)[0])
                rule = sys.modules["flask"].request.url_rule
                request.path = rule.rule if rule is not None else request.path
            except Exception:
                pass
            return start_response(status, *rest, **options)

        token = _trace.current_request.set(request)
        try:
            return original(self, environ, noted_start)
        finally:
            _trace.current_request.reset(token)
            _trace.finish(request)

    owner.__call__ = __call__


if _trace is not None:
    _trace.on_import("asyncio.events", _patch_events)
    _trace.on_import("starlette.applications", lambda module: _patch_asgi(module.Starlette))
    _trace.on_import("fastapi.applications", lambda module: _patch_asgi(module.FastAPI))
    _trace.on_import("uvicorn.protocols.http.h11_impl", _patch_uvicorn)
    _trace.on_import("uvicorn.protocols.http.httptools_impl", _patch_uvicorn)
    _trace.on_import("flask.app", lambda module: _patch_wsgi(module.Flask))
    _trace.on_import("django.core.handlers.wsgi", lambda module: _patch_wsgi(module.WSGIHandler))
