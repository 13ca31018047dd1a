"""W18: nobody reads or changes what is another's."""

from __future__ import annotations

import ast
import re
import uuid
from typing import TYPE_CHECKING
from urllib.parse import quote

from swarm.analysis.effects import effects_cache
from swarm.probes.people.person import Person, credentials, known
from swarm.probes.probe import Probe, ProbeContext, ProbeResult

if TYPE_CHECKING:
    from swarm.analysis.index import Index

_OPEN_BY_NATURE = re.compile(
    r"^(/|.*/(health\w*|healthz|ready\w*|livez?|liveness|ping|metrics|version|status|docs|redoc|openapi\.json))$"
)
_DOES = re.compile(
    r"open|write|read|save|store|put|set|add|append|insert|update|delete|remove|pop|clear|send|publish|emit|push|run"
    r"|execute|query|get_?(all|one|by|item|user|object)|fetch|find|load|list|submit|apply|delay|enqueue|call|request",
    re.IGNORECASE,
)
_CHANGES = ("DELETE", "PUT", "PATCH", "POST")
_MAX_ROUTES = 16


class ObjectAccess(Probe):
    """Sends an event about a new person and asks every other route for that person without any credential; then
    tries the routes that change something, for an id that nobody has.
    """

    id = "W18"
    title = "Anybody reads or changes what is another's"
    severity = "critical"
    cwe = ("CWE-639", "CWE-862")
    sources = ("OWASP API1:2023", "OWASP API5:2023")
    recommendation = "Ask every route that gives or changes stored data for a credential, and check whose data it is."
    order = 78
    lane = "people"

    async def run(self, context: ProbeContext) -> ProbeResult:
        """At most a few requests for each of sixteen routes."""
        hooks = {(webhook.method.upper(), webhook.path) for webhook in context.webhooks()}
        others = [
            (method, path) for method, path in context.routes
            if (method, path.split("?")[0]) not in hooks and path and not _OPEN_BY_NATURE.match(path.split("?")[0])
            and method in ("GET", *_CHANGES)
        ][:_MAX_ROUTES]  # fmt: skip
        if not others:
            if any(not path for _, path in context.routes):
                return self.skipped("there are routes whose path is not known")
            return self.inapplicable(
                f"its {len(context.routes)} routes are webhooks, health and the like: none gives stored data"
            )
        person = await known(context)
        if person is None:
            return self.skipped("no payload with personal data was taken")
        given = refused = 0
        for method, path in others:
            if method != "GET":
                answer = await context.call(
                    method, _nobody(path), headers={"Content-Type": "application/json"}, content=b"{}"
                )
                if answer.ok and (method, path.split("?")[0]) not in hooks and touches(context.index, method, path):
                    return self.failed(
                        f"answered {answer.status} without a credential", f"{method} {path.split('?')[0]}"
                    )
                refused += answer.status in (401, 403)
                continue
            found, denied = await self._read(context, person, path)
            if found:
                return self.failed(f"gives {found} to anybody who asks", f"GET {path.split('?')[0]}")
            refused += denied
            given += 1
        if not refused:
            return self.skipped(f"none of {len(others)} routes gave anything, and none refused: nothing is shown")
        return self.passed(f"{refused} of {len(others)} routes refuse who shows no credential; none gave stored data")

    @staticmethod
    async def _read(context: ProbeContext, person: Person, path: str) -> tuple[str, bool]:
        """What of the person an answer holds, and whether the route refused; asked for by each id."""
        denied = False
        for known_as in person.ids:
            answer = await context.call("GET", _for(path, known_as))
            denied = denied or answer.status in (401, 403)
            if not answer.ok:
                continue
            for canary, field in person.canaries.items():
                if canary in answer.text and canary not in _for(path, known_as).replace("%40", "@"):
                    return field, denied
            allowed = await context.call("GET", _for(path, known_as), headers=credentials(context))
            stranger = await context.call("GET", _for(path, f"nobody-{uuid.uuid4().hex[:8]}"))
            if allowed.ok and len(answer.text) > 4 and stranger.text != answer.text and answer.text == allowed.text:
                return "what is stored of one person", denied
        return "", denied


def touches(index: Index | None, method: str, path: str) -> bool:
    """Whether a route may give or change what is stored, and does not only work out its answer. In doubt yes."""
    if index is None:
        return True
    plain = path.split("?")[0]
    handlers = [
        route.function for route in index.routes
        if method in route.methods and re.sub(r"<(?:[^<>:]+:)?(\w+)>", r"{\1}", route.path) == plain
    ]  # fmt: skip
    cache = effects_cache(index)
    for function in {f: None for h in handlers for one in (h, *index.mentions(h)) for f in index.reaches(one)}:
        effects = cache.of(function)
        if any((effects.http, effects.sql, effects.commits, effects.blocking, effects.writes_memory)):
            return True
        if effects.unknown_database or any(_DOES.search(_name(call)) for call in index.calls(function)):
            return True
    return not handlers


def _name(call: ast.Call) -> str:
    """What is called; "" for a class, which is only made."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else str(getattr(call.func, "id", ""))
    return "" if name[:1].isupper() else name


def _for(path: str, known_as: str) -> str:
    """The path with the id in each place where one goes."""
    bare, _, query = path.partition("?")
    bare = re.sub(r"\{[^}]*\}", quote(known_as, safe=""), bare)
    names = [part.split("=")[0] for part in query.split("&") if part]
    return bare + ("?" + "&".join(f"{name}={quote(known_as, safe='')}" for name in names) if names else "")


def _nobody(path: str) -> str:
    return re.sub(r"\{[^}]*\}", f"nobody-{uuid.uuid4().hex[:8]}", path.split("?")[0])
