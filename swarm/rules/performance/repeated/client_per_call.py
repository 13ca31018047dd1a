"""An HTTP client built for every call: a new TLS context and new connections each time."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from swarm.analysis.edits import Edit
from swarm.analysis.effects import http_call
from swarm.analysis.index import Function, Index
from swarm.analysis.kinds.client_kinds import HTTP_CLIENTS, HTTP_VERBS, POOL_MANAGERS
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module, parameters
from swarm.core.findings import Finding
from swarm.rules.examples import client_per_call as examples
from swarm.rules.facts.clients import hands_out, is_doubled, is_fixed, is_in_process
from swarm.rules.facts.request_objects import opens_for_request
from swarm.rules.rule import Mend, Rule, edited
from swarm.rules.writing.splices import add_keyword, before_definitions, free_name, import_as, import_from

KEPT_BY = ("cache", "lru_cache", "cached_property", "fixture")
CONTEXTS = {"asynccontextmanager", "contextmanager"}
ONLY_FOR_CLIENTS = ("verify", "cert", "proxy", "proxies", "trust_env", "mounts", "transport")
ASYNC_SHARED = '''{clients}: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, tuple[{kind}, {generator}[None, None]]
] = weakref.WeakKeyDictionary()


def {getter}() -> {kind}:
    """One client per event loop, closed when the loop ends: connections are kept between calls, cookies are not."""
    loop = asyncio.get_running_loop()
    client, _ = {clients}.get(loop, (None, None))
    if client is None or client.{closed}:
        client = {construction}
{policy}        closing = {closing}(client)
        {clients}[loop] = client, closing
        next(closing.__anext__().__await__(), None)  # begun here, and ended by the loop with itself
    return client


async def {closing}(client: {kind}) -> {generator}[None, None]:
    try:
        yield
    finally:
        {clients}.pop(asyncio.get_running_loop(), None)
        await client.{close}()
'''
SYNC_SHARED = """# one client for all calls: connections are kept between them, cookies are not
{name} = {construction}
{jar}.set_policy({cookie_policy}(allowed_domains=[]))
"""


@dataclass(frozen=True, slots=True)
class _Place:
    """One client that is built per call: in a `with`, or behind `requests.get(…)`."""

    function: Function
    call: ast.Call
    kind: str
    shape: Literal["with", "bare", "named", "other"]
    is_async: bool
    moved: tuple[ast.keyword, ...] = ()  # arguments that vary: given to each request in place
    requests: tuple[ast.Call, ...] = ()


class ClientPerCall(Rule):
    """A function on a request's path builds an HTTP client (or calls `requests.get`), uses it, throws it away.

    Why: each one loads the CA bundle (30–60 ms of CPU) and opens new TCP and TLS connections. Example:
    `async with httpx.AsyncClient() as client:` around one request.

    The mend: one client per module and arguments, built at its first use, one per event loop for async ones, so
    that tests with several loops keep working; it keeps no cookies (those of one call must not meet another) and
    its pool has no limit that was not there before. Timeouts and headers that vary move to the request. An async
    one is closed with its event loop, which ends the generators that it has begun; one for sync code is left to
    the process's end. Never where the client is changed after it was built, handed on, or built with other
    arguments that vary.
    """

    id = "client-per-call"
    category = "performance"
    severity = "high"
    order = 40
    title = "An HTTP client is built for every call"
    sources = ("https://www.python-httpx.org/advanced/clients/",)
    bad = examples.BAD
    good = examples.GOOD

    def find(self, index: Index) -> Iterable[Finding]:
        """Every client built on a request's path."""
        for function in index.functions_on_path:
            seen: dict[str, int] = {}
            for place in _places(index, function):
                yield self._finding(index, place, seen)

    def _finding(self, index: Index, place: _Place, seen: dict[str, int]) -> Finding:
        name = unparsed(place.call.func)
        seen[name] = seen.get(name, 0) + 1
        doubled = is_doubled(index, place.function.module, place.call.func)
        by_hand = f"; its tests put a double in place of {name}: let them give it one" if doubled else ""
        return self.finding(
            place.function.module, place.call,
            evidence=f"{name}(…) in {place.function.qualname} opens new connections with every call",
            recommendation=f"Keep one client and reuse its connections{by_hand}",
            anchor=f"{place.function.qualname}:{name}" + (f"#{seen[name]}" if seen[name] > 1 else ""),
            mendable=place.shape != "other" and not doubled,
        )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Let all calls of the findings share a client per set of arguments."""
        module = index.tree.modules[findings[0].file]
        wanted = {finding.id for finding in findings}
        chosen: list[_Place] = []
        for function in index.functions:
            if function.module is module:
                seen: dict[str, int] = {}
                built = _places(index, function)
                chosen += [place for place in built if self._finding(index, place, seen).id in wanted]
        groups: dict[tuple[str, bool, str], list[_Place]] = {}
        for place in chosen:
            groups.setdefault((place.kind, place.is_async, _construction(module, place)), []).append(place)
        edits: list[Edit] = []
        taken: set[str] = set()
        for (kind, is_async, construction), places in groups.items():
            edits += _shared(module, kind, is_async, construction, places, taken)
        return Mend(
            "Share one HTTP client between calls",
            "A client per call loads the CA bundle and opens new connections each time; a shared one keeps them. "
            "It stores no cookies and is left open until the process ends.",
            (edited(module, edits),),
        )


def _places(index: Index, function: Function) -> Iterator[_Place]:
    module = function.module
    names = {unparsed(decorator).split("(")[0].rsplit(".", 1)[-1] for decorator in function.node.decorator_list}
    if names & set(KEPT_BY) or (names & CONTEXTS and _is_lifespan(function)):
        return
    for call in index.calls(function):
        dotted = index.resolve(module, call.func)
        kind = index.kinds.of(module, call) if dotted is not None else None
        request = http_call(index, module, call)
        if request is not None and request.owner is None:
            yield _bare(function, call, request.library)
        elif kind in POOL_MANAGERS and (index.tree.split(dotted or "")[0] is None):
            if _built(index, function, call, kind or "") is not None:
                yield _Place(function, call, kind or "", "other", False)
        elif (dotted or "").startswith("contextlib."):
            continue  # `nullcontext(client)` passes on one that is there
        elif kind in HTTP_CLIENTS and index.tree.split(dotted or "")[0] is None and kind is not None:
            place = _built(index, function, call, kind)
            if place is not None:
                yield place


def _is_lifespan(function: Function) -> bool:
    """Whether a context is that of an application, from its start to its end."""
    given = [argument.arg for argument in parameters(function.node)]
    return "lifespan" in function.name or bool({"app", "_app", "application"} & set(given))


def _bare(function: Function, call: ast.Call, library: str) -> _Place:
    kind = "requests.Session" if library == "requests" else "httpx.Client"
    varies = any(keyword.arg is None or keyword.arg in ONLY_FOR_CLIENTS for keyword in call.keywords)
    fine = library == "requests" or not varies
    return _Place(function, call, kind, "bare" if fine else "other", False)


def _built(index: Index, function: Function, call: ast.Call, kind: str) -> _Place | None:
    module = function.module
    is_async = kind in ("httpx.AsyncClient", "aiohttp.ClientSession")
    if any(keyword.arg == "app" or is_in_process(index, module, keyword.value) for keyword in call.keywords):
        return None
    other = _Place(function, call, kind, "other", is_async)
    parent = module.parent(call)
    while isinstance(parent, ast.Call) and index.kinds.of(module, parent) == kind:
        parent = module.parent(parent)  # `watched(client)` gives back the client itself
    if isinstance(parent, ast.Assign | ast.AnnAssign):
        targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
        kept = [t for t in targets if not isinstance(t, ast.Name) or t.id not in module.local_names(function.node)]
        names = {target.id for target in targets if isinstance(target, ast.Name)}
        if kept or hands_out(index, function, names):
            per_request = (kept and opens_for_request(index, function)) or _is_closed_by_callers(index, function)
            return other if per_request else None
        plain = kind == "requests.Session" and not call.args and not call.keywords and len(names) == 1
        if plain and not is_async and parent.value is call and _only_requests(function, call, names):
            return _Place(function, call, kind, "named", False)
        return other
    if isinstance(parent, ast.BoolOp | ast.IfExp | ast.arguments):
        return None  # only where the caller gave none
    if isinstance(parent, ast.Return):
        return other if _is_closed_by_callers(index, function) else None
    if not isinstance(parent, ast.withitem):
        return None if isinstance(parent, ast.Yield) else other
    block = module.statement(call)
    name = parent.optional_vars
    if not isinstance(block, ast.With | ast.AsyncWith) or not isinstance(name, ast.Name):
        return other
    requests: list[ast.Call] = []
    for node in (part for statement in block.body for part in walk(statement)):
        if isinstance(node, ast.Name) and node.id == name.id:
            attribute = module.parent(node)
            verb = attribute.attr if isinstance(attribute, ast.Attribute) else ""
            use = module.parent(attribute) if attribute is not None else None
            if verb not in HTTP_VERBS or not isinstance(use, ast.Call):
                return other
            requests.append(use)
    moved = tuple(keyword for keyword in call.keywords if not is_fixed(index, module, keyword.value))
    given = {keyword.arg for request in requests for keyword in request.keywords}
    can_move = {"headers", "timeout"} - given
    if call.args or any(keyword.arg not in can_move for keyword in moved) or (moved and kind == "requests.Session"):
        return other
    return _Place(function, call, kind, "with", is_async, moved, tuple(requests))


def _is_closed_by_callers(index: Index, function: Function) -> bool:
    """Whether a request's code uses what the function makes in a `with`, whose end closes it."""
    for caller in index.callers(function):
        for call in index.calls(caller) if caller in index.reachable() else ():
            in_with = isinstance(caller.module.parent(call), ast.withitem)
            if in_with and index.resolve_call(caller.module, call) is function:
                return True
    return False


