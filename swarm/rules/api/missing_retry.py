"""Idempotent calls that give up at the first hiccup."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from swarm.analysis.added_modules import is_added
from swarm.analysis.edits import Edit
from swarm.analysis.effects import HttpCall, outgoing_call
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.outgoing.model_calls import asks_model
from swarm.analysis.routes.route_paths import argument
from swarm.analysis.source import FunctionNode, Module, parameters
from swarm.core.findings import Finding
from swarm.core.patches import FileChange
from swarm.rules.examples import missing_retry as examples
from swarm.rules.facts.clients import construction
from swarm.rules.facts.independence import only_counts
from swarm.rules.rule import Mend, Rule, edited
from swarm.rules.writing.placing import free_file, import_edit, main_app
from swarm.rules.writing.reaching import import_of
from swarm.rules.writing.splices import free_name, names_in

RETRYING = ("tenacity", "stamina", "backoff", "retrying", "retry", "aiohttp_retry", "httpx_retries")
RETRY_WORDS = ("retry", "backoff", "stamina", "tenacity")
MOST_CALLERS = 30
NO_RETRY = re.compile(r"retr|probe|ping|health|poll", re.IGNORECASE)  # what is asked again anyway
STEM = "http_retries"
MARK = "HTTP_RETRY_ATTEMPTS"
IN_WITH = "with_retries_in"
STATUS = ("status_code", "status", "ok", "is_success", "is_error")
TEXT = Path(__file__).parent / "http_retries.txt"


@dataclass(frozen=True, slots=True)
class _Place:
    """A call that may be repeated; `way` is None where it is only advised."""

    function: Function
    request: HttpCall
    mendable: bool


class MissingRetry(Rule):
    """An idempotent call to another service (GET, PUT, a question to a model) is tried once, whatever happens.

    Why: connections drop and servers answer 503 for a moment; each such moment becomes a failed webhook, though
    the same call a tenth of a second later would do. Example: `await client.get(url)` with no retry around it.

    The mend: a small function, in one new module for all that need it, tries again on connection errors, 429,
    500–504 and 529, with growing random pauses, as `Retry-After` asks (seconds or a date), up to
    HTTP_RETRY_ATTEMPTS tries (3; 1 or 0: none) within HTTP_RETRY_BUDGET_S seconds (5). Each further try is logged
    and counted; a pause that would end later is not begun. In the end the last answer is returned or the last error
    raised, as it would have been. Of POSTs only a question to a model API, which changes nothing there, and one
    with an idempotency key; never a PATCH or a DELETE (its second answer differs); never where something retries
    already: a retry library, a loop around the call, a transport or adapter with retries. Calls of `urlopen` are
    advised.
    """

    id = "missing-retry"
    category = "api"
    severity = "medium"
    title = "An idempotent call is not retried"
    sources = ("https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/",)
    bad = examples.BAD
    good = examples.GOOD

    def find(self, index: Index) -> Iterable[Finding]:
        """Every idempotent call on a request's path that nothing retries."""
        for function in index.functions_on_path:
            seen: dict[str, int] = {}
            for place in _places(index, function):
                yield self._finding(place, seen)

    def _finding(self, place: _Place, seen: dict[str, int]) -> Finding:
        key = f"{place.function.qualname}:{place.request.verb}"
        seen[key] = seen.get(key, 0) + 1
        return self.finding(
            place.function.module, place.request.call,
            evidence=f"the {place.request.verb} in {place.function.qualname} is tried once",
            recommendation="Repeat idempotent calls on connection errors, 429 and passing 5xx, with growing pauses",
            anchor=key + (f"#{seen[key]}" if seen[key] > 1 else ""),
            mendable=place.mendable,
        )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Hand the findings' calls to a retrying function, in a module that all of the target's share."""
        module = index.tree.modules[findings[0].file]
        wanted = {finding.id for finding in findings}
        chosen: list[_Place] = []
        for function in index.functions:
            if function.module is module:
                seen: dict[str, int] = {}
                places = _places(index, function)
                chosen += [place for place in places if self._finding(place, seen).id in wanted]
        home, changes = _existing(index), []
        if home is None:
            app = main_app(index)
            beside = app.module if app is not None else module
            path = free_file(index.tree, beside.path.rpartition("/")[0], STEM)
            changes.append(FileChange(path, None, TEXT.read_text(encoding="utf-8")))
        else:
            beside, path = home, home.path
        stem = path.rpartition("/")[2].removesuffix(".py")
        return Mend(
            "Retry idempotent calls",
            "Lost connections, 429 and passing 5xx are tried again, with growing random pauses, within bounds from "
            "the environment; the last answer or error is what the caller sees, as before.",
            (edited(module, _rewrite(index, module, chosen, beside, stem)), *changes),
        )


def _existing(index: Index) -> Module | None:
    """The module that an earlier mend put there."""
    for path, module in index.tree.modules.items():
        if path.rpartition("/")[2].startswith(STEM) and is_added(module) and MARK in module.text \
                and IN_WITH in module.text:  # fmt: skip
            return module
    return None


def _rewrite(index: Index, module: Module, chosen: Sequence[_Place], beside: Module, stem: str) -> list[Edit]:
    """Each call handed to the generated module's function for it, and that imported once."""
    edits: list[Edit] = []
    names: dict[str, str] = {}
    wanted: list[str] = []
    for plain in sorted({_retrying(place) for place in chosen}):
        names[plain] = plain if plain not in names_in(module) else free_name(module, f"{plain}_of_calls")
        if f"{stem}.{plain}" in {origin[-len(stem) - len(plain) - 1 :] for origin in module.imports.values()}:
            names[plain] = plain
            continue  # an earlier mend imported it
        wanted.append(plain if names[plain] == plain else f"{plain} as {names[plain]}")
    if wanted:
        statement = import_of(index.tree, module, beside, stem, ", ".join(wanted))
        edits.append(import_edit(index.tree, module, statement))
    for place in chosen:
        start, end = module.span(place.request.call)
        edits += [Edit(start, start, f"{names[_retrying(place)]}(lambda: "), Edit(end, end, ")")]
    return edits


