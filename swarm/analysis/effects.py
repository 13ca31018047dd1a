"""What code does to the world: outgoing HTTP calls, SQL statements, calls that block, shared memory it writes."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

from swarm.analysis.added_modules import is_added
from swarm.analysis.answers import once_a_call
from swarm.analysis.databases.database_kinds import DATABASES, ENGINES, SESSIONS, SYNC_DRIVERS
from swarm.analysis.databases.handed_statements import handed_statement, is_handed_in
from swarm.analysis.databases.models import models_of
from swarm.analysis.databases.ownership import opened_here
from swarm.analysis.databases.statements import SQL_METHODS, SqlCall, sql_call, sql_text
from swarm.analysis.index import Function, Index
from swarm.analysis.kinds.client_kinds import HTTP_CLIENTS, HTTP_VERBS, POOL_MANAGERS
from swarm.analysis.kinds.of_values import ORM_SESSIONS
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module, parameters

__all__ = [
    "Effects", "EffectsCache", "HttpCall", "SqlCall", "effects_cache", "http_call", "memory_writes", "outgoing_call",
    "sql_call", "sql_text",
]  # fmt: skip

DATABASE_METHODS = frozenset({
    "execute", "executemany", "executescript", "scalar", "scalars", "stream", "stream_scalars", "refresh", "flush",
    "fetch", "fetchrow", "fetchval", "fetch_all", "fetch_one", "fetch_val", "query", "run_sync",
})  # fmt: skip
SESSION_NAME = re.compile(r"session|\bdb\b|conn", re.IGNORECASE)
READ_VERBS = frozenset({"GET", "HEAD", "OPTIONS"})
ORM_METHODS = frozenset({"execute", "exec", "scalar", "scalars", "get", "query", "commit", "flush", "refresh"})
_KEPT_CLIENTS = HTTP_CLIENTS | ENGINES
BLOCKING_CALLS = frozenset({
    "time.sleep", "os.system", "subprocess.run", "subprocess.call", "subprocess.check_call",
    "subprocess.check_output", "subprocess.getoutput", "urllib.request.urlopen", "urllib.request.urlretrieve",
    "socket.create_connection", "socket.getaddrinfo", "socket.gethostbyname", "sqlite3.connect", "psycopg.connect",
    "psycopg2.connect", "pymysql.connect", "MySQLdb.connect", "smtplib.SMTP", "smtplib.SMTP_SSL", "ftplib.FTP",
    "bcrypt.checkpw", "bcrypt.hashpw", "hashlib.pbkdf2_hmac", "hashlib.scrypt", "shutil.copytree", "shutil.rmtree",
    "shutil.make_archive", "shutil.unpack_archive", "litellm.completion", "litellm.text_completion",
    "litellm.embedding",
})  # fmt: skip
# clients of model providers and of senders whose answers their thread waits for
SYNC_SDKS = frozenset({
    "anthropic.Anthropic", "openai.OpenAI", "openai.AzureOpenAI", "groq.Groq", "cohere.Client", "twilio.rest.Client",
    "stripe.StripeClient", "slack_sdk.WebClient", "slack_sdk.web.WebClient", "sendgrid.SendGridAPIClient",
})  # fmt: skip
_SDK_METHODS = frozenset({"fetch", "list", "retrieve", "update", "delete", "send", "chat", "embed"})
_SDKS = r"\b(anthropic|openai|groq|cohere|twilio|stripe|slack_sdk|sendgrid)\b"
# of clients of Redis, AWS and MongoDB: no trip each
WAITLESS = frozenset({
    "pipeline", "register_script", "lock", "pubsub", "close", "from_url", "get_paginator", "get_waiter",
    "generate_presigned_url", "generate_presigned_post", "can_paginate", "with_options",
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


@dataclass(frozen=True, slots=True)
class HttpCall:
    """One outgoing request: `owner` is the client's expression.

    `library` is "httpx", "requests" or "aiohttp"; of `outgoing_call` also "urllib3" or "urllib" (`urlopen`).
    """

    call: ast.Call
    library: str
    verb: str
    owner: ast.expr | None
    is_async: bool

    @property
    def reads(self) -> bool:
        """Whether its verb promises to change nothing."""
        return self.verb in READ_VERBS


@once_a_call
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


@once_a_call
def outgoing_call(index: Index, module: Module, call: ast.Call) -> HttpCall | None:
    """The same, with those over urllib3 and `urlopen`, for which rules write no mends of their own."""
    if index.resolve(module, call.func) == "urllib.request.urlopen":
        return HttpCall(call, "urllib", _verb_of_urlopen(index, module, call), None, False)
    if isinstance(call.func, ast.Attribute) and call.func.attr in ("request", "urlopen"):
        if index.resolve(module, call.func) == "urllib3.request":
            return HttpCall(call, "urllib3", _verb(call, "request"), None, False)
        if index.kinds.of(module, call.func.value) in POOL_MANAGERS:
            return HttpCall(call, "urllib3", _verb(call, "request"), call.func.value, False)
    if isinstance(call.func, ast.Name) and index.calls_named("partial"):
        return _of_partial(index, module, call)
    return http_call(index, module, call)


def _of_partial(index: Index, module: Module, call: ast.Call) -> HttpCall | None:
    """What a name asks that stands for `functools.partial(requests.get, timeout=5)`."""
    home, name = index.tree.split(index.resolve(module, call.func) or "", module)
    value = getattr(home.globals.get(name), "value", None) if home is not None else None
    if home is None or not isinstance(value, ast.Call) or len(value.args) != 1:
        return None
    if index.resolve(home, value.func) != "functools.partial":
        return None
    library, _, verb = (index.resolve(home, value.args[0]) or "").rpartition(".")
    known = library in ("httpx", "requests") and verb in HTTP_VERBS
    return HttpCall(call, library, _verb(call, verb), None, False) if known else None


def _verb_of_urlopen(index: Index, module: Module, call: ast.Call) -> str:
    """GET where only an address is given; "?" where a `Request` says it elsewhere."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if len(call.args) > 1 or "data" in given:
        return "POST"
    asked = call.args[0] if call.args else given.get("url")
    if not isinstance(asked, ast.Call):
        return "?" if asked is not None and index.kinds.of(module, asked) == "urllib.request.Request" else "GET"
    if index.kinds.of(module, asked) != "urllib.request.Request":
        return "GET"
    parts = {keyword.arg: keyword.value for keyword in asked.keywords}
    method = parts.get("method")
    if method is not None:
        return str(method.value).upper() if isinstance(method, ast.Constant) else "?"
    return "POST" if len(asked.args) > 1 or "data" in parts else "GET"


