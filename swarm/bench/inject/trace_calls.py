"""Runs inside the target, after tracer.py: times outgoing calls, sleeps and the building of clients."""
# ruff: noqa: BLE001, SIM105, UP031 - tracing never fails the target, on Python 3.8 too

from __future__ import annotations

import functools
import sys
import time
from typing import Any

WORTH_TELLING_S = 0.0005  # building a client or reading a body that takes less is not worth a span

_trace: Any = sys.modules.get("_swarm_trace")


def _name(describe: Any, args: Any, kwargs: Any) -> str:
    try:
        return str(describe(args, kwargs))
    except Exception:
        return "call"


def time_sync(owner: Any, attribute: str, kind: str, describe: Any, least_s: float = 0.0) -> None:
    """Replace a synchronous function by one that records a span around it."""
    original = getattr(owner, attribute)

    @functools.wraps(original)
    def timed(*args: Any, **kwargs: Any) -> Any:
        request = _trace.active()
        if request is None:
            return original(*args, **kwargs)
        token = _trace.inside_call.set(True)
        start = _trace.clock()
        try:
            return original(*args, **kwargs)
        finally:
            end = _trace.clock()
            _trace.inside_call.reset(token)
            if end - start >= least_s:
                chain = _trace.chain_of(sys._getframe(1))
                _trace.record(request, kind, _name(describe, args, kwargs), start, end, chain, _trace.on_loop())

    setattr(owner, attribute, timed)


def time_async(owner: Any, attribute: str, kind: str, describe: Any, least_s: float = 0.0) -> None:
    """Replace a coroutine function by one that records a span around it."""
    original = getattr(owner, attribute)

    @functools.wraps(original)
    async def timed(*args: Any, **kwargs: Any) -> Any:
        request = _trace.active()
        if request is None:
            return await original(*args, **kwargs)
        chain = _trace.chain_of(sys._getframe(1))
        token = _trace.inside_call.set(True)
        start = _trace.clock()
        try:
            return await original(*args, **kwargs)
        finally:
            end = _trace.clock()
            try:
                _trace.inside_call.reset(token)
            except ValueError:
                pass  # closed by the garbage collector, in another context
            if end - start >= least_s:
                _trace.record(request, kind, _name(describe, args, kwargs), start, end, chain)

    setattr(owner, attribute, timed)


def _constant(text: str) -> Any:
    return lambda args, kwargs: text


def _of_request(args: Any, kwargs: Any) -> str:
    request = args[1] if len(args) > 1 else kwargs["request"]
    return str(_trace.masked_url(request.method, request.url))


def _of_method_url(args: Any, kwargs: Any) -> str:
    url = args[2] if len(args) > 2 else kwargs.get("url", kwargs.get("str_or_url"))
    return str(_trace.masked_url(args[1] if len(args) > 1 else kwargs["method"], url))


def _of_pool(args: Any, kwargs: Any) -> str:
    url = args[2] if len(args) > 2 else kwargs["url"]
    method = args[1] if len(args) > 1 else kwargs["method"]
    if "://" not in url:
        url = "http://%s:%s%s" % (args[0].host, args[0].port, url)
    return str(_trace.masked_url(method, url))


def _of_urlopen(args: Any, kwargs: Any) -> str:
    target = args[0] if args else kwargs["url"]
    if isinstance(target, str):
        data = args[1] if len(args) > 1 else kwargs.get("data")
        return str(_trace.masked_url("GET" if data is None else "POST", target))
    return str(_trace.masked_url(target.get_method(), target.full_url))


def _of_opener(args: Any, kwargs: Any) -> str:
    return _of_urlopen(args[1:], {"url": kwargs.get("fullurl", ""), "data": kwargs.get("data")})


def _of_command(args: Any, kwargs: Any) -> str:
    return str(args[1] if len(args) > 1 else "command").split(" ", 1)[0].upper()[:40]


def _patch_httpx(module: Any) -> None:
    label = module.__name__
    time_sync(module.Client, "send", "http", _of_request)
    time_async(module.AsyncClient, "send", "http", _of_request)
    time_sync(module.Response, "read", "http", _constant("read the answer"), WORTH_TELLING_S)
    time_async(module.Response, "aread", "http", _constant("read the answer"), WORTH_TELLING_S)
    for name in ("Client", "AsyncClient"):
        built = _constant("build %s.%s" % (label, name))
        time_sync(getattr(module, name), "__init__", "other", built, WORTH_TELLING_S)


