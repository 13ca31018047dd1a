"""Runs inside the target, after tracer.py: waits for a free connection of a pool, as spans of kind "queue".

Pools of SQLAlchemy, asyncpg, psycopg_pool, httpcore (httpx), aiohttp, urllib3 and redis. Also counts the
connections that a request holds, and writes down a wait that goes on for STUCK_S: of a request that hangs for good
there is no other trace, and one that waits while it holds a connection can hang for ever.
"""
# ruff: noqa: BLE001, UP031 - tracing never fails the target, on Python 3.8 too

from __future__ import annotations

import functools
import itertools
import os
import sys
import threading
import time
from typing import Any

QUEUED_S = 0.001
STUCK_S = 1.0
WATCH_EVERY_S = 0.25

_trace: Any = sys.modules.get("_swarm_trace")
_sleep = time.sleep
_open: dict[int, Any] = {}
_keys = itertools.count()
_awake = threading.Event()
_watched_pid = 0


def _watch() -> None:
    while True:
        _awake.wait()
        _sleep(WATCH_EVERY_S)
        try:
            if not _open:
                _awake.clear()
            now = _trace.clock()
            for key, (request, name, start, chain) in list(_open.items()):
                if now - start >= STUCK_S and _open.pop(key, None) is not None:
                    _trace.note_stuck(request, "queue", name, start, chain)
        except Exception:
            pass


def _begin(name: str, depth: int) -> Any:
    """A wait that begins now: a key and what it is, or None where no request waits."""
    global _watched_pid
    request = _trace.owner()
    if request is None or request.done or getattr(_trace.in_thread, "silent", False):
        return None
    if _watched_pid != os.getpid():  # also after a fork, which takes no threads along
        _watched_pid = os.getpid()
        _open.clear()
        threading.Thread(target=_watch, name="swarm-trace-pools", daemon=True).start()
    key, wait = next(_keys), (request, name, _trace.clock(), _trace.chain_of(sys._getframe(depth)))
    _open[key] = wait
    if not _awake.is_set():
        _awake.set()
    return key, wait


def _end(began: Any) -> None:
    if began is None:
        return
    key, (request, name, start, chain) = began
    _open.pop(key, None)
    end = _trace.clock()
    if end - start >= QUEUED_S:
        _trace.record(request, "queue", name, start, end, chain)


def _taken(request: Any, count: int) -> None:
    if request is not None:
        request.held = max(0, request.held + count)


def _wait_sync(owner: Any, attribute: str, name: str, waits: Any = None) -> None:
    original = getattr(owner, attribute)

    @functools.wraps(original)
    def waiting(self: Any, *args: Any, **kwargs: Any) -> Any:
        began = _begin(name, 2) if waits is None or _safely(waits, self, args, kwargs) else None
        try:
            return original(self, *args, **kwargs)
        finally:
            _end(began)

    setattr(owner, attribute, waiting)


def _wait_async(owner: Any, attribute: str, name: str, waits: Any = None, takes: int = 0) -> None:
    original = getattr(owner, attribute)

    @functools.wraps(original)
    async def waiting(self: Any, *args: Any, **kwargs: Any) -> Any:
        began = _begin(name, 2) if waits is None or _safely(waits, self, args, kwargs) else None
        try:
            taken = await original(self, *args, **kwargs)
            _taken(_trace.owner(), takes)
            return taken
        finally:
            _end(began)

    setattr(owner, attribute, waiting)


def _safely(waits: Any, self: Any, args: Any, kwargs: Any) -> bool:
    try:
        return bool(waits(self, args, kwargs))
    except Exception:
        return False


def _gives_back(owner: Any, attribute: str, is_async: bool) -> None:
    original = getattr(owner, attribute)

    @functools.wraps(original)
    def given(self: Any, *args: Any, **kwargs: Any) -> Any:
        _taken(_trace.owner(), -1)
        return original(self, *args, **kwargs)

    @functools.wraps(original)
    async def given_async(self: Any, *args: Any, **kwargs: Any) -> Any:
        _taken(_trace.owner(), -1)
        return await original(self, *args, **kwargs)

    setattr(owner, attribute, given_async if is_async else given)


