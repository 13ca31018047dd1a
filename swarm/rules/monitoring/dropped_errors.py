"""Which handlers drop an error: they catch whatever comes, tell nobody, and what they guard may really fail."""

from __future__ import annotations

import ast
import builtins
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from swarm.analysis.effects import WRITE_WORDS, http_call, sql_call
from swarm.analysis.index import Index
from swarm.analysis.module import unparsed, walk
from swarm.analysis.source import Module
from swarm.rules.facts.logging_calls import is_log_call, is_print, tells_of_it

BROAD = ("Exception", "BaseException")
# all that a client may raise where another system fails: as good as everything around a call of that client
_FAMILIES = frozenset({
    "requests.RequestException", "requests.exceptions.RequestException", "requests.exceptions.ConnectionError",
    "requests.ConnectionError", "httpx.HTTPError", "httpx.RequestError", "httpx.TransportError",
    "aiohttp.ClientError", "urllib.error.URLError", "sqlalchemy.exc.SQLAlchemyError", "sqlite3.Error",
    "psycopg2.Error", "psycopg.Error", "asyncpg.PostgresError", "redis.RedisError", "redis.exceptions.RedisError",
    "smtplib.SMTPException",
})  # fmt: skip
_SYSTEMS = ("redis.", "smtplib.", "httpx.", "aiohttp.", "requests.", "pymongo.", "asyncpg.", "psycopg")
# a question: that it failed is its answer
_QUESTION = re.compile(
    r"^_*(is|has|can|may|should|try|maybe|supports?|match(es)?|ping|probe)_|^_*(is|has)[A-Z]"
    r"|(?<!t)able$|^__(str|repr)__$|(^|_)(or_none|optional|exists?|alive|health\w*|ready|readiness|available|reachable|valid)(_|$)"
)
_CHECK = re.compile(r"^_*(check|valid\w*|verif\w*|test|detect|authenticate|decode|parse)(_|$)")
TEARDOWN = re.compile(
    r"^(aclose|close(_(all|db|redis|\w*(connection|client|session|pool|engine|resource|driver|browser|socket)s?))?"
    r"|(on_)?shut_?down\w*|stop|clean_?up\w*|tear_?down\w*|disconnect|dispose|a?exit|del|release(_\w*lock)?"
    r"|\w+_lifespan|lifespan)$"
)
_CLEANUP = frozenset({
    "close", "aclose", "wait_closed", "disconnect", "unlink", "shutdown", "terminate", "kill", "cancel", "rollback",
    "stop", "rmtree", "remove", "flush", "release", "quit", "dispose", "unlock", "join", "killpg", "delete_webhook",
    "close_all", "detach", "unsubscribe", "reset",
})  # fmt: skip
# a handler that says or keeps any of these tells that something went wrong
_TOLD = re.compile(
    r"err(or)?s?(\b|_)|error|fail|exc(\b|_)|exception|invalid|unavail|unhealth|degraded|broken|problem|warn|alert|notif"
    r"|report|capture|abort|exit|retry|flash|traceback|unable|could ?not|cannot|crash|\bdown\b|wrong|denied|reject"
    r"|unauthor|forbidden|\bbad\b|trouble",
    re.IGNORECASE,
)
# what turns one value into another: that it cannot be turned is the question, and a default its answer
_CONVERSIONS = frozenset({
    *dir(str), *dir(dict), *dir(datetime), *dir(re), *dir(re.Match), *dir(math), *dir(builtins),
    "json", "form", "sleep", "Decimal", "UUID", "Path", "quantize", "urlparse", "urlsplit", "parse_qs", "unquote",
    "quote", "ip_address", "ip_network", "ZoneInfo", "timezone", "localize", "literal_eval", "b64decode", "b64encode",
    "urlsafe_b64decode", "urlsafe_b64encode", "unhexlify", "loads", "dumps", "model_validate", "model_validate_json",
    "model_dump", "parse_obj", "validate", "deepcopy", "strptime", "mktime", "datetime", "date", "timedelta",
    "version", "find_spec", "import_module", "getpreferredencoding",
}) - {"open", "update", "setdefault", "clear", "pop", "popitem"}  # fmt: skip
# what asks, changes or runs something, by the first word of its name
_WORK = WRITE_WORDS | {
    "fetch", "fetchall", "fetchone", "query", "execute", "executemany", "scalar", "scalars", "connect", "request",
    "urlopen", "call", "run", "invoke", "download", "generate", "process", "handle", "dispatch", "read", "first",
    "one", "scan", "check", "login", "refresh", "find_one", "hget", "hgetall", "hset", "lpush", "rpush", "lrange",
    "setex", "delay", "trigger", "broadcast", "restart", "iterdir", "glob", "rglob", "listdir", "mkdir",
}  # fmt: skip
_OF_BODIES = ("json", "form", "body", "read")
_TELEMETRY = re.compile(
    r"metric|telemetry|observab|statsd|tracing|tracer|span|prometheus|sentry|posthog|analytics_client"
)
_KEEPING = ("append", "add", "extend", "appendleft", "setdefault")
_EMPTY = frozenset({
    "dict", "list", "set", "tuple", "str", "int", "float", "defaultdict", "Counter", "OrderedDict", "now", "utcnow",
    "today", "time", "sleep", "timedelta", "JSONResponse", "Response", "PlainTextResponse", "HTMLResponse", "jsonify",
    "make_response", "render_template", "TemplateResponse", "redirect", "RedirectResponse", "url_for", "Decimal",
    "get", "isoformat", "copy", "pop", "update", "clear", "discard", "format", "DataFrame", "len",
})  # fmt: skip
_OF_MAPPINGS = ("get", "update", "pop", "copy", "format")
_CLASS = re.compile(r"[A-Z][a-z0-9]+([A-Z]\w*)?$")
_EMPTY_OR_KEPT = _EMPTY | _CLEANUP | set(_KEEPING)