def _verb(call: ast.Call, name: str) -> str:
    if name not in ("request", "send"):
        return name.upper()
    method = call.args[0] if call.args else None
    for keyword in call.keywords:
        if keyword.arg == "method":
            method = keyword.value
    return str(method.value).upper() if isinstance(method, ast.Constant) else "?"


@dataclass(frozen=True, slots=True)
class Effects:
    """What a function does by itself, without what it calls in the target."""

    http: tuple[HttpCall, ...]
    sql: tuple[SqlCall, ...]
    commits: tuple[ast.Call, ...]
    blocking: tuple[ast.Call, ...]
    writes_memory: frozenset[str]  # globals, attributes of self, and parts of parameters that it assigns
    unknown_database: bool  # it runs something on a database that cannot be told: it may write
    uses_loop: bool
    dirties: frozenset[str] = frozenset()  # tables of mapped objects whose attributes it assigns
    borrows_database: bool = False  # it works on a session or connection that it did not open itself

    @property
    def tables_written(self) -> frozenset[str]:
        """The tables that it may change, as far as they are known."""
        written = [sql.tables for sql in self.sql if sql.writes]
        return self.dirties.union(*written)

    @property
    def tables_read(self) -> frozenset[str]:
        """The tables that it reads, as far as they are known."""
        return frozenset().union(*(sql.tables for sql in self.sql if not sql.writes))