def _retrying(place: _Place) -> str:
    """The generated module's function for a call."""
    if isinstance(place.function.module.parent(place.request.call), ast.withitem):
        return IN_WITH
    return "with_retries_async" if place.request.is_async else "with_retries"


def _places(index: Index, function: Function) -> Iterator[_Place]:
    module = function.module
    with_library: bool | None = None
    for call in index.calls(function):
        request = outgoing_call(index, module, call)
        if request is not None and with_library is None:
            if _retries_already(index, function):
                return
            with_library = _has_library(module) or _adapters_retry(index)  # its own way fits better than another
        by_adapter = request is not None and (request.owner is not None or request.library != "requests")
        if by_adapter and _adapters_retry(index):
            continue
        if request is None or request.library == "urllib3" or _is_send(call) or _is_inside_retry(module, call):
            continue  # urllib3 repeats by itself
        if request.library not in ("httpx", "requests") and not index.routes:
            continue  # a script, as far as can be seen
        if not _may_be_repeated(index, function, request):
            continue
        if request.owner is not None and _transport_retries(index, module, request.owner):
            continue
        yield _Place(function, request, not with_library and _is_plain(module, request))


def _may_be_repeated(index: Index, function: Function, request: HttpCall) -> bool:
    if request.verb in ("GET", "PUT", "HEAD") or asks_model(index, function.module, request):
        return True
    if request.verb == "?":
        return _is_asked_to_get(index, function, request)
    return request.verb == "POST" and any(
        isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.lower() == "idempotency-key"
        for node in walk(request.call)
    )


def _is_asked_to_get(index: Index, function: Function, request: HttpCall) -> bool:
    """Whether the verb is the function's own argument, and somebody gives it as GET."""
    verb = request.call.args[0] if request.call.args else None
    names = [argument.arg for argument in parameters(function.node) if argument.arg not in ("self", "cls")]
    if not isinstance(verb, ast.Name) or verb.id not in names:
        return False
    place = names.index(verb.id)
    for caller in index.callers(function):
        for call in index.calls(caller):
            given = argument(call, place, verb.id)
            if isinstance(given, ast.Constant) and str(given.value).upper() == "GET" \
                    and index.resolve_call(caller.module, call) is function:  # fmt: skip
                return True
    return False