def dropped(index: Index, module: Module) -> Iterator[tuple[ast.ExceptHandler, ast.Try]]:
    """Every handler of the module that drops what it catches, with its `try`."""
    for tried in module.nodes(ast.Try):
        for handler in tried.handlers:
            if _drops(index, module, tried, handler):
                yield handler, tried


def suppressed(index: Index, module: Module) -> Iterator[tuple[ast.With | ast.AsyncWith, ast.Call]]:
    """`with suppress(Exception):` around more than clean-up."""
    blocks: list[ast.With | ast.AsyncWith] = [*module.nodes(ast.With), *module.nodes(ast.AsyncWith)]
    for block in blocks:
        for item in block.items:
            call = item.context_expr
            if isinstance(call, ast.Call) and index.resolve(module, call.func) == "contextlib.suppress":
                broad = any(isinstance(kind, ast.Name) and kind.id in BROAD for kind in call.args)
                excused = _is_excused(index, module, block, block.body)
                if broad and not excused and _keeps_or_works(index, module, block.body):
                    yield block, call


def _drops(index: Index, module: Module, tried: ast.Try, handler: ast.ExceptHandler) -> bool:
    broad = _is_broad(handler)
    if not broad and not (_is_family(index, module, handler) and _asks_others(index, module, tried.body)):
        return False
    if not broad and _sets_a_flag(handler):
        return False
    if _is_masked(handler):
        waits = any(isinstance(node, ast.Await) and _name_of_awaited(node) not in _OF_BODIES
                    for statement in tried.body for node in walk(statement))  # fmt: skip
        fails = waits or _asks_others(index, module, tried.body) or _works(index, module, tried.body)
        return broad and fails and not _is_question(module, tried, handler)
    if _tells(module, handler) or _recovers(handler) or _is_excused(index, module, tried, tried.body):
        return False
    if _is_question(module, tried, handler) or _is_second(module, tried):
        return False
    if isinstance(handler.body[-1], ast.Continue) and len(handler.body) == 1:
        return not _is_attempt(tried) or _asks_others(index, module, tried.body)
    if _passes(handler):
        return _keeps_or_works(index, module, tried.body)
    return _works(index, module, tried.body)


def _sets_a_flag(handler: ast.ExceptHandler) -> bool:
    """Whether a handler only sets something to true: `busy = 1`, for who asks after it."""
    values = [node.value for node in handler.body if isinstance(node, ast.Assign)]
    return len(values) == len(handler.body) and all(
        isinstance(value, ast.Constant) and isinstance(value.value, int) and bool(value.value) for value in values
    )


def _is_broad(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in BROAD) for kind in kinds)


def _is_family(index: Index, module: Module, handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is not None and index.resolve(module, kind) in _FAMILIES for kind in kinds)


