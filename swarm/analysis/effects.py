"""What code does to the world: outgoing HTTP calls, SQL statements, calls that block, shared memory it writes."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from swarm.analysis.index import Function, Index
from swarm.analysis.kinds import HTTP_CLIENTS, HTTP_VERBS, ORM_SESSIONS
from swarm.analysis.source import Module, parameters

READ_VERBS = frozenset({"GET", "HEAD", "OPTIONS"})
SQL_METHODS = frozenset({"execute", "executemany", "executescript", "execute_fetchall", "execute_insert"})
ORM_METHODS = frozenset({"execute", "exec", "scalar", "scalars", "get", "query", "commit", "flush", "refresh"})
BLOCKING_CALLS = frozenset({
    "time.sleep", "os.system", "subprocess.run", "subprocess.call", "subprocess.check_call",
    "subprocess.check_output", "urllib.request.urlopen", "socket.create_connection", "sqlite3.connect",
})  # fmt: skip
WRITE_WORDS = frozenset({
    "update", "create", "delete", "save", "send", "post", "put", "insert", "write", "notify", "publish", "add",
    "remove", "store", "record", "set", "patch", "upsert", "charge", "pay", "book", "cancel", "register", "enqueue",
    "push", "emit", "commit", "mark", "log", "track", "upload", "submit", "assign", "sync", "persist", "append",
    "touch", "tell", "mail", "email", "sms", "apply", "approve", "reject", "close", "open", "start", "stop",
})  # fmt: skip
MUTATORS = frozenset({
    "append", "add", "extend", "insert", "update", "pop", "popitem", "remove", "clear", "setdefault", "discard",
    "appendleft", "popleft", "sort", "reverse",
})  # fmt: skip
TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN|TABLE)\s+(?:IF\s+NOT\s+EXISTS\s+)?[\"`\[]?(\w+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class HttpCall:
    """One outgoing request: `library` is "httpx", "requests" or "aiohttp"; `owner` the client's expression."""

    call: ast.Call
    library: str
    verb: str
    owner: ast.expr | None
    is_async: bool

    @property
    def reads(self) -> bool:
        """Whether its verb promises to change nothing."""
        return self.verb in READ_VERBS


def http_call(index: Index, module: Module, call: ast.Call) -> HttpCall | None:
    """The outgoing request that a call makes, or None."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in HTTP_VERBS:
        return None
    name = call.func.attr
    dotted = index.resolve(module, call.func)
    if dotted in {f"{library}.{name}" for library in ("httpx", "requests")}:
        return HttpCall(call, dotted.split(".")[0], _verb(call, name), None, False)
    kind = index.kinds.client(module, call.func.value)
    if kind is None:
        return None
    is_async = kind in ("httpx.AsyncClient", "aiohttp.ClientSession")
    return HttpCall(call, kind.split(".")[0], _verb(call, name), call.func.value, is_async)


def _verb(call: ast.Call, name: str) -> str:
    if name not in ("request", "send"):
        return name.upper()
    method = call.args[0] if call.args else None
    for keyword in call.keywords:
        if keyword.arg == "method":
            method = keyword.value
    return str(method.value).upper() if isinstance(method, ast.Constant) else "?"


@dataclass(frozen=True, slots=True)
class SqlCall:
    """One statement: `text` has `?` for every interpolated part; `verb` is its first word in capitals."""

    call: ast.Call
    text: str
    verb: str
    tables: frozenset[str]
    owner: ast.expr

    @property
    def writes(self) -> bool:
        """Whether it may change rows or tables."""
        return self.verb not in ("SELECT", "PRAGMA", "EXPLAIN", "WITH", "VALUES")


def sql_call(index: Index, module: Module, call: ast.Call) -> SqlCall | None:
    """The SQL statement that a call runs, where its text is known."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in SQL_METHODS or not call.args:
        return None
    text = sql_text(index, module, call.args[0])
    if text is None or not text.strip():
        return None
    verb = text.split()[0].upper().rstrip(";")
    tables = frozenset(name.lower() for name in TABLE.findall(text))
    return SqlCall(call, text, verb, tables, call.func.value)


