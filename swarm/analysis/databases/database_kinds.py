"""Names of the database libraries' classes: who makes a session, a connection, a pool, and what each hands out."""

from __future__ import annotations

SYNC_SESSIONS = frozenset({"sqlalchemy.orm.Session", "sqlmodel.Session", "sqlalchemy.orm.scoped_session"})
ASYNC_SESSIONS = frozenset({
    "sqlalchemy.ext.asyncio.AsyncSession", "sqlmodel.ext.asyncio.session.AsyncSession",
    "sqlalchemy.ext.asyncio.async_scoped_session",
})  # fmt: skip
SESSIONS = SYNC_SESSIONS | ASYNC_SESSIONS
SCOPED_SESSIONS = frozenset({"sqlalchemy.orm.scoped_session", "sqlalchemy.ext.asyncio.async_scoped_session"})
SESSION_MAKERS = frozenset({"sqlalchemy.orm.sessionmaker", "sqlalchemy.ext.asyncio.async_sessionmaker"})
ENGINES = frozenset({"sqlalchemy.Engine", "sqlalchemy.ext.asyncio.AsyncEngine"})
POOLS = frozenset({"asyncpg.Pool", "psycopg_pool.ConnectionPool", "psycopg_pool.AsyncConnectionPool"})
ALCHEMY_CONNECTIONS = frozenset({"sqlalchemy.Connection", "sqlalchemy.ext.asyncio.AsyncConnection"})
DRIVER_CONNECTIONS = frozenset({
    "sqlite3.Connection", "sqlite3.Cursor", "aiosqlite.Connection", "aiosqlite.Cursor", "asyncpg.Connection",
    "psycopg.Connection", "psycopg.Cursor", "psycopg.AsyncConnection", "psycopg.AsyncCursor",
    "psycopg2.Connection", "psycopg2.Cursor", "pymysql.Connection", "pymysql.Cursor", "MySQLdb.Connection",
    "MySQLdb.Cursor",
})  # fmt: skip
# the drivers whose calls keep their thread waiting; sqlite3 is told of by itself
SYNC_DRIVERS = frozenset({
    "psycopg.Connection", "psycopg.Cursor", "psycopg2.Connection", "psycopg2.Cursor", "pymysql.Connection",
    "pymysql.Cursor", "MySQLdb.Connection", "MySQLdb.Cursor", "sqlalchemy.Connection",
})  # fmt: skip
# commands of Redis that only read, each over a connection of the client's pool
REDIS_READS = frozenset({
    "get", "mget", "exists", "ttl", "pttl", "type", "strlen", "hget", "hmget", "hgetall", "hkeys", "hvals", "hlen",
    "hexists", "smembers", "sismember", "scard", "lrange", "llen", "lindex", "zrange", "zrevrange", "zrangebyscore",
    "zscore", "zcard", "zcount", "zrank",
})  # fmt: skip
DATABASES = SESSIONS | ENGINES | POOLS | ALCHEMY_CONNECTIONS | DRIVER_CONNECTIONS