def _tells(module: Module, handler: ast.ExceptHandler) -> bool:
    """Whether a handler raises, logs, or keeps or answers something that speaks of a failure."""
    if tells_of_it(module, handler.body):
        return True
    emptied = {
        id(target)
        for node in handler.body if isinstance(node, ast.Assign) and not getattr(node.value, "value", True)
        for target in node.targets
    }  # fmt: skip
    for node in (part for statement in handler.body for part in walk(statement)):
        match node:
            case ast.Name() | ast.Attribute() if id(node) in emptied:
                continue  # `rejected = False`: that nothing is wrong
            case ast.Name(id=name):
                if name == handler.name or _TOLD.search(name):
                    return True
            case ast.Attribute(attr=name) | ast.keyword(arg=str(name)) | ast.FunctionDef(name=name):
                if _TOLD.search(name):
                    return True
            case ast.Constant(value=str(value)):
                if _TOLD.search(value):
                    return True
            case ast.Constant(value=int(value)) if isinstance(handler.body[-1], ast.Return):
                if 400 <= value < 600:
                    return True
            case ast.Yield() | ast.YieldFrom():
                return True
    return False


def _recovers(handler: ast.ExceptHandler) -> bool:
    """Whether a handler goes another way: it calls what is more than a default, clean-up or an answer's frame."""
    for node in (part for statement in handler.body for part in walk(statement)):
        if isinstance(node, ast.Call) and not _CLASS.match(name := _name_of(node)):
            at_hand = not isinstance(node.func, ast.Attribute) or isinstance(node.func.value, ast.Name)
            if name not in _EMPTY_OR_KEPT or (name in _OF_MAPPINGS and not at_hand):
                return True
        if isinstance(node, ast.Try | ast.Import | ast.ImportFrom | ast.For | ast.While):
            return True
    return False


def _is_masked(handler: ast.ExceptHandler) -> bool:
    """Whether whatever failed is answered with "not found"."""
    if len(handler.body) != 1:
        return False
    match handler.body[0]:
        case ast.Raise(exc=ast.Call() as call):
            said = [*call.args[:1], *(k.value for k in call.keywords if k.arg == "status_code")]
        case ast.Expr(value=ast.Call(func=ast.Name(id="abort"), args=[first, *_])):
            said = [first]
        case ast.Return(value=ast.Tuple(elts=[_, code])):
            said = [code]
        case _:
            return False
    is_404 = any(
        (isinstance(code, ast.Constant) and code.value == 404)
        or (isinstance(code, ast.Attribute) and code.attr == "HTTP_404_NOT_FOUND")
        for code in said
    )
    uses = any(isinstance(node, ast.Name) and node.id == handler.name for s in handler.body for node in walk(s))
    return is_404 and not uses


def _passes(handler: ast.ExceptHandler) -> bool:
    """Whether a handler does nothing at all."""
    return all(
        isinstance(s, ast.Pass) or (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))
        for s in handler.body
    )


def _is_question(module: Module, tried: ast.AST, handler: ast.ExceptHandler) -> bool:
    """Whether the function asks whether something is so: then that it failed is the answer."""
    function = module.enclosing_function(tried)
    if function is None:
        return False
    if _QUESTION.search(function.name):
        return True
    last = handler.body[-1]
    denies = isinstance(last, ast.Return) and (last.value is None or _is_plain_no(last.value))
    if _CHECK.search(function.name) is None:
        return False
    says = any(isinstance(node, ast.Return) and isinstance(getattr(node.value, "value", None), bool)
               for node in walk(function))  # fmt: skip
    return denies or isinstance(last, ast.Continue) or (_passes(handler) and says)


def _is_second(module: Module, tried: ast.Try) -> bool:
    """Whether it fails while another error is being handled: that one is the news."""
    for around in module.ancestors(tried):
        if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef):
            return False
        if isinstance(around, ast.ExceptHandler):
            return True
    return False


def _is_plain_no(value: ast.expr) -> bool:
    if isinstance(value, ast.Tuple):
        return bool(value.elts) and _is_plain_no(value.elts[0])
    return isinstance(value, ast.Constant) and not value.value


def _is_excused(index: Index, module: Module, around: ast.AST, body: Sequence[ast.stmt]) -> bool:
    if any(_is_optional(index, module, node) for statement in body for node in walk(statement)):
        return True
    logs = len(body) == 1 and any(is_log_call(module, n) or is_print(module, n) for n in walk(body[0]))
    if logs and not _asks_others(index, module, body):
        return True  # logging itself may fail in silence
    if _TELEMETRY.search(module.path.lower()) or all(_is_telemetry(statement) for statement in body):
        return True
    function = module.enclosing_function(around)
    if function is not None and _is_attempt(around) and not _asks_others(index, module, body):
        return True  # one way, with another after it
    if function is not None and function.name == "emit" and "Handler" in _bases(module, function):
        return True
    if function is not None and TEARDOWN.search(function.name.strip("_").lower()):
        return True
    return all(_is_cleanup(statement) for statement in body)


def _is_optional(index: Index, module: Module, node: ast.AST) -> bool:
    """Whether something is imported that may not be installed: not a module of the target."""
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    return any(index.tree.find_module(name, module) is None for name in names)