def _patch_sqlalchemy_queue(module: Any) -> None:
    def is_empty(self: Any, args: Any, kwargs: Any) -> bool:
        return bool((args[0] if args else kwargs.get("block", True)) and self.empty())

    name = "waits for a connection of SQLAlchemy's pool"
    for queue in ("Queue", "AsyncAdaptedQueue"):
        _wait_sync(getattr(module, queue), "get", name, is_empty)


def _patch_sqlalchemy_pool(module: Any) -> None:
    from sqlalchemy import event  # type: ignore[import-not-found,unused-ignore]
    from sqlalchemy.pool import Pool  # type: ignore[import-not-found,unused-ignore]

    def taken(connection: Any, record: Any, proxy: Any) -> None:
        request = _trace.owner()
        if request is not None:
            record.info["swarm_request"] = request
            _taken(request, 1)

    def given_back(connection: Any, record: Any) -> None:
        _taken(record.info.pop("swarm_request", None), -1)

    event.listen(Pool, "checkout", taken)
    event.listen(Pool, "checkin", given_back)


def _patch_asyncpg(module: Any) -> None:
    def is_empty(self: Any, args: Any, kwargs: Any) -> bool:
        return bool(self._queue.empty())

    _wait_async(module.Pool, "_acquire", "waits for a connection of asyncpg's pool", is_empty, takes=1)
    _gives_back(module.Pool, "release", True)


def _patch_psycopg_pool(module: Any) -> None:
    name = "waits for a connection of psycopg's pool"
    for owner, is_async in (
        (getattr(module, "ConnectionPool", None), False),
        (getattr(module, "AsyncConnectionPool", None), True),
    ):
        if owner is None:
            continue
        if is_async:
            _wait_async(owner, "getconn", name, lambda self, args, kwargs: not self._pool, takes=1)
        else:
            _wait_sync(owner, "getconn", name, lambda self, args, kwargs: not self._pool)


def _patch_httpcore(module: Any) -> None:
    name = "waits for a connection of the HTTP client's pool"

    def is_queued(self: Any, args: Any, kwargs: Any) -> bool:
        return self.connection is None

    if hasattr(module, "AsyncPoolRequest"):
        _wait_async(module.AsyncPoolRequest, "wait_for_connection", name, is_queued)
    if hasattr(module, "PoolRequest"):
        _wait_sync(module.PoolRequest, "wait_for_connection", name, is_queued)


def _patch_aiohttp(module: Any) -> None:
    name = "waits for a connection of the HTTP client's pool"
    _wait_async(module.BaseConnector, "_wait_for_available_connection", name)


def _patch_urllib3(module: Any) -> None:
    def is_full(self: Any, args: Any, kwargs: Any) -> bool:
        return bool(self.block and self.pool.empty())

    name = "waits for a connection of the HTTP client's pool"
    _wait_sync(module.HTTPConnectionPool, "_get_conn", name, is_full)


def _patch_redis(module: Any) -> None:
    _wait_sync(module.BlockingConnectionPool, "get_connection", "waits for a connection of redis' pool")


def _patch_redis_asyncio(module: Any) -> None:
    _wait_async(module.BlockingConnectionPool, "get_connection", "waits for a connection of redis' pool")


if _trace is not None:
    _trace.on_import("sqlalchemy.util.queue", _patch_sqlalchemy_queue)
    _trace.on_import("sqlalchemy", _patch_sqlalchemy_pool)
    _trace.on_import("asyncpg.pool", _patch_asyncpg)
    _trace.on_import("psycopg_pool", _patch_psycopg_pool)
    for _package in ("httpcore", "httpcore2"):
        _trace.on_import("%s._async.connection_pool" % _package, _patch_httpcore)
        _trace.on_import("%s._sync.connection_pool" % _package, _patch_httpcore)
    _trace.on_import("aiohttp.connector", _patch_aiohttp)
    _trace.on_import("urllib3.connectionpool", _patch_urllib3)
    _trace.on_import("redis.connection", _patch_redis)
    _trace.on_import("redis.asyncio.connection", _patch_redis_asyncio)