def _only_requests(function: Function, call: ast.Call, names: set[str]) -> bool:
    """Whether a local session is asked once and nothing else: not changed, closed, handed on or bound again. Who asks
    it twice may want the cookies of the first answer."""
    module = function.module
    asked = 0
    for node in walk(function.node):
        if not isinstance(node, ast.Name) or node.id not in names:
            continue
        if isinstance(node.ctx, ast.Store):
            if module.parent(node) is not module.parent(call):
                return False
            continue
        attribute = module.parent(node)
        use = module.parent(attribute) if isinstance(attribute, ast.Attribute) else None
        is_asked = isinstance(attribute, ast.Attribute) and attribute.attr in HTTP_VERBS
        if not is_asked or not isinstance(use, ast.Call) or use.func is not attribute:
            return False
        asked += 1
    return asked == 1


def _construction(module: Module, place: _Place) -> str:
    """The text that builds the shared client: the arguments as they stand, pools and cookies set apart."""
    if place.shape == "named":
        return module.segment(place.call)
    if place.shape == "bare":
        return f"{unparsed(place.call.func).rsplit('.', 1)[0]}.{place.kind.rsplit('.', 1)[-1]}()"
    kept = [module.segment(keyword) for keyword in place.call.keywords if keyword not in place.moved]
    name = module.segment(place.call.func)
    given = {keyword.arg for keyword in place.call.keywords}
    root = name.rsplit(".", 1)[0] if "." in name else place.kind.split(".")[0]
    if place.kind.startswith("httpx.") and not given & {"limits", "transport"}:
        kept.append(f"limits={root}.Limits(max_keepalive_connections=20)")
    if place.kind == "aiohttp.ClientSession" and "cookie_jar" not in given:
        kept.append(f"cookie_jar={root}.DummyCookieJar()")
    return f"{name}({', '.join(kept)})"


