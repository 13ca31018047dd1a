"""Finds the routes that senders call: their whole paths, and what a request to them looks like."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from swarm.analysis.index import Index
from swarm.analysis.parts import Function, Route
from swarm.intake.webhooks.before_handlers import before_handler, verifies
from swarm.intake.webhooks.bodies import body_of, reads_body
from swarm.intake.webhooks.headers import header_values, headers_read

_LIKELY = re.compile(
    r"web_?hook|hook|event|callback|notif|ingest|incoming|inbound|receiv|alert|deliver", re.IGNORECASE
)
_UNLIKELY = re.compile(
    r"login|logout|auth|token|admin|upload|register|signup|password|session|graphql|metrics|settings|config"
    r"|replay|retry|test|simulate|subscri|dead.?letter|outgoing|delete|clear|reset|report|rules?$|set_?webhook",
    re.IGNORECASE,
)
_HEALTH = re.compile(
    r"/(api/)?(v\d+/)?(_*health\w*|healthz|livez?|ready\w*|ping|status|alive|heartbeat|up)/?$", re.IGNORECASE
)
_CONVERTER = re.compile(r"<(?:(\w+):)?(\w+)>|\{(\w+)(?::(\w+))?\}")
_MOST = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """One route for senders; `headers` are those that its code reads by name.

    `header_values` has what it compares them with, by their names in small letters.
    `path` is the route's with a value for each of its parameters.
    Where `is_list`, senders deliver several events in one list, and `payloads` are its items.
    """

    route: Route
    path: str
    method: str
    payloads: tuple[dict[str, Any], ...]
    is_form: bool
    score: int
    reached: frozenset[Function]
    headers: tuple[str, ...] = field(default_factory=tuple)
    header_values: dict[str, tuple[str, ...]] = field(default_factory=dict)
    is_list: bool = False


def find_entries(index: Index) -> tuple[Entry, ...]:
    """The routes that look most like webhooks, at most four; where none does, those that take a body."""
    entries = [_entry(index, route) for route in index.routes if route.path and set(route.methods) & {"POST", "PUT"}]
    unique = {(entry.method, entry.path): entry for entry in sorted(entries, key=lambda e: e.score)}
    ranked = sorted(unique.values(), key=lambda e: -e.score)
    likely = [entry for entry in ranked if entry.score >= 2]
    likely = [entry for entry in likely if entry.method == "POST"] or likely
    return tuple((likely or [entry for entry in ranked if entry.score >= 0][:2])[:_MOST])


def health_path(index: Index) -> str | None:
    """The GET route that tells whether the service is well."""
    gets = [route.path for route in index.routes if "GET" in route.methods and not re.search("[{<]", route.path)]
    return next((path for path in sorted(gets, key=len) if _HEALTH.search(path)), None)


def _entry(index: Index, route: Route) -> Entry:
    function, path = route.function, route.path
    reached = frozenset(index.reaches(function) | before_handler(index, route))
    bodies = body_of(index, function)
    takes_body = bool(bodies.examples) or any(reads_body(index, one) for one in reached)
    score = 2 * bool(_LIKELY.search(path) or _LIKELY.search(function.name))
    score -= 3 * bool(_UNLIKELY.search(_CONVERTER.sub("", path)))  # {bot_token} is whose webhook it is
    score += 2 * any(verifies(index, one) for one in reached) + takes_body
    score -= 2 * ("{" in path or "<" in path)
    method = "POST" if "POST" in route.methods else "PUT"
    ordered = sorted(reached, key=lambda f: f.dotted)
    headers = tuple(dict.fromkeys(name for one in ordered for name in headers_read(index, one, reached)))
    return Entry(
        route, _filled(path), method, bodies.examples, bodies.is_form, score, reached, headers,
        header_values(index, function), bodies.is_list,
    )  # fmt: skip


def _filled(path: str) -> str:
    """The path with a value for each of its parameters."""

    def value(found: re.Match[str]) -> str:
        kind, name = found[1] or found[4] or "", found[2] or found[3]
        return "{{int:1:50}}" if kind == "int" else "{{uuid}}" if "id" in name.lower() else "test"

    return _CONVERTER.sub(value, path)
