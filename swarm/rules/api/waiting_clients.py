"""Outgoing calls beside plain HTTP verbs that wait without an end: other protocols, functions handed on, wrappers."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from swarm.analysis.index import Index
from swarm.analysis.kinds.client_kinds import HTTP_VERBS
from swarm.analysis.module import unparsed
from swarm.analysis.source import Module
from swarm.rules.api.endless_waits import is_endless


@dataclass(frozen=True, slots=True)
class _Waits:
    """A constructor or call: the keyword of its limit (none: it takes none), its place among the positional ones."""

    keyword: str
    position: int = 99
    by_default: bool = True  # `socket.setdefaulttimeout` reaches it
    whole: bool = False  # the limit is one of whole seconds


_CLIENTS = {
    "smtplib.SMTP": _Waits("timeout", 3), "smtplib.SMTP_SSL": _Waits("timeout"), "smtplib.LMTP": _Waits("timeout"),
    "ftplib.FTP": _Waits("timeout", 4), "ftplib.FTP_TLS": _Waits("timeout"),
    "imaplib.IMAP4": _Waits("timeout", 2), "imaplib.IMAP4_SSL": _Waits("timeout"),
    "poplib.POP3": _Waits("timeout", 2), "poplib.POP3_SSL": _Waits("timeout"),
    "telnetlib.Telnet": _Waits("timeout", 2), "socket.create_connection": _Waits("timeout", 1),
    "http.client.HTTPConnection": _Waits("timeout", 2), "http.client.HTTPSConnection": _Waits("timeout"),
    "urllib3.PoolManager": _Waits("timeout", by_default=False),
    "urllib3.HTTPConnectionPool": _Waits("timeout", 2, by_default=False),
    "urllib3.HTTPSConnectionPool": _Waits("timeout", 2, by_default=False),
    "urllib3.request": _Waits("timeout", by_default=False),
    "httplib2.Http": _Waits("timeout", 1), "websocket.create_connection": _Waits("timeout", 1),
    "psycopg2.connect": _Waits("connect_timeout", by_default=False, whole=True),
    "psycopg.connect": _Waits("connect_timeout", by_default=False, whole=True),
    "psycopg.AsyncConnection.connect": _Waits("connect_timeout", by_default=False, whole=True),
    "ldap3.Server": _Waits("connect_timeout", by_default=False),
    "pymemcache.client.base.Client": _Waits("timeout", by_default=False),
    "twilio.rest.Client": _Waits("", by_default=False), "urllib.request.urlretrieve": _Waits(""),
    "xmlrpc.client.ServerProxy": _Waits(""),
}  # fmt: skip
_METHODS = {("paramiko.SSHClient", "connect"): "timeout", ("paramiko.client.SSHClient", "connect"): "timeout"}
# sessions of `requests` by another name
_SESSIONS = frozenset({
    "requests_oauthlib.OAuth1Session", "requests_oauthlib.OAuth2Session", "requests_cache.CachedSession",
    "requests_html.HTMLSession", "requests_futures.sessions.FuturesSession", "cloudscraper.CloudScraper",
    "requests_toolbelt.sessions.BaseUrlSession",
})  # fmt: skip
# before redis 8 nothing limits how long a command waits
_REDIS = frozenset({
    "redis.Redis", "redis.StrictRedis", "redis.from_url", "redis.Redis.from_url", "redis.StrictRedis.from_url",
    "redis.asyncio.Redis", "redis.asyncio.from_url", "redis.asyncio.Redis.from_url", "redis.ConnectionPool.from_url",
    "redis.asyncio.ConnectionPool.from_url", "aioredis.from_url",
})  # fmt: skip
_OLD_REDIS = re.compile(r"^[\s\"']*(aio)?redis(\[\w+\])?\s*(?:[^\n#]*,)?\s*(==|~=|<=?|\^)\s*v?[0-7]\b", re.MULTILINE)
# where a command may be meant to wait until something comes
_PATIENT_REDIS = re.compile(r"\b(b[lr]pop\w*|bz\w+|blmove|x?readgroup|xread\w*|pubsub|subscribe|listen)\b")
_RQ_WORKER = r"\b(from|import) rq\b[^\n]*\b\w*Worker\b"  # it waits for minutes, on a connection that others made
_LIMITABLE = frozenset({*HTTP_VERBS, "connect"})
_HANDED_TO = ("to_thread", "run_in_executor", "submit", "map", "partial", "run_in_threadpool", "run_sync", "starmap")


@dataclass(frozen=True, slots=True)
class Wait:
    """A call that waits: `keyword` the limit that may be added to it ("" where none may), `given` its own of None."""

    call: ast.Call
    keyword: str
    given: ast.keyword | None = None
    whole: bool = False
    spread: ast.keyword | None = None  # `**options` of a wrapper, which a limit may be put before


def waits(index: Index, module: Module) -> Iterator[Wait]:
    """Every one in the module that `http_call` and its like do not know."""
    limited = any(True for _ in index.calls_named("setdefaulttimeout"))
    for call in module.nodes(ast.Call):
        dotted = index.resolve(module, call.func) or ""
        known = _CLIENTS.get(dotted)
        if known is not None and not (known.by_default and limited):
            yield from _client(index, module, call, known)
        elif dotted in _REDIS:
            yield from _redis(index, module, call)
        elif dotted in _OPENERS and _OPENERS[dotted](module, call) and not (limited and dotted == "socket.socket"):
            yield Wait(call, "")
        elif isinstance(call.func, ast.Name) and _is_verb(dotted) and not _names(call, "timeout"):
            yield Wait(call, "timeout")  # `from requests import get`
        elif isinstance(call.func, ast.Attribute) and call.func.attr in _LIMITABLE:
            yield from _method(index, module, call)
        if getattr(call.func, "attr", getattr(call.func, "id", "")) in _HANDED_TO:
            yield from _handed_on(index, module, call)
        if any(keyword.arg is None for keyword in call.keywords):
            yield from _wrapper(index, module, call, dotted)


def _client(index: Index, module: Module, call: ast.Call, known: _Waits) -> Iterator[Wait]:
    given = next((k for k in call.keywords if k.arg == known.keyword), None) if known.keyword else None
    if any(k.arg is None for k in call.keywords) or any(isinstance(a, ast.Starred) for a in call.args):
        return
    if given is not None and not is_endless(index, module, given.value):
        return
    if len(call.args) > known.position:
        return
    if known.whole:
        text = unparsed(call)
        is_told = not call.args or isinstance(call.args[0], ast.Constant | ast.JoinedStr)
        if "connect_timeout" in text.replace("connect_timeout=None", ""):
            return
        if not is_told:  # an address from elsewhere may hold one
            yield Wait(call, "", whole=True)
            return
    if not known.keyword and re.search(r"http_client|transport", unparsed(call)):
        return
    yield Wait(call, known.keyword, given, known.whole)


def _redis(index: Index, module: Module, call: ast.Call) -> Iterator[Wait]:
    pinned = any(_OLD_REDIS.search(text) for name, text in index.tree.other.items() if not name.endswith(".py"))
    if not pinned or any(k.arg is None or k.arg in ("socket_timeout", "connection_pool") for k in call.keywords):
        return
    if "timeout=" not in unparsed(call).replace("connect_timeout=", ""):
        patient = _PATIENT_REDIS.search(module.text) or any(
            m.mentions(_RQ_WORKER) for m in index.tree.modules.values()
        )
        yield Wait(call, "" if patient else "socket_timeout")


def _method(index: Index, module: Module, call: ast.Call) -> Iterator[Wait]:
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in _LIMITABLE:
        return
    if call.func.attr == "send" or any(k.arg is None or k.arg == "timeout" for k in call.keywords):
        return
    kind = index.kinds.of(module, call.func.value) or ""
    if (kind, call.func.attr) in _METHODS:
        yield Wait(call, _METHODS[kind, call.func.attr])
    elif kind in _SESSIONS and call.func.attr in HTTP_VERBS:
        yield Wait(call, "timeout")


def _handed_on(index: Index, module: Module, call: ast.Call) -> Iterator[Wait]:
    """`asyncio.to_thread(requests.get, url)`: called elsewhere, without a limit."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name not in _HANDED_TO or _names(call, "timeout") or any(k.arg is None for k in call.keywords):
        return
    for argument in call.args:
        if isinstance(argument, ast.Attribute | ast.Name) and _is_request(index, module, argument):
            is_given_on = name in ("to_thread", "partial", "run_in_threadpool", "submit")
            yield Wait(call, "timeout" if is_given_on else "")


