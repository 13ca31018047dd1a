"""What a function reads, where it does nothing else: SQL, outgoing GETs, questions to a model."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from swarm.analysis.databases.database_kinds import DATABASES
from swarm.analysis.databases.handed_statements import handed_statement
from swarm.analysis.effects import HttpCall, SqlCall, effects_cache, http_call, sql_call, sql_text
from swarm.analysis.index import Function, Index
from swarm.analysis.kinds.client_kinds import HTTP_CLIENTS
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.outgoing.handed_requests import requests_of
from swarm.analysis.outgoing.model_calls import SDK_CLIENTS, may_ask
from swarm.analysis.source import Module
from swarm.core.model_calls import is_model_path
from swarm.rules.facts.lasting import is_set_later
from swarm.rules.facts.logging_calls import is_log_call

PURE_BUILTINS = frozenset({
    "str", "int", "float", "bool", "dict", "list", "set", "frozenset", "tuple", "len", "sorted", "reversed", "min",
    "max", "sum", "any", "all", "zip", "map", "filter", "enumerate", "range", "round", "abs", "repr", "isinstance",
    "hasattr", "getattr", "ValueError", "KeyError", "RuntimeError", "LookupError", "TypeError", "format", "next",
    "iter", "vars",
})  # fmt: skip
PURE_FUNCTIONS = frozenset({
    "json.loads", "json.dumps", "os.getenv", "os.environ.get", "contextlib.nullcontext", "contextlib.closing",
    "dataclasses.asdict", "dataclasses.replace", "copy.copy", "copy.deepcopy", "typing.cast", "textwrap.dedent",
    "decimal.Decimal", "urllib.parse.quote", "urllib.parse.urlencode", "urllib.parse.urljoin", "asyncio.wait_for",
    "asyncio.timeout", "httpx.Timeout", "httpx.Limits", "aiohttp.ClientTimeout", "pathlib.Path",
})  # fmt: skip
PURE_METHODS = frozenset({
    # text, lists and dicts
    "get", "items", "keys", "values", "join", "format", "strip", "lstrip", "rstrip", "lower", "upper", "title",
    "split", "splitlines", "partition", "rpartition", "startswith", "endswith", "replace", "removeprefix",
    "removesuffix", "encode", "decode", "casefold", "capitalize", "count", "index", "copy", "isoformat", "union",
    "intersection", "difference", "issubset", "isdigit", "zfill", "rsplit",
    # containers of its own: those of others are seen as memory that it writes
    "append", "extend", "insert", "update", "setdefault", "pop", "sort", "reverse", "add", "discard",
    # results of statements and answers of servers
    "scalars", "scalar", "scalar_one", "scalar_one_or_none", "all", "first", "one", "one_or_none", "mappings",
    "fetchone", "fetchall", "fetchmany", "unique", "tuples", "partitions", "json", "raise_for_status", "_asdict",
    "model_dump", "model_validate", "dict", "from_orm", "parse_obj",
})  # fmt: skip
# what a connection, cursor, session or client does beside its statements
OPENING_METHODS = frozenset({
    "close", "aclose", "dispose", "cursor", "connect", "begin", "acquire", "connection", "session", "release",
    "fetchone", "fetchall", "fetchmany",
})  # fmt: skip
LIBRARIES_OF_STATEMENTS = ("sqlalchemy", "sqlmodel")
MOVING_SQL = re.compile(
    r"\b(?:now|random|rand|nextval|currval|clock_timestamp|julianday|getdate|last_insert_rowid|date|datetime|strftime"
    r"|utcnow)\s*\(|\b(?:current_timestamp|current_date|current_time|current_user|localtimestamp)\b|\bfor\s+update\b",
    re.IGNORECASE,
)
MOVING_CALL = re.compile(
    r"\b(?:now|random|rand|clock_timestamp|current_timestamp|current_date|current_time|current_user|next_value"
    r"|localtimestamp)\b"
)
REQUEST_STATE = (
    "flask.request",
    "flask.g",
    "flask.session",
    "flask.current_app",
    "contextvars.",
    "starlette.context",
)
GUARDING = ("HTTPException", "abort", "PermissionError", "Unauthorized", "Forbidden")
ANSWER_KINDS = ("httpx.Response", "requests.Response", "sqlite3.Cursor", "aiosqlite.Cursor")
SDK_QUESTIONS = (".messages.create", ".chat.completions.create", ".responses.create", ".embeddings.create")
SDK_ROOTS = ("anthropic.", "openai.", "mistralai.", "groq.")


REFUSED_NODES = (
    ast.Yield, ast.YieldFrom, ast.Global, ast.Nonlocal, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """A call that only asks a model, in the function that makes it."""

    function: Function
    call: ast.Call


@dataclass(slots=True)
class Reads:
    """All that a function reads, over others as well; `attributes` of its object that it uses on the way."""

    sql: list[tuple[Function, SqlCall]] = field(default_factory=list)
    gets: list[tuple[Function, HttpCall]] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    attributes: set[str] = field(default_factory=set)
    owner: str = ""  # the class of the function that all this is about, whose object the attributes are of
    asked_for: bool = False  # the caller's words tell what is asked: a verb that is handed in is known
    functions: set[Function] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.sql or self.gets or self.questions)


def reads_of(index: Index, function: Function) -> Reads | None:
    """What a function reads; None where it does anything that is not known to be harmless to leave out."""
    reads = Reads(owner=_class_of(function))
    return reads if _collect(index, function, reads) else None


def _collect(index: Index, function: Function, reads: Reads) -> bool:
    if function in reads.functions:
        return True
    reads.functions.add(function)
    effects = effects_cache(index).of(function)
    if effects.commits or effects.unknown_database or effects.dirties or effects.writes_memory:
        return False
    for node in index.own_nodes(function):
        if isinstance(node, REFUSED_NODES):
            return False
        if isinstance(node, ast.Name | ast.Attribute) and not _is_steady(index, function, node, reads):
            return False
    skipped = set(_inside_pauses(index, function))
    calls = (call for call in index.calls(function) if call not in skipped)
    return all(_is_harmless(index, function, call, reads) for call in calls)


def _inside_pauses(index: Index, function: Function) -> Iterator[ast.AST]:
    """A pause before another attempt, and all that computes how long it is."""
    for call in index.calls(function):
        if index.resolve(function.module, call.func) in ("asyncio.sleep", "time.sleep"):
            yield from walk(call)


def _is_steady(index: Index, function: Function, node: ast.Name | ast.Attribute, reads: Reads) -> bool:
    """Whether a name means the same for the next caller; attributes of its own object are noted."""
    module = function.module
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
        if function.class_name is None or node.value.id == "cls":
            return False
        if _class_of(function) != reads.owner:
            return isinstance(node.ctx, ast.Load) and not is_set_later(index, _class_of(function), node.attr)
        if index.named_function(module, node) is None:
            reads.attributes.add(node.attr)
        return isinstance(node.ctx, ast.Load)
    dotted = index.resolve(module, node)
    if dotted is None:
        return True
    if dotted.startswith(REQUEST_STATE):
        return False
    home, name = index.tree.split(dotted, module)
    return home is None or "." in name or not _is_changed(index, home, name)


def _is_changed(index: Index, home: Module, name: str) -> bool:
    """Whether some function of the module changes one of its globals (a kept client or engine is no state)."""
    statement = home.globals.get(name)
    if not isinstance(statement, ast.Assign | ast.AnnAssign):
        return False
    value = statement.value
    kinds = index.kinds
    if value is not None and kinds.of(home, value) in DATABASES | HTTP_CLIENTS:
        return False
    changed = index.notes.setdefault("changed globals", {})
    assert isinstance(changed, dict)
    if home.path not in changed:
        written = (effects_cache(index).of(function).writes_memory for function in index.functions_of(home))
        changed[home.path] = {part.split(".")[0].split("[")[0] for names in written for part in names}
    return name in changed[home.path]


def _is_harmless(index: Index, function: Function, call: ast.Call, reads: Reads) -> bool:
    module = function.module
    request = http_call(index, module, call)
    if request is not None:
        return _takes_request(index, function, request, reads)
    if is_sdk_question(index, module, call):
        reads.questions.append(Question(function, call))
        return True
    statement = sql_call(index, module, call) or handed_statement(index, module, call)
    if statement is not None:
        return _takes_statement(function, statement, reads)
    if is_log_call(module, call):
        return True
    callee = index.resolve_call(module, call)
    if callee is not None:
        through = _asked_through(index, function, call)
        if through is not None:
            inner = Reads(owner=reads.owner, asked_for=True, functions={*reads.functions} - {callee})
            reads.gets.append((function, through))
            return through.verb == "GET" and _collect(index, callee, inner)
        return _is_maker(index, callee) or _collect(index, callee, reads)
    if index.kinds.of(module, call) in DATABASES | HTTP_CLIENTS:
        return True  # it opens one: what is read with it is seen where it is read
    dotted = index.resolve(module, call.func)
    if dotted is not None:
        return _is_known_name(index, module, call, dotted)
    return isinstance(call.func, ast.Attribute) and _is_known_method(index, module, call.func)


def _takes_request(index: Index, function: Function, request: HttpCall, reads: Reads) -> bool:
    if request.verb == "GET" or (request.verb == "?" and reads.asked_for):
        reads.gets.append((function, request))
        return True
    path = url_path(index, function.module, request.call)
    asks = request.verb == "POST" and path is not None and is_model_path(path)
    if asks and may_ask(index, function.module, request):
        reads.questions.append(Question(function, request.call))
        return True
    return False


def _asked_through(index: Index, function: Function, call: ast.Call) -> HttpCall | None:
    """The one request of a wrapper to which the call hands the path, and the verb perhaps: `api.get("/plans")`."""
    texts = (sql_text(index, function.module, value) or "" for value in call.args[:2])
    if not any(text.startswith(("/", "http")) for text in texts):
        return None
    found = requests_of(index, function.module, call)
    return replace(found[0][1], call=call) if len(found) == 1 else None


def _class_of(function: Function) -> str:
    return function.dotted.rpartition(".")[0] if function.class_name else ""


def _takes_statement(function: Function, statement: SqlCall, reads: Reads) -> bool:
    if statement.writes or statement.unknown_tables or not statement.tables:
        return False
    moving = MOVING_CALL if statement.construct is not None else MOVING_SQL
    if moving.search(statement.text):
        return False
    reads.sql.append((function, statement))
    return True


def _is_maker(index: Index, callee: Function) -> bool:
    """Whether it hands out a client, a session or a connection: what is read with it is seen where it is read."""
    return index.kinds.result(callee) in DATABASES | HTTP_CLIENTS | SDK_CLIENTS


def _is_known_name(index: Index, module: Module, call: ast.Call, dotted: str) -> bool:
    if dotted in PURE_BUILTINS or dotted in PURE_FUNCTIONS or dotted in ("asyncio.sleep", "time.sleep"):
        return True
    last = dotted.rsplit(".", 1)[-1]
    if last in GUARDING:
        return False
    if dotted in index.classes:  # one without an `__init__` of its own
        return "__post_init__" not in index.classes[dotted].methods
    root = dotted.split(".")[0]
    if index.tree.split(dotted, module)[0] is None:
        return root in ("re", "math") or (root in LIBRARIES_OF_STATEMENTS and not MOVING_CALL.search(dotted))
    return isinstance(call.func, ast.Attribute) and _is_known_method(index, module, call.func)


def _is_known_method(index: Index, module: Module, method: ast.Attribute) -> bool:
    kind = index.kinds.of(module, method.value)
    if kind in DATABASES | HTTP_CLIENTS:
        return method.attr in OPENING_METHODS
    root = (kind or "").split(".")[0]
    if method.attr == "add" and not _is_own_set(index, module, method.value):
        return False
    if root in LIBRARIES_OF_STATEMENTS:
        return True
    if kind is not None and kind not in ANSWER_KINDS and kind not in index.classes:
        return False
    return method.attr in PURE_METHODS or is_builder(index, module, method)


def _is_own_set(index: Index, module: Module, owner: ast.expr) -> bool:
    function = module.enclosing_function(owner)
    values = index.kinds.bindings(function).get(unparsed(owner), []) if function is not None else []
    return bool(values) and all(
        isinstance(value, ast.Set | ast.SetComp) or unparsed(value).startswith("set(") for value in values
    )


def is_builder(index: Index, module: Module, method: ast.Attribute) -> bool:
    """Whether a method is one of a statement's that is being built: `select(x).where(…)`, `Lead.id.desc()`."""
    current: ast.expr = method.value
    while True:
        dotted = index.resolve(module, current) or ""
        if dotted.split(".")[0] in LIBRARIES_OF_STATEMENTS:
            return True
        if any(dotted.startswith(f"{name}.") and name in index.classes for name in _prefixes(dotted)):
            return True
        if isinstance(current, ast.Call):
            current = current.func
        elif isinstance(current, ast.Attribute):
            current = current.value
        elif isinstance(current, ast.Name):
            function = module.enclosing_function(current)
            bound = index.kinds.bindings(function).get(current.id, []) if function is not None else []
            first = bound[0] if bound else None
            if not isinstance(first, ast.Call) or first.lineno >= current.lineno:
                return False
            current = first
        else:
            return False