def _patch_requests(module: Any) -> None:
    time_sync(module.Session, "send", "http", _of_request)
    time_sync(module.Session, "__init__", "other", _constant("build requests.Session"), WORTH_TELLING_S)


def _patch_aiohttp(module: Any) -> None:
    time_async(module.ClientSession, "_request", "http", _of_method_url)
    time_sync(module.ClientSession, "__init__", "other", _constant("build aiohttp.ClientSession"), WORTH_TELLING_S)
    time_async(module.ClientResponse, "read", "http", _constant("read the answer"), WORTH_TELLING_S)


def _patch_urllib(module: Any) -> None:
    time_sync(module, "urlopen", "http", _of_urlopen)
    time_sync(module.OpenerDirector, "open", "http", _of_opener)


def _patch_http_client(module: Any) -> None:
    """A call of http.client's is two: the wait is from its request to the head of its answer."""
    connection = module.HTTPConnection
    request, getresponse = connection.request, connection.getresponse

    @functools.wraps(request)
    def noted(self: Any, method: Any, url: Any, *args: Any, **kwargs: Any) -> Any:
        self.swarm_asked = _trace.clock(), method, url
        return request(self, method, url, *args, **kwargs)

    @functools.wraps(getresponse)
    def timed(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = _trace.active()
        asked, self.swarm_asked = getattr(self, "swarm_asked", None), None
        try:
            return getresponse(self, *args, **kwargs)
        finally:
            if found is not None and asked is not None:
                start, method, url = asked
                whole = url if "://" in url else "http://%s:%s%s" % (self.host, self.port, url)
                chain = _trace.chain_of(sys._getframe(1))
                name = _trace.masked_url(method, whole)
                _trace.record(found, "http", name, start, _trace.clock(), chain, _trace.on_loop())

    connection.request, connection.getresponse = noted, timed
    time_sync(module.HTTPResponse, "read", "http", _constant("read the answer"), WORTH_TELLING_S)


def _patch_redis(module: Any) -> None:
    time_sync(module.Redis, "execute_command", "redis", _of_command)
    time_sync(module.Pipeline, "execute", "redis", _constant("PIPELINE"))


def _patch_redis_asyncio(module: Any) -> None:
    # execute_command is a coroutine function in some versions and gives an awaitable in others: both can be awaited
    for owner, attribute, describe in (
        (module.Redis, "execute_command", _of_command),
        (module.Pipeline, "execute", _constant("PIPELINE")),
    ):
        time_async(owner, attribute, "redis", describe)


def _patch_sleep(module: Any) -> None:
    original = module.sleep
    time_async(module, "sleep", "sleep", _constant("asyncio.sleep"), 0.0002)
    timed = module.sleep

    @functools.wraps(original)
    async def sleep(delay: Any, *args: Any, **kwargs: Any) -> Any:
        return await (original if delay <= 0 else timed)(delay, *args, **kwargs)

    module.sleep = sleep
    package = sys.modules.get("asyncio")
    if getattr(package, "sleep", None) is original:  # imported before the tracer came
        package.sleep = sleep  # type: ignore[union-attr]


if _trace is not None:
    _trace.time_sync, _trace.time_async = time_sync, time_async
    time_sync(time, "sleep", "sleep", _constant("time.sleep"))
    _trace.on_import("asyncio.tasks", _patch_sleep)
    _trace.on_import("httpx", _patch_httpx)
    _trace.on_import("httpx2", _patch_httpx)
    _trace.on_import("requests.sessions", _patch_requests)
    _trace.on_import("aiohttp.client", _patch_aiohttp)
    _trace.on_import("urllib.request", _patch_urllib)
    _trace.on_import("http.client", _patch_http_client)
    _trace.on_import(
        "urllib3.response",
        lambda module: time_sync(module.HTTPResponse, "read", "http", _constant("read the answer"), WORTH_TELLING_S),
    )
    _trace.on_import(
        "urllib3.connectionpool",
        lambda module: time_sync(module.HTTPConnectionPool, "urlopen", "http", _of_pool),
    )
    _trace.on_import("redis.client", _patch_redis)
    _trace.on_import("redis.asyncio.client", _patch_redis_asyncio)
    _trace.on_import(
        "ssl",
        lambda module: time_sync(
            module, "create_default_context", "other", _constant("build an SSL context"), WORTH_TELLING_S
        ),
    )