def _wrapper(index: Index, module: Module, call: ast.Call, dotted: str) -> Iterator[Wait]:
    """`return requests.get(url, **kwargs)` in a function that nobody gives a limit."""
    spread = next((k for k in call.keywords if k.arg is None), None)
    if spread is None or not isinstance(spread.value, ast.Name) or _names(call, "timeout"):
        return
    if not (_is_verb(dotted) or (isinstance(call.func, ast.Attribute) and _is_request(index, module, call.func))):
        return
    function = index.enclosing(module, call)
    if function is None or "timeout" in module.segment(function.node):
        return
    own = function.node.args.kwarg
    if own is None or own.arg != spread.value.id:
        if all(isinstance(value, ast.Dict) and None not in value.keys
               for value in index.kinds.bindings(function.node).get(spread.value.id, [None])):  # fmt: skip
            yield Wait(call, "timeout")
        return
    callers = [c for m, c in index.calls_named(function.name) if index.resolve_call(m, c) is function or m is module]
    if callers and not any(_names(c, "timeout") or any(k.arg is None for k in c.keywords) for c in callers):
        yield Wait(call, "timeout", spread=spread)


def _is_request(index: Index, module: Module, function: ast.Attribute | ast.Name) -> bool:
    """Whether a function is one of `requests`, or a verb of one of its sessions."""
    if _is_verb(index.resolve(module, function) or ""):
        return True
    if not isinstance(function, ast.Attribute) or function.attr not in HTTP_VERBS or function.attr == "send":
        return False
    return index.kinds.client(module, function.value) == "requests.Session"