def _effects_of(index: Index, function: Function) -> Effects:
    """The function's own effects."""
    module = function.module
    http, sql, commits, blocking = [], [], [], []
    owners: list[ast.expr] = []
    unknown_database = uses_loop = False
    for call in index.calls(function):
        request = outgoing_call(index, module, call)
        if request is not None:
            http.append(request)
        statement = sql_call(index, module, call)
        handed = handed_statement(index, module, call) if statement is None else None
        sql += [one for one in (statement, handed) if one is not None]
        if statement is not None:
            owners.append(statement.owner)
        if isinstance(call.func, ast.Attribute) and call.func.attr == "commit":
            commits.append(call)
        is_awaited = isinstance(
            module.parent(call), ast.Await
        )  # then it blocks nothing, whatever its owner is noted as
        if not is_awaited and _blocks(index, module, call, request):
            blocking.append(call)
        dotted = index.resolve(module, call.func) or ""
        uses_loop = uses_loop or dotted.startswith("asyncio.")
        unknown_database = unknown_database or (statement is None and _is_unknown(index, module, call))
    owners += [call.func.value for call in commits if isinstance(call.func, ast.Attribute)]
    return Effects(
        tuple(http), tuple(sql), tuple(commits), tuple(blocking),
        memory_writes(index, function), unknown_database, uses_loop, _dirties(index, function),
        any(not opened_here(index, module, owner) for owner in owners),
    )  # fmt: skip


