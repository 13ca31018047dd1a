"""Runs inside the target, after tracer.py: times statements, fetches and commits, without their parameters."""
# ruff: noqa: SIM105 - contextlib costs more than the wait of a small query

from __future__ import annotations

import functools
import re
import sys
from typing import Any

FETCH_WORTH_TELLING_S = 0.0002
TEXT_LIMIT = 120
TRACED_DRIVERS = ("pysqlite", "aiosqlite", "asyncpg", "psycopg", "psycopg_async", "psycopg2")
LOCKED = " (database is locked)"

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
    if isinstance(sql, bytes):
        sql = sql[:4000].decode("utf-8", "replace")
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


def _lock_words(error: BaseException) -> str:
    return LOCKED if "database is locked" in str(error) or "table is locked" in str(error) else ""


def _timed(name: Any, call: Any, args: Any, kwargs: Any, least_s: float, depth: int = 2) -> Any:
    """Call and record. `name` is a text or a function that gives it."""
    request = _trace.active()
    if request is None:
        return call(*args, **kwargs)
    start, locked = _trace.clock(), ""
    try:
        return call(*args, **kwargs)
    except Exception as error:
        locked = _lock_words(error)
        raise
    finally:
        end = _trace.clock()
        if end - start >= least_s:
            text = (name if isinstance(name, str) else statement(name[0] if name else None)) + locked
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


def _patch_aiosqlite(module: Any) -> None:
    original = module.Connection._execute

    @functools.wraps(original)
    async def _execute(self: Any, fn: Any, *args: Any, **kwargs: Any) -> Any:
        request = _trace.active()
        if request is None:
            return await original(self, fn, *args, **kwargs)
        chain = _trace.chain_of(sys._getframe(1))
        start, locked = _trace.clock(), ""
        try:
            return await original(self, fn, *args, **kwargs)
        except Exception as error:
            locked = _lock_words(error)
            raise
        finally:
            verb = getattr(fn, "__name__", "call")
            text = statement(args[0]) if args and isinstance(args[0], str) else verb.upper()
            if verb not in ("close", "cursor"):
                _trace.record(request, "sql", text + locked, start, _trace.clock(), chain)

    module.Connection._execute = _execute
    _time_coroutines(module.Connection, ("_connect",), "connect")
    # its thread's work is timed from the side that awaits it, once
    if hasattr(module, "_connection_worker_thread"):
        module._connection_worker_thread = _silent(module._connection_worker_thread)
    elif "run" in vars(module.Connection):
        module.Connection.run = _silent(module.Connection.run)


def _silent(run: Any) -> Any:
    @functools.wraps(run)
    def run_silently(*args: Any, **kwargs: Any) -> Any:
        _trace.in_thread.silent = True
        return run(*args, **kwargs)

    return run_silently


def _timed_coroutine(original: Any, told: Any) -> Any:
    """A coroutine function that records a span; `told` is its name, or gives it from the arguments."""

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
            text = told if isinstance(told, str) else told(args, kwargs)
            _trace.record(request, "sql", text, start, end, chain)

    return timed


def _time_coroutines(owner: Any, names: Any, told: Any = None) -> None:
    for name in names:
        original = getattr(owner, name, None)
        if original is not None:
            setattr(owner, name, _timed_coroutine(original, told or _first_argument))


def _first_argument(args: Any, kwargs: Any) -> str:
    return statement(args[1] if len(args) > 1 else kwargs.get("query"))


def _patch_psycopg(module: Any) -> None:
    _time_coroutines(module.AsyncCursor, ("execute", "executemany"))
    _time_coroutines(module.AsyncConnection, ("commit",), "COMMIT")
    commit = module.Connection.commit
    module.Connection.commit = functools.wraps(commit)(lambda self: _timed("COMMIT", commit, (self,), {}, 0.0))
    _time_connecting(module)
    for name in ("execute", "executemany"):
        original = getattr(module.Cursor, name)

        def wrap(original: Any) -> Any:
            @functools.wraps(original)
            def timed(*args: Any, **kwargs: Any) -> Any:
                return _timed(args[1:], original, args, kwargs, 0.0)

            return timed

        setattr(module.Cursor, name, wrap(original))


