"""Runs inside the target, after tracer.py: work that is handed to threads stays with its request.

Covers ThreadPoolExecutor (`run_in_executor`, `to_thread`, gunicorn's threads), anyio (`def` handlers of FastAPI and
Starlette) and waitress. A wait for a free thread is a span of kind "queue"; the work itself is one of kind "thread",
or "file" where it is a file object's, unless calls inside of it explain its time.
"""
# ruff: noqa: BLE001, SIM105 - tracing never fails the target

from __future__ import annotations

import functools
import io
import sys
from typing import Any

QUEUED_S = 0.001
WORTH_TELLING_S = 0.001

_trace: Any = sys.modules.get("_swarm_trace")


def _job(fn: Any, args: Any) -> Any:
    """The function that a thread is to run: `to_thread` and `run_in_executor` wrap it in partials."""
    for _ in range(4):
        if isinstance(fn, functools.partial):
            fn, args = fn.func, fn.args
        elif getattr(fn, "__qualname__", "") == "Context.run" and args:
            fn, args = args[0], args[1:]
        else:
            break
    return fn


def _told(fn: Any, args: Any) -> Any:
    """Kind and name of a thread's work."""
    try:
        job = _job(fn, args)
        if isinstance(getattr(job, "__self__", None), io.IOBase):
            return "file", "%s of a file" % job.__name__  # noqa: UP031
        code = getattr(job, "__code__", None)
        own = code is not None and _trace.relative(code.co_filename)
        return "thread", job.__qualname__ if own else "work in a thread"
    except Exception:
        return "thread", "work"


def _in_thread(fn: Any, args: Any, request: Any, chain: Any) -> Any:
    """`fn` as it is to run in the thread: with its request, its wait for the thread and its own time noted."""
    kind, name = _told(fn, args)
    handed_over = _trace.clock()

    @functools.wraps(fn, updated=())
    def for_request(*inner: Any, **options: Any) -> Any:
        own = _trace.in_thread
        before = getattr(own, "request", None), getattr(own, "creator", None)
        own.request, own.creator = request, chain
        start = _trace.clock()
        if start - handed_over >= QUEUED_S:
            _trace.record(request, "queue", "waits for a free thread", handed_over, start, chain)
        try:
            return fn(*inner, **options)
        finally:
            own.request, own.creator = before
            spent = _trace.clock() - start
            if spent >= WORTH_TELLING_S and len(request.waits) < 500 and not request.done:
                request.waits.append((start, spent, chain, kind, name))

    return for_request


def _noting_arrival(fn: Any) -> Any:
    """A server's own job, such as a connection that a thread of gunicorn handles: a request may come of it."""
    handed_over = _trace.clock()

    @functools.wraps(fn, updated=())
    def for_server(*inner: Any, **options: Any) -> Any:
        _trace.in_thread.arrived = handed_over
        try:
            return fn(*inner, **options)
        finally:
            _trace.in_thread.arrived = None

    return for_server


def _patch_pool(module: Any) -> None:
    original = module.ThreadPoolExecutor.submit

    @functools.wraps(original)
    def submit(self: Any, fn: Any, *args: Any, **kwargs: Any) -> Any:
        request = _trace.active()
        if request is None or not request.number:
            inside = _trace.inside_call.get()
            return original(self, fn if inside else _noting_arrival(fn), *args, **kwargs)
        chain = _trace.chain_of(sys._getframe(1))
        return original(self, _in_thread(fn, args, request, chain), *args, **kwargs)

    module.ThreadPoolExecutor.submit = submit


def _patch_anyio(module: Any) -> None:
    original = module.run_sync

    @functools.wraps(original)
    async def run_sync(func: Any, *args: Any, **kwargs: Any) -> Any:
        request = _trace.active()
        if request is None:
            return await original(func, *args, **kwargs)
        chain = _trace.chain_of(sys._getframe(1))
        token = _trace.creator.set(chain)
        try:
            return await original(_in_thread(func, args, request, chain), *args, **kwargs)
        finally:
            try:
                _trace.creator.reset(token)
            except ValueError:
                pass  # closed by the garbage collector, in another context

    module.run_sync = run_sync


def _patch_waitress_queue(module: Any) -> None:
    original = module.ThreadedTaskDispatcher.add_task

    @functools.wraps(original)
    def add_task(self: Any, task: Any) -> Any:
        try:
            task.swarm_arrived = _trace.clock()
        except Exception:
            pass
        return original(self, task)

    module.ThreadedTaskDispatcher.add_task = add_task


def _patch_waitress_channel(module: Any) -> None:
    original = module.HTTPChannel.service

    @functools.wraps(original)
    def service(self: Any) -> Any:
        _trace.in_thread.arrived = getattr(self, "swarm_arrived", None)
        try:
            return original(self)
        finally:
            _trace.in_thread.arrived = None

    module.HTTPChannel.service = service


if _trace is not None:
    _trace.on_import("concurrent.futures.thread", _patch_pool)
    _trace.on_import("anyio.to_thread", _patch_anyio)
    _trace.on_import("waitress.task", _patch_waitress_queue)
    _trace.on_import("waitress.channel", _patch_waitress_channel)