def _is_verb(dotted: str) -> bool:
    library, _, verb = dotted.partition(".")
    return library == "requests" and verb in HTTP_VERBS


def _names(call: ast.Call, keyword: str) -> bool:
    return any(k.arg == keyword for k in call.keywords)


def _opens_for_ever(module: Module, call: ast.Call) -> bool:
    """Whether neither `wait_for(…)` nor `async with timeout(…)` stands around the call."""
    for around in module.ancestors(call):
        if isinstance(around, ast.Call) and unparsed(around.func).endswith("wait_for"):
            return False
        if isinstance(around, ast.AsyncWith | ast.With) and "timeout" in unparsed(around.items[0].context_expr):
            return False
        if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef):
            return "wait_for" not in module.segment(around)
    return True


def _connects_for_ever(module: Module, call: ast.Call) -> bool:
    """A socket that is connected in the same class or function, where nothing there speaks of a limit."""
    if "DGRAM" in unparsed(call) or "AF_UNIX" in unparsed(call):
        return False
    around: ast.AST | None = module.enclosing_class(call) or module.enclosing_function(call)
    text = module.segment(around) if around is not None else module.text
    return ".connect(" in text and re.search(r"timeout|setblocking", text) is None


_OPENERS = {
    "socket.socket": _connects_for_ever,
    "asyncio.open_connection": _opens_for_ever,
}