def _bases(module: Module, function: ast.AST) -> str:
    around = module.enclosing_class(function)
    return " ".join(unparsed(base) for base in around.bases) if around is not None else ""


def _is_telemetry(statement: ast.stmt) -> bool:
    value = getattr(statement, "value", None)
    value = value.value if isinstance(value, ast.Await) else value
    return isinstance(value, ast.Call) and _TELEMETRY.search(unparsed(value.func).lower()) is not None


def _is_attempt(around: ast.AST) -> bool:
    """Whether what is tried ends the search where it works: a `return` or `break`, and on in silence where not."""
    body = getattr(around, "body", [])
    last = body[-1] if body else None
    while isinstance(last, ast.If | ast.With | ast.AsyncWith) and not getattr(last, "orelse", []):
        last = last.body[-1]
    if not isinstance(last, ast.Return | ast.Break):
        return False
    handlers = getattr(around, "handlers", [])
    return bool(handlers) and all(isinstance(h.body[-1], ast.Pass | ast.Continue) for h in handlers)


def _is_cleanup(statement: ast.stmt) -> bool:
    match statement:
        case ast.If(body=body, orelse=rest) | ast.For(body=body, orelse=rest):
            return all(_is_cleanup(inner) for inner in (*body, *rest))
        case ast.Assign(value=ast.Constant(value=None)) | ast.Pass() | ast.Delete():
            return True
        case ast.Expr(value=ast.Await(value=ast.Call() as call)) | ast.Expr(value=ast.Call() as call):
            name = _name_of(call)
            if name in ("run", "run_until_complete", "wait_for", "shield") and call.args:
                inner = call.args[0]
                return isinstance(inner, ast.Call) and _name_of(inner) in _CLEANUP
            return name in _CLEANUP
        case ast.Expr(value=ast.Await(value=ast.Name())):
            return True  # a task that was told to end
    return False


def _name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _name_of_awaited(node: ast.Await) -> str:
    return _name_of(node.value) if isinstance(node.value, ast.Call) else ""


def _calls(body: Iterable[ast.stmt]) -> Iterator[ast.Call]:
    return (node for statement in body for node in walk(statement) if isinstance(node, ast.Call))


def _asks_others(index: Index, module: Module, body: Sequence[ast.stmt]) -> bool:
    """Whether another system is asked right there."""
    return any(
        http_call(index, module, call) or sql_call(index, module, call)
        or index.resolve(module, call.func) == "urllib.request.urlopen"
        or (index.kinds.of(module, getattr(call.func, "value", call)) or "").startswith(_SYSTEMS)
        for call in _calls(body)
    )  # fmt: skip


def _keeps_or_works(index: Index, module: Module, body: Sequence[ast.stmt]) -> bool:
    """Whether more is lost than a value that stays as it was: anything but conversions is tried."""
    match body:
        case [ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(args=[ast.Name(id=given)]))] if name == given:
            return False  # `value = load(value)`
    if any(isinstance(s, ast.Expr) and isinstance(s.value, ast.Call | ast.Await) for s in body):
        return True  # done for what it does, not for a value
    for call in _calls(body):
        name = _name_of(call)
        if name in _KEEPING or http_call(index, module, call) or sql_call(index, module, call):
            return True
        if _is_handed_in(module, call) or not (name in _CONVERSIONS or _is_conversion(name)):
            return True
    return False


def _works(index: Index, module: Module, body: Sequence[ast.stmt]) -> bool:
    """Whether something is done that fails for other reasons than the value at hand."""
    for call in _calls(body):
        if http_call(index, module, call) or sql_call(index, module, call):
            return True
        name = _name_of(call)
        if _is_handed_in(module, call):
            return True
        if name in _CONVERSIONS or _is_conversion(name):
            continue
        if isinstance(module.parent(call), ast.Await) or name.lstrip("_").lower().split("_")[0] in _WORK:
            return True
        if name in _WORK or index.resolve_call(module, call) is not None:
            return True
    return False


def _is_conversion(name: str) -> bool:
    return re.match(
        r"_*(parse|to|from|as|format|normali[sz]e|convert|coerce|safe|clean|loads?$|decode|encode|extract)(_|$)", name
    ) is not None  # fmt: skip


def _is_handed_in(module: Module, call: ast.Call) -> bool:
    """Whether the function calls one of its own parameters: what that does is not its to know."""
    function = module.enclosing_function(call)
    if function is None or not isinstance(call.func, ast.Name):
        return False
    arguments = function.args
    return call.func.id in {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
