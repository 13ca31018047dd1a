"""Runs inside the target, after tracer.py: times statements, fetches and commits, without their parameters."""
# ruff: noqa: SIM105 - contextlib costs more than the wait of a small query

from __future__ import annotations

import functools
import re
import sys
from typing import Any

FETCH_WORTH_TELLING_S = 0.0002
TEXT_LIMIT = 120
TRACED_DRIVERS = ("pysqlite", "aiosqlite", "asyncpg", "psycopg", "psycopg_async")

_trace: Any = sys.modules.get("_swarm_trace")
_texts: dict[str, str] = {}

_STRING = re.compile(r"'(?:[^']|'')*'?")
_QUOTED_VALUE = re.compile(r'((?:[=<>(,]|\blike|\bin)\s*)"[^"]*"?', re.IGNORECASE)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_NUMBER = re.compile(r"(?<![\w?$:@])-?\d+(?:\.\d+)?\b")
_SPACE = re.compile(r"\s+")
_LIST = re.compile(r"\(\s*\?(?:\s*,\s*\?)+\s*\)")


def statement(sql: Any) -> str:
    """The statement with its literals replaced, one line, its first 120 characters."""
    if not isinstance(sql, str):
        return "statement"
    known = _texts.get(sql)
    if known is None:
        text = _COMMENT.sub(" ", sql[:4000])
        text = _QUOTED_VALUE.sub(r"\1?", _STRING.sub("?", text))
        text = _SPACE.sub(" ", _NUMBER.sub("?", text)).strip()
        known = _LIST.sub("(?…)", text)[:TEXT_LIMIT] or "statement"
        if len(_texts) < 1000:
            _texts[sql] = known
    return known


def _timed(name: Any, call: Any, args: Any, kwargs: Any, least_s: float, depth: int = 2) -> Any:
    """Call and record. `name` is a text or a function that gives it."""
    request = _trace.active()
    if request is None:
        return call(*args, **kwargs)
    start = _trace.clock()
    try:
        return call(*args, **kwargs)
    finally:
        end = _trace.clock()
        if end - start >= least_s:
            text = name if isinstance(name, str) else statement(name[0] if name else None)
            chain = _trace.chain_of(sys._getframe(depth))
            _trace.record(request, "sql", text, start, end, chain, _trace.on_loop())
            request.tracing_s += _trace.clock() - end


def _sqlite_cursor(owner: Any) -> Any:
    class Cursor(owner):  # type: ignore[misc]
        _swarm_text = "fetch"
        _swarm_rows: Any = None

        def execute(self, *args: Any, **kwargs: Any) -> Any:
            self._swarm_text = "fetch: " + statement(args[0] if args else None)
            self._swarm_rows = None
            return _timed(args, super().execute, args, kwargs, 0.0)

        def executemany(self, *args: Any, **kwargs: Any) -> Any:
            return _timed(args, super().executemany, args, kwargs, 0.0)

        def executescript(self, *args: Any, **kwargs: Any) -> Any:
            return _timed(args, super().executescript, args, kwargs, 0.0)

        def fetchone(self, *args: Any, **kwargs: Any) -> Any:
            return _timed(self._swarm_text, super().fetchone, args, kwargs, FETCH_WORTH_TELLING_S)

        def fetchmany(self, *args: Any, **kwargs: Any) -> Any:
            return _timed(self._swarm_text, super().fetchmany, args, kwargs, FETCH_WORTH_TELLING_S)

        def fetchall(self, *args: Any, **kwargs: Any) -> Any:
            return _timed(self._swarm_text, super().fetchall, args, kwargs, FETCH_WORTH_TELLING_S)

        def __next__(self) -> Any:
            # SQLite finds rows as they are asked for: a loop over a cursor waits in here
            start = _trace.clock()
            rows = self._swarm_rows
            if rows is None:
                rows = self._swarm_rows = [start, 0.0]
            try:
                return super().__next__()
            except StopIteration:
                self._swarm_rows = None
                self._swarm_told(rows[0], rows[1] + _trace.clock() - start)
                raise
            finally:
                rows[1] += _trace.clock() - start

        def _swarm_told(self, start: float, spent: float) -> None:
            request = _trace.active()
            if request is not None and spent >= FETCH_WORTH_TELLING_S:
                chain = _trace.chain_of(sys._getframe(2))
                _trace.record(request, "sql", self._swarm_text, start, start + spent, chain, _trace.on_loop())

    Cursor.__name__, Cursor.__qualname__ = owner.__name__, owner.__qualname__
    Cursor.__module__ = owner.__module__
    return Cursor


def _sqlite_connection(owner: Any, cursor: Any) -> Any:
    class Connection(owner):  # type: ignore[misc]
        def cursor(self, *args: Any, **kwargs: Any) -> Any:
            if args or kwargs:  # the target's own cursor class stays as it is
                return super().cursor(*args, **kwargs)
            return super().cursor(cursor)

        def execute(self, *args: Any, **kwargs: Any) -> Any:
            return self.cursor().execute(*args, **kwargs)

        def executemany(self, *args: Any, **kwargs: Any) -> Any:
            return self.cursor().executemany(*args, **kwargs)

        def executescript(self, *args: Any, **kwargs: Any) -> Any:
            return self.cursor().executescript(*args, **kwargs)

        def commit(self) -> Any:
            return _timed("COMMIT", super().commit, (), {}, 0.0)

        def __exit__(self, *args: Any) -> Any:
            return _timed("COMMIT", super().__exit__, args, {}, FETCH_WORTH_TELLING_S)

    Connection.__name__, Connection.__qualname__ = owner.__name__, owner.__qualname__
    Connection.__module__ = owner.__module__
    return Connection