def sql_text(index: Index, module: Module, node: ast.expr, depth: int = 0) -> str | None:
    """The text of a string expression; an interpolated part becomes `?`. None where it is not known."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            parts = [part.value if isinstance(part, ast.Constant) else "?" for part in values]
            return "".join(str(part) for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            first, second = sql_text(index, module, left, depth), sql_text(index, module, right, depth)
            return None if first is None else first + (second if second is not None else "?")
        case ast.Call(args=[inner, *_]) if (index.resolve(module, node.func) or "").endswith("sqlalchemy.text"):
            return sql_text(index, module, inner, depth)
        case ast.Name() | ast.Attribute() if depth < 3:
            home, name = index.tree.split(index.resolve(module, node) or "", module)
            statement = home.globals.get(name) if home is not None else None
            if home is not None and isinstance(statement, ast.Assign):
                return sql_text(index, home, statement.value, depth + 1)
    return None


@dataclass(frozen=True, slots=True)
class Effects:
    """What a function does by itself, without what it calls in the target."""

    http: tuple[HttpCall, ...]
    sql: tuple[SqlCall, ...]
    commits: tuple[ast.Call, ...]
    blocking: tuple[ast.Call, ...]
    writes_memory: frozenset[str]  # globals, attributes of self, and parts of parameters that it assigns
    unknown_database: bool  # it uses a session or connection whose library is not known
    uses_loop: bool


def effects_of(index: Index, function: Function) -> Effects:
    """The function's own effects."""
    module = function.module
    http, sql, commits, blocking = [], [], [], []
    unknown_database = uses_loop = False
    for call in index.calls(function):
        request = http_call(index, module, call)
        if request is not None:
            http.append(request)
        statement = sql_call(index, module, call)
        if statement is not None:
            sql.append(statement)
        method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if method == "commit":
            commits.append(call)
        if is_blocking(index, module, call):
            blocking.append(call)
        dotted = index.resolve(module, call.func) or ""
        uses_loop = uses_loop or dotted.startswith("asyncio.")
        if method in ("execute", "scalar", "scalars", "refresh", "flush", "fetch", "fetchrow", "query"):
            kind = index.kinds.of(module, call.func.value) if isinstance(call.func, ast.Attribute) else None
            unknown_database = unknown_database or (kind or "").split(".")[0] not in ("sqlite3", "aiosqlite")
    return Effects(
        tuple(http), tuple(sql), tuple(commits), tuple(blocking),
        memory_writes(index, function), unknown_database, uses_loop,
    )  # fmt: skip


def is_blocking(index: Index, module: Module, call: ast.Call) -> bool:
    """Whether the call keeps its thread waiting: a sleep, a child process, a sync request, work on a database."""
    dotted = index.resolve(module, call.func)
    if dotted in BLOCKING_CALLS:
        return True
    request = http_call(index, module, call)
    if request is not None:
        return not request.is_async
    if isinstance(call.func, ast.Attribute) and call.func.attr in (*SQL_METHODS, *ORM_METHODS, "fetchall"):
        kind = index.kinds.of(module, call.func.value) or ""
        by_driver = kind.startswith("sqlite3.") and call.func.attr in (*SQL_METHODS, "commit", "fetchall")
        return by_driver or (kind in ORM_SESSIONS and call.func.attr in ORM_METHODS)
    return False


def memory_writes(index: Index, function: Function) -> frozenset[str]:
    """Names of shared things that the function changes: globals, `self.x`, parts of its parameters."""
    module, node = function.module, function.node
    own = {argument.arg for argument in parameters(node)}
    outside: set[str] = set()
    written: set[str] = set()
    local = module.local_names(node)
    for part in index.own_nodes(function):
        if isinstance(part, ast.Global | ast.Nonlocal):
            outside.update(part.names)
        targets: list[ast.expr] = []
        if isinstance(part, ast.Assign) and index.kinds.of(module, part.value) in HTTP_CLIENTS:
            continue  # a client kept for later calls is no state of the program's
        if isinstance(part, ast.Assign | ast.Delete):
            targets = part.targets
        elif isinstance(part, ast.AugAssign | ast.AnnAssign):
            targets = [part.target]
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr in MUTATORS \
                and index.kinds.of(module, part.func.value) not in ORM_SESSIONS:  # fmt: skip
            targets = [ast.Subscript(value=part.func.value, slice=ast.Constant(0))]
        for target in targets:
            root = target
            while isinstance(root, ast.Attribute | ast.Subscript):
                root = root.value
            if isinstance(root, ast.Name) and root is not target and (root.id in own or root.id not in local):
                written.add(ast.unparse(target.value) if isinstance(target, ast.Subscript) else ast.unparse(target))
    if function.name == "__init__":
        written = {name for name in written if not name.startswith("self.")}
    return frozenset(written | outside)


class EffectsCache:
    """Effects worked out once per function."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._known: dict[Function, Effects] = {}

    def of(self, function: Function) -> Effects:
        """The function's own effects."""
        if function not in self._known:
            self._known[function] = effects_of(self._index, function)
        return self._known[function]

    def reached(self, function: Function) -> list[tuple[Function, Effects]]:
        """The effects of the function and of all that it calls in the target."""
        return [(reached, self.of(reached)) for reached in self._index.reaches(function)]


def effects_cache(index: Index) -> EffectsCache:
    """The cache that belongs to an index."""
    cache = index.notes.get("effects")
    if not isinstance(cache, EffectsCache):
        cache = EffectsCache(index)
        index.notes["effects"] = cache
    return cache