def _time_connecting(module: Any) -> None:
    """`connect` of both kinds of psycopg's connections, class methods, and the function of the module."""
    plain, waiting = module.Connection.connect.__func__, module.AsyncConnection.connect.__func__

    @functools.wraps(plain)
    def connect(cls: Any, *args: Any, **kwargs: Any) -> Any:
        return _timed("connect", plain, (cls, *args), kwargs, FETCH_WORTH_TELLING_S)

    module.Connection.connect = classmethod(connect)
    module.connect = module.Connection.connect
    module.AsyncConnection.connect = classmethod(_timed_coroutine(waiting, "connect"))


def _psycopg2_cursor(owner: Any) -> Any:
    class Cursor(owner):  # type: ignore[misc]
        def execute(self, *args: Any, **kwargs: Any) -> Any:
            return _timed(args, super().execute, args, kwargs, 0.0)

        def executemany(self, *args: Any, **kwargs: Any) -> Any:
            return _timed(args, super().executemany, args, kwargs, 0.0)

        def callproc(self, *args: Any, **kwargs: Any) -> Any:
            return _timed(args, super().callproc, args, kwargs, 0.0)

    Cursor.__name__, Cursor.__qualname__, Cursor.__module__ = owner.__name__, owner.__qualname__, owner.__module__
    return Cursor


def _patch_psycopg2(module: Any) -> None:
    plain_connection, plain_cursor = module.extensions.connection, module.extensions.cursor
    cursors: dict[Any, Any] = {}
    connections: dict[Any, Any] = {}
    connect = module.connect

    def traced_cursor(factory: Any) -> Any:
        if isinstance(factory, type) and issubclass(factory, plain_cursor) and len(cursors) < 50:
            if factory not in cursors:
                cursors[factory] = _psycopg2_cursor(factory)
            return cursors[factory]
        return factory

    def traced_connection(owner: Any) -> Any:
        class Connection(owner):  # type: ignore[misc]
            def cursor(self, *args: Any, **kwargs: Any) -> Any:
                if len(args) < 2:
                    chosen = kwargs.get("cursor_factory") or self.cursor_factory or plain_cursor
                    kwargs["cursor_factory"] = traced_cursor(chosen)
                return super().cursor(*args, **kwargs)

            def commit(self) -> Any:
                return _timed("COMMIT", super().commit, (), {}, 0.0)

        Connection.__name__, Connection.__qualname__ = owner.__name__, owner.__qualname__
        Connection.__module__ = owner.__module__
        return Connection

    @functools.wraps(connect)
    def traced(*args: Any, **kwargs: Any) -> Any:
        if len(args) < 2:
            factory = kwargs.get("connection_factory") or plain_connection
            if isinstance(factory, type) and factory is plain_connection:
                if factory not in connections:
                    connections[factory] = traced_connection(factory)
                kwargs["connection_factory"] = connections[factory]
        return _timed("connect", connect, args, kwargs, FETCH_WORTH_TELLING_S)

    module.connect = traced


def _patch_asyncpg(module: Any) -> None:
    _time_coroutines(module.Connection, ("execute", "executemany", "fetch", "fetchrow", "fetchval"))
    module.connect = _timed_coroutine(module.connect, "connect")


def _patch_asyncpg_prepared(module: Any) -> None:
    """What SQLAlchemy runs everything with."""
    names = ("fetch", "fetchrow", "fetchval", "fetchmany", "executemany")
    _time_coroutines(module.PreparedStatement, names, lambda args, kwargs: statement(args[0].get_query()))


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
    _trace.on_import("psycopg2", _patch_psycopg2)
    _trace.on_import("asyncpg.connection", _patch_asyncpg)
    _trace.on_import("asyncpg.prepared_stmt", _patch_asyncpg_prepared)
    _trace.on_import("sqlalchemy", _patch_sqlalchemy)