def _is_plain(module: Module, request: HttpCall) -> bool:
    """Whether the call may be handed on as it stands: awaited in place, nothing streamed or awaited in it."""
    call = request.call
    if request.library not in ("httpx", "requests", "aiohttp") or request.verb == "?":
        return False
    around = module.parent(call)
    in_with = request.library == "aiohttp" and isinstance(around, ast.withitem)  # requests' own would not be closed
    awaited = in_with or isinstance(around, ast.Await)
    streamed = any(keyword.arg in ("stream", "files", "content", "data") for keyword in call.keywords)
    waits = any(isinstance(node, ast.Await | ast.Yield | ast.NamedExpr) for node in walk(call))
    return awaited == request.is_async and not streamed and not waits


def _is_send(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in ("send", "stream")


def _retries_already(index: Index, function: Function) -> bool:
    """Whether the function or one that calls it is tried again, or a library of retries may be told to run it."""
    if NO_RETRY.search(function.name):
        return True
    if not any(_has_library(module) for module in index.tree.modules.values()):
        return _is_decorated(function)
    around = [function]
    for one in around:
        if _is_decorated(one) or _runs_attempts(one):
            return True
        if len(around) < MOST_CALLERS:
            around += [caller for caller in index.callers(one) if caller not in around]
    # a function that is named, not called, may be what such a library is handed
    handed = any(
        _has_library(module) and not _is_called(module, node) and index.named_function(module, node) is function
        for module, node in index.names(function.name)
    )
    return handed or (_has_library(function.module) and not _decorates(function.module))


def _is_called(module: Module, node: ast.expr) -> bool:
    parent = module.parent(node)
    return isinstance(parent, ast.Call) and parent.func is node


def _is_decorated(function: Function) -> bool:
    words = [unparsed(decorator).lower() for decorator in function.node.decorator_list]
    return any(name in word for word in words for name in RETRY_WORDS)


def _decorates(module: Module) -> bool:
    """Whether a module puts its library of retries around single functions: those without it go without."""
    nodes: list[FunctionNode] = [*module.nodes(ast.FunctionDef), *module.nodes(ast.AsyncFunctionDef)]
    marks = [unparsed(mark).lower() for node in nodes for mark in node.decorator_list]
    return any(name in mark for mark in marks for name in RETRY_WORDS)


def _runs_attempts(function: Function) -> bool:
    """`async for attempt in AsyncRetrying(…)`, `stamina.retry_context(…)`."""
    loops = (node for node in walk(function.node) if isinstance(node, ast.For | ast.AsyncFor))
    return any(word in unparsed(loop.iter).lower() for loop in loops for word in ("retrying", "retry_context"))


def _has_library(module: Module) -> bool:
    return any(origin.startswith(RETRYING) for origin in module.imports.values())


def _adapters_retry(index: Index) -> bool:
    """Whether sessions of the tree are given an adapter with retries."""
    if "adapters-retry" not in index.notes:
        index.notes["adapters-retry"] = any(
            any(origin.endswith(".Retry") for origin in module.imports.values())
            or any(keyword.arg == "max_retries" for keyword in module.nodes(ast.keyword))
            for module in index.tree.modules.values()
        )
    return bool(index.notes["adapters-retry"])


def _is_inside_retry(module: Module, call: ast.Call) -> bool:
    """Inside a loop with a `try` around the call, or a lambda that something else calls."""
    seen_try = False
    for around in module.ancestors(call):
        if isinstance(around, ast.Lambda):
            return True
        if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef):
            return False
        seen_try = seen_try or isinstance(around, ast.Try)
        if isinstance(around, ast.For | ast.While | ast.AsyncFor) and (seen_try or _asks_until(around)):
            return True
    return False


def _asks_until(loop: ast.For | ast.While | ast.AsyncFor) -> bool:
    """Whether a loop asks again until the answer's status suits it: `for attempt in range(3)`, `while True`."""
    counts = isinstance(loop, ast.While) or (isinstance(loop, ast.For) and only_counts(loop))
    return counts and any(isinstance(node, ast.Attribute) and node.attr in STATUS for node in walk(loop))


def _transport_retries(index: Index, module: Module, owner: ast.expr) -> bool:
    """Whether the client is built with a transport of its own (it may retry)."""
    built = construction(index, module, owner)
    return built is not None and any(keyword.arg in ("transport", "mounts") for keyword in built.keywords)