DATABASE_MAKERS = {
    "sqlite3.connect": "sqlite3.Connection",
    "aiosqlite.connect": "aiosqlite.Connection",
    "asyncpg.connect": "asyncpg.Connection",
    "asyncpg.create_pool": "asyncpg.Pool",
    "psycopg.connect": "psycopg.Connection",
    "psycopg.Connection.connect": "psycopg.Connection",
    "psycopg.AsyncConnection.connect": "psycopg.AsyncConnection",
    "psycopg2.connect": "psycopg2.Connection",
    "pymysql.connect": "pymysql.Connection",
    "MySQLdb.connect": "MySQLdb.Connection",
    "sqlalchemy.create_engine": "sqlalchemy.Engine",
    "sqlalchemy.engine.create_engine": "sqlalchemy.Engine",
    "sqlalchemy.engine_from_config": "sqlalchemy.Engine",
    "sqlmodel.create_engine": "sqlalchemy.Engine",
    "sqlalchemy.engine.Engine": "sqlalchemy.Engine",
    "sqlalchemy.engine.base.Engine": "sqlalchemy.Engine",
    "sqlalchemy.engine.Connection": "sqlalchemy.Connection",
    "sqlalchemy.engine.base.Connection": "sqlalchemy.Connection",
    "sqlalchemy.ext.asyncio.create_async_engine": "sqlalchemy.ext.asyncio.AsyncEngine",
    "sqlalchemy.ext.asyncio.engine.create_async_engine": "sqlalchemy.ext.asyncio.AsyncEngine",
    "sqlalchemy.ext.asyncio.engine.AsyncEngine": "sqlalchemy.ext.asyncio.AsyncEngine",
    "sqlalchemy.ext.asyncio.engine.AsyncConnection": "sqlalchemy.ext.asyncio.AsyncConnection",
    "sqlalchemy.ext.asyncio.session.AsyncSession": "sqlalchemy.ext.asyncio.AsyncSession",
    "sqlalchemy.ext.asyncio.session.async_sessionmaker": "sqlalchemy.ext.asyncio.async_sessionmaker",
    "sqlalchemy.ext.asyncio.async_sessionmaker": "sqlalchemy.ext.asyncio.async_sessionmaker",
    "sqlalchemy.orm.session.sessionmaker": "sqlalchemy.orm.sessionmaker",
    "sqlalchemy.orm.sessionmaker": "sqlalchemy.orm.sessionmaker",
    "sqlalchemy.orm.session.Session": "sqlalchemy.orm.Session",
    "sqlalchemy.orm.scoping.scoped_session": "sqlalchemy.orm.scoped_session",
    "sqlalchemy.orm.scoped_session": "sqlalchemy.orm.scoped_session",
    "sqlalchemy.ext.asyncio.async_scoped_session": "sqlalchemy.ext.asyncio.async_scoped_session",
    "sqlmodel.orm.session.Session": "sqlmodel.Session",
    "sqlmodel.ext.asyncio.session.AsyncSession": "sqlmodel.ext.asyncio.session.AsyncSession",
    "redis.from_url": "redis.Redis",
    "redis.Redis.from_url": "redis.Redis",
    "redis.StrictRedis": "redis.Redis",
    "redis.StrictRedis.from_url": "redis.Redis",
    "redis.asyncio.from_url": "redis.asyncio.Redis",
    "redis.asyncio.Redis.from_url": "redis.asyncio.Redis",
    "redis.asyncio.client.Redis": "redis.asyncio.Redis",
}
# classes that are written small, as annotations name them
DATABASE_CLASSES = {
    "psycopg2.extensions.connection": "psycopg2.Connection",
    "psycopg2.extensions.cursor": "psycopg2.Cursor",
    "psycopg2.extras.RealDictCursor": "psycopg2.Cursor",
    "psycopg2.extras.DictCursor": "psycopg2.Cursor",
    "asyncpg.pool.Pool": "asyncpg.Pool",
    "asyncpg.connection.Connection": "asyncpg.Connection",
}
# an attribute of a known object
DATABASE_ATTRIBUTES = {
    ("flask_sqlalchemy.SQLAlchemy", "session"): "sqlalchemy.orm.scoped_session",
    ("flask_sqlalchemy.SQLAlchemy", "engine"): "sqlalchemy.Engine",
}
_ASYNC_ENGINE = "sqlalchemy.ext.asyncio.AsyncEngine"
# what a known object holds under a name in brackets
PARTS_OF = {"pymongo.MongoClient": "pymongo.Database", "pymongo.Database": "pymongo.Collection"}
# a method of a known object that hands out another, or itself
DATABASE_RESULTS = {
    ("sqlite3.Connection", "cursor"): "sqlite3.Cursor",
    ("sqlite3.Connection", "execute"): "sqlite3.Cursor",
    ("sqlite3.Cursor", "execute"): "sqlite3.Cursor",
    ("aiosqlite.Connection", "cursor"): "aiosqlite.Cursor",
    ("aiosqlite.Connection", "execute"): "aiosqlite.Cursor",
    ("aiosqlite.Cursor", "execute"): "aiosqlite.Cursor",
    ("asyncpg.Pool", "acquire"): "asyncpg.Connection",
    ("psycopg.Connection", "cursor"): "psycopg.Cursor",
    ("psycopg.Connection", "execute"): "psycopg.Cursor",
    ("psycopg.Cursor", "execute"): "psycopg.Cursor",
    ("psycopg.AsyncConnection", "cursor"): "psycopg.AsyncCursor",
    ("psycopg.AsyncConnection", "execute"): "psycopg.AsyncCursor",
    ("psycopg2.Connection", "cursor"): "psycopg2.Cursor",
    ("pymysql.Connection", "cursor"): "pymysql.Cursor",
    ("MySQLdb.Connection", "cursor"): "MySQLdb.Cursor",
    ("psycopg2.pool.ThreadedConnectionPool", "getconn"): "psycopg2.Connection",
    ("psycopg2.pool.SimpleConnectionPool", "getconn"): "psycopg2.Connection",
    ("psycopg_pool.ConnectionPool", "getconn"): "psycopg.Connection",
    ("psycopg_pool.ConnectionPool", "connection"): "psycopg.Connection",
    ("psycopg_pool.AsyncConnectionPool", "connection"): "psycopg.AsyncConnection",
    ("sqlalchemy.Engine", "connect"): "sqlalchemy.Connection",
    ("sqlalchemy.Engine", "begin"): "sqlalchemy.Connection",
    (_ASYNC_ENGINE, "connect"): "sqlalchemy.ext.asyncio.AsyncConnection",
    (_ASYNC_ENGINE, "begin"): "sqlalchemy.ext.asyncio.AsyncConnection",
    ("redis.Redis", "pipeline"): "redis.Pipeline",
    ("redis.asyncio.Redis", "pipeline"): "redis.asyncio.Pipeline",
}