def _is_unknown(index: Index, module: Module, call: ast.Call) -> bool:
    """Whether a call that is no known statement may still be one: on a database, or on who knows what."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in DATABASE_METHODS:
        return False
    if index.resolve_call(module, call) is not None:
        return False
    method, owner = call.func.attr, call.func.value
    if method in ("scalar", "scalars") and not call.args:
        return False  # of a result that is there
    around = index.enclosing(module, call) if call.args else None
    if around is not None and is_handed_in(index, around, call):
        return False
    kind = index.kinds.of(module, owner)
    if kind is None:
        return method != "flush" or SESSION_NAME.search(unparsed(owner)) is not None
    if kind.split(".")[0] in ("sqlite3", "aiosqlite"):
        return method in SQL_METHODS and bool(call.args)
    if method == "run_sync" and call.args:
        return kind in DATABASES and index.named_function(module, call.args[0]) is None
    return kind in DATABASES


def _dirties(index: Index, function: Function) -> frozenset[str]:
    """Tables of mapped objects that the function changes: `lead.score = 5`, `setattr(lead, …)`."""
    models, module = models_of(index).by_dotted, function.module
    found: set[str] = set()
    for node in index.own_of(function, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Call) if models else ():
        owners: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            owners = [target.value for target in node.targets if isinstance(target, ast.Attribute)]
        elif isinstance(node, ast.AugAssign | ast.AnnAssign) and isinstance(node.target, ast.Attribute):
            owners = [node.target.value]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "setattr":
            owners = node.args[:1]
        kinds = (index.kinds.of(module, owner) or "" for owner in owners)
        found |= {models[kind].table for kind in kinds if kind in models}
    return frozenset(found)


def _may_be_of_sdk(module: Module, method: str) -> bool:
    """Whether a method may ask a service over its client: by its name, before its object is looked at."""
    if method in ("create", "parse", "count_tokens"):
        return True
    return (method in _SDK_METHODS or "_" in method[1:]) and method not in WAITLESS and module.mentions(_SDKS)


def _blocks(index: Index, module: Module, call: ast.Call, request: HttpCall | None) -> bool:
    """Whether the call keeps its thread waiting: a sleep, a child process, a sync request, work on a database."""
    if index.resolve(module, call.func) in BLOCKING_CALLS:
        return True
    if request is not None:
        return not request.is_async
    if isinstance(call.func, ast.Attribute) and _may_be_of_sdk(module, call.func.attr):
        owner: ast.expr = call.func
        while isinstance(owner, ast.Attribute) and index.kinds.of(module, owner) not in SYNC_SDKS:
            owner = owner.value
        if index.kinds.of(module, owner) in SYNC_SDKS:
            return True
    if isinstance(call.func, ast.Attribute) and call.func.attr not in WAITLESS \
            and index.kinds.of(module, call.func.value) in ("boto3.Client", "pymongo.Collection"):  # fmt: skip
        return call.func.attr != "find"  # a cursor waits when it is gone through
    if isinstance(call.func, ast.Attribute) and call.func.attr not in WAITLESS \
            and index.kinds.of(module, call.func.value) in ("redis.Redis", "redis.Pipeline"):  # fmt: skip
        return call.func.attr != "execute" or not call.args
    if isinstance(call.func, ast.Attribute) and call.func.attr in (*SQL_METHODS, *ORM_METHODS, "fetchall"):
        kind = index.kinds.of(module, call.func.value) or ""
        if kind in SYNC_DRIVERS:
            return True
        by_driver = kind.startswith("sqlite3.") and call.func.attr in (*SQL_METHODS, "commit", "fetchall")
        return by_driver or (kind in ORM_SESSIONS and call.func.attr in ORM_METHODS)
    return False


def memory_writes(index: Index, function: Function) -> frozenset[str]:
    """Names of shared things that the function changes: globals, `self.x`, parts of its parameters."""
    module, node = function.module, function.node
    if is_added(module):
        return frozenset()  # the figures that a mend's module keeps are no state of the program's
    own = {argument.arg for argument in parameters(node)}
    own -= {node.args.kwarg.arg} if node.args.kwarg is not None else set()  # `**options` is a dict of its own
    outside: set[str] = set()
    written: set[str] = set()
    local = module.local_names(node)
    for declared in index.own_of(function, ast.Global, ast.Nonlocal):
        outside.update(name for name in getattr(declared, "names", ()) if not _is_made_once(index, function, name))
    for part in index.own_of(function, ast.Assign, ast.Delete, ast.AugAssign, ast.AnnAssign, ast.Call):
        targets: list[ast.expr] = []
        if isinstance(part, ast.Assign) and index.kinds.of(module, part.value) in _KEPT_CLIENTS:
            continue  # a client kept for later calls is no state of the program's
        if isinstance(part, ast.Assign | ast.Delete):
            targets = part.targets
        elif isinstance(part, ast.AugAssign | ast.AnnAssign):
            targets = [part.target]
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr in MUTATORS \
                and index.kinds.of(module, part.func.value) not in SESSIONS:  # fmt: skip
            targets = [ast.Subscript(value=part.func.value, slice=ast.Constant(0))]
        for target in targets:
            if isinstance(target, ast.Subscript) and _is_weak(index, module, target.value):
                continue  # what may go at any time is no state of the program's
            if isinstance(target, ast.Attribute) and isinstance(module.parent(part), ast.If) \
                    and _is_made_once(index, function, unparsed(target)):  # fmt: skip
                continue
            root = target
            while isinstance(root, ast.Attribute | ast.Subscript):
                root = root.value
            if isinstance(root, ast.Name) and root is not target and (root.id in own or root.id not in local):
                written.add(unparsed(target.value) if isinstance(target, ast.Subscript) else unparsed(target))
    if function.name == "__init__":
        written = {name for name in written if not name.startswith("self.")}
    return frozenset(written | outside)


def _is_made_once(index: Index, function: Function, name: str) -> bool:
    """`if _client is None: _client = Client(settings.url)`: a thing for all requests, none of which changes it."""
    module = function.module
    own = {*module.local_names(function.node)} - {"self", "cls"}
    found = False
    for stored in index.own_of(function, ast.Assign):
        if all(unparsed(target) != name for target in stored.targets):
            continue
        around = module.parent(stored)
        asked = around.test if isinstance(around, ast.If) else None
        used = {part.id for part in walk(stored.value) if isinstance(part, ast.Name)}
        if asked is None or not isinstance(stored.value, ast.Call) or used & own \
                or unparsed(asked).partition(" or ")[0] not in (f"{name} is None", f"not {name}"):  # fmt: skip
            return False
        found = True
    return found


def _is_weak(index: Index, module: Module, owner: ast.expr) -> bool:
    return (index.kinds.of(module, owner) or "").startswith("weakref.")


class EffectsCache:
    """Effects worked out once per function."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._known: dict[Function, Effects] = {}
        self._reached: dict[Function, tuple[tuple[Function, Effects], ...]] = {}

    def of(self, function: Function) -> Effects:
        """The function's own effects."""
        if function not in self._known:
            self._known[function] = _effects_of(self._index, function)
        return self._known[function]

    def reached(self, function: Function) -> Sequence[tuple[Function, Effects]]:
        """(function, its own effects) for the function and all that it calls in the target, nearest first."""
        if function not in self._reached:
            self._reached[function] = tuple((one, self.of(one)) for one in self._index.reaches(function))
        return self._reached[function]


def effects_cache(index: Index) -> EffectsCache:
    """The cache that belongs to an index."""
    cache = index.notes.get("effects")
    if not isinstance(cache, EffectsCache):
        cache = EffectsCache(index)
        index.notes["effects"] = cache
    return cache