def _shared(
    module: Module, kind: str, is_async: bool, construction: str, places: Sequence[_Place], taken: set[str]
) -> list[Edit]:
    """The edits of one group: the shared client, its imports, and every place that uses it."""
    edits: list[Edit] = []

    def imported(name: str, edit: Edit | None) -> str:
        edits.extend([edit] if edit else [])
        return name

    def fresh(wanted: str) -> str:
        name = free_name(module, wanted)
        number = 2
        while name in taken:
            name, number = free_name(module, f"{wanted}_{number}"), number + 1
        taken.add(name)
        return name

    root = kind.split(".")[0]
    if "." in construction.split("(")[0]:
        library = construction.split(".")[0]
    else:
        library = imported(*import_as(module, root))
        construction = construction.replace("limits=" + root, "limits=" + library)
    plain = kind.rsplit(".", 1)[-1]
    policy = ""
    if kind != "aiohttp.ClientSession":
        policy = imported(*import_from(module, "http.cookiejar", "DefaultCookiePolicy"))
    if is_async and len(construction) > 60:
        name, _, given = construction.partition("(")
        construction = f"{name}(\n            {given[:-1]}\n        )"
    if is_async:
        getter = fresh("_http_client")
        for name in ("asyncio", "weakref"):
            imported(*import_as(module, name))
        generator = imported(*import_from(module, "collections.abc", "AsyncGenerator"))
        jar = f"        client.cookies.jar.set_policy({policy}(allowed_domains=[]))\n" if policy else ""
        code = ASYNC_SHARED.format(
            clients=fresh(f"{getter}s"), kind=f"{library}.{plain}", getter=getter, construction=construction,
            closed="is_closed" if root == "httpx" else "closed", policy=jar, generator=generator,
            closing=fresh("_closing"), close="aclose" if root == "httpx" else "close",
        )  # fmt: skip
        shared = f"{getter}()"
    else:
        shared = fresh("_http")
        jar = f"{shared}.cookies" + (".jar" if root == "httpx" else "")
        code = SYNC_SHARED.format(name=shared, construction=construction, jar=jar, cookie_policy=policy)
    if any(place.shape == "with" for place in places):
        context = imported(*import_from(module, "contextlib", "nullcontext"))
    for place in places:
        if place.shape == "bare":
            start, end = module.span(place.call.func)
            edits.append(Edit(start, end, f"{shared}.{_verb_name(place.call)}"))
        elif place.shape == "named":
            edits.append(Edit(*module.span(place.call), shared))
        else:
            edits.append(Edit(*module.span(place.call), f"{context}({shared})"))
            moved = [module.segment(keyword) for keyword in place.moved]
            edits += [add_keyword(module, request, text) for request in place.requests for text in moved]
    return [*edits, before_definitions(module, code)]


def _verb_name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else unparsed(call.func)
