"""Names of methods by which no class can be told."""

from __future__ import annotations

# names that so many libraries' objects have that one class of the target's proves nothing
COMMON_METHODS = frozenset({
    "acquire", "add", "all", "append", "begin", "call", "cancel", "cancelled", "check", "clear", "close",
    "commit", "connect", "copy", "count", "create", "cursor", "debug", "decode", "delete", "digest",
    "dispatch", "done", "dump", "dumps", "emit", "encode", "error", "exception", "execute", "executemany",
    "expire", "extend", "fetch", "fetchall", "fetchone", "filter", "find", "first", "format", "get", "group",
    "handle", "head", "hexdigest", "hget", "hset", "incr", "index", "info", "insert", "items", "join", "json",
    "keys", "list", "load", "loads", "log", "lower", "match", "one", "open", "options", "order_by", "patch",
    "ping", "pop", "post", "process", "publish", "put", "query", "read", "register", "release", "remove",
    "replace", "request", "result", "rollback", "run", "save", "scalar", "scalars", "search", "send", "set",
    "set_exception", "set_result", "sort", "split", "start", "stop", "strip", "sub", "submit", "subscribe",
    "text", "update", "upper", "validate", "values", "wait", "warning", "write",
})  # fmt: skip