def _prefixes(dotted: str) -> Iterator[str]:
    parts = dotted.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts)))


def is_sdk_question(index: Index, module: Module, call: ast.Call) -> bool:
    """A question by a provider's own package: `client.messages.create(…)`, `client.chat.completions.create(…)`."""
    text = unparsed(call.func)
    suffix = next((name for name in SDK_QUESTIONS if text.endswith(name)), None)
    if suffix is None:
        return False
    root: ast.expr = call.func
    for _ in range(suffix.count(".")):
        root = root.value if isinstance(root, ast.Attribute) else root
    return (index.kinds.of(module, root) or "").startswith(SDK_ROOTS)


VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "get", "post", "put", "patch", "delete")


def url_path(index: Index, module: Module, call: ast.Call) -> str | None:
    """The path that a request goes to, `?` for each part that is computed; None where nothing of it is known."""
    by_name = next((keyword.value for keyword in call.keywords if keyword.arg in ("url", "path")), None)
    first = call.args[0] if call.args else None
    told = isinstance(first, ast.Constant) and first.value in VERBS
    position = 1 if told or (isinstance(call.func, ast.Attribute) and call.func.attr == "request") else 0
    url = by_name or (call.args[position] if len(call.args) > position else None)
    function = module.enclosing_function(call)
    if isinstance(url, ast.Name) and function is not None:
        bound = index.kinds.bindings(function).get(url.id, [])
        url = bound[0] if len(bound) == 1 and isinstance(bound[0], ast.expr) else url
    text = sql_text(index, module, url) if url is not None else None
    if text is None:
        return None
    kept: list[str] = []
    for part in re.sub(r"^(?:\w+://[^/]*|\?)", "", text).split("/"):
        kept.append(part if part == "?" else part.partition("?")[0])
        if "?" in part and part != "?":
            break  # a query, or a part that is half computed
    return "/".join(kept) or None