def _is_traceable(factory: Any, connection: Any) -> bool:
    if not (isinstance(factory, type) and issubclass(factory, connection)):
        return False
    return not {"execute", "executemany", "executescript", "cursor"} & set(vars(factory))


def _patch_sqlite(module: Any) -> None:
    original = module.connect
    cursor = _sqlite_cursor(module.Cursor)
    classes: dict[Any, Any] = {module.Connection: _sqlite_connection(module.Connection, cursor)}

    @functools.wraps(original)
    def connect(*args: Any, **kwargs: Any) -> Any:
        at = 5  # of `factory` among the positional arguments
        factory = kwargs.get("factory", args[at] if len(args) > at else module.Connection)
        if factory not in classes and len(classes) < 50 and _is_traceable(factory, module.Connection):
            classes[factory] = _sqlite_connection(factory, cursor)
        factory = classes.get(factory, factory)
        if len(args) > at:
            args = (*args[:at], factory, *args[at + 1 :])
        else:
            kwargs["factory"] = factory
        return _timed("connect", original, args, kwargs, FETCH_WORTH_TELLING_S)

    module.connect = connect
    package = sys.modules.get("sqlite3")
    if getattr(package, "connect", None) is original:  # imported before the tracer came
        package.connect = connect  # type: ignore[union-attr]


def _timed_already(call: Any) -> Any:
    """The call for a connection's own thread, where sqlite3 would record the same statement a second time."""

    def called(*args: Any, **kwargs: Any) -> Any:
        _trace.inside_call.set(True)
        return call(*args, **kwargs)

    return called


def _patch_aiosqlite(module: Any) -> None:
    original = module.Connection._execute

    @functools.wraps(original)
    async def _execute(self: Any, fn: Any, *args: Any, **kwargs: Any) -> Any:
        request = _trace.active()
        if request is None:
            return await original(self, fn, *args, **kwargs)
        chain = _trace.chain_of(sys._getframe(1))
        start = _trace.clock()
        try:
            return await original(self, _timed_already(fn), *args, **kwargs)
        finally:
            verb = getattr(fn, "__name__", "call")
            text = statement(args[0]) if args and isinstance(args[0], str) else verb.upper()
            if verb not in ("close", "cursor"):
                _trace.record(request, "sql", text, start, _trace.clock(), chain)

    module.Connection._execute = _execute


def _time_coroutines(owner: Any, names: Any) -> None:
    for name in names:
        original = getattr(owner, name, None)
        if original is None:
            continue

        def wrap(original: Any) -> Any:
            @functools.wraps(original)
            async def timed(self: Any, *args: Any, **kwargs: Any) -> Any:
                request = _trace.active()
                if request is None:
                    return await original(self, *args, **kwargs)
                chain = _trace.chain_of(sys._getframe(1))
                token = _trace.inside_call.set(True)
                start = _trace.clock()
                try:
                    return await original(self, *args, **kwargs)
                finally:
                    try:
                        _trace.inside_call.reset(token)
                    except ValueError:
                        pass
                    text = statement(args[0] if args else kwargs.get("query"))
                    _trace.record(request, "sql", text, start, _trace.clock(), chain)

            return timed

        setattr(owner, name, wrap(original))


def _patch_psycopg(module: Any) -> None:
    _time_coroutines(module.AsyncCursor, ("execute", "executemany"))
    for name in ("execute", "executemany"):
        original = getattr(module.Cursor, name)

        def wrap(original: Any) -> Any:
            @functools.wraps(original)
            def timed(*args: Any, **kwargs: Any) -> Any:
                return _timed(args[1:], original, args, kwargs, 0.0)

            return timed

        setattr(module.Cursor, name, wrap(original))


def _patch_asyncpg(module: Any) -> None:
    _time_coroutines(module.Connection, ("execute", "executemany", "fetch", "fetchrow", "fetchval"))


def _patch_sqlalchemy(module: Any) -> None:
    from sqlalchemy import event  # type: ignore[import-not-found,unused-ignore]
    from sqlalchemy.engine import Engine  # type: ignore[import-not-found,unused-ignore]

    def before(connection: Any, cursor: Any, sql: Any, values: Any, context: Any, many: Any) -> None:
        connection.info["swarm_start"] = _trace.clock()

    def after(connection: Any, cursor: Any, sql: Any, values: Any, context: Any, many: Any) -> None:
        request = _trace.active()
        start = connection.info.pop("swarm_start", None)
        if request is None or start is None or connection.dialect.driver in TRACED_DRIVERS:
            return
        chain = _trace.chain_of(sys._getframe(1))
        _trace.record(request, "sql", statement(sql), start, _trace.clock(), chain, _trace.on_loop())

    event.listen(Engine, "before_cursor_execute", before)
    event.listen(Engine, "after_cursor_execute", after)


if _trace is not None:
    _trace.on_import("sqlite3.dbapi2", _patch_sqlite)
    _trace.on_import("aiosqlite.core", _patch_aiosqlite)
    _trace.on_import("psycopg", _patch_psycopg)
    _trace.on_import("asyncpg.connection", _patch_asyncpg)
    _trace.on_import("sqlalchemy", _patch_sqlalchemy)
