"""A delivery with a text added to what its sender wrote: to fields of the body, the query, headers and cookies."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import parse_qsl, quote, urlencode

from swarm.config.schema import Webhook
from swarm.probes.payloads import Path, changed, is_free_text, read, strings, write
from swarm.probes.probe import ProbeContext
from swarm.target.traffic import WebhookRequest


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sender's text stands: the way to a field, or the name of what is not in the body."""

    part: Literal["body", "query", "header", "cookie"]
    at: Path

    @property
    def name(self) -> str:
        """In words."""
        shown = ".".join(map(str, self.at))
        return shown if self.part == "body" else f"{self.part} {shown}"


def fields(request: WebhookRequest) -> list[Place]:
    """Free text of the body: of a JSON object or a form."""
    payload = read(request.body)
    if not isinstance(payload, dict):
        return []
    return [Place("body", at) for at, value in strings(payload) if is_free_text(at, value)]


def beside_the_body(webhook: Webhook, request: WebhookRequest) -> list[Place]:
    """What the webhook declares to be sent in its address, and in headers that are no signature."""
    found = [Place("query", (name,)) for name, _ in parse_qsl(request.path.partition("?")[2], keep_blank_values=True)]
    for name in webhook.headers:
        if name.lower() == "cookie":
            found += [Place("cookie", (key,)) for key, _ in _cookies(request.headers[name])]
        elif name.lower() not in ("content-type", webhook.sign.header.lower()):
            found.append(Place("header", (name,)))
    return found


def with_text(
    context: ProbeContext, webhook: Webhook, request: WebhookRequest, places: Collection[Place], text: str
) -> WebhookRequest:
    """The delivery with `text` behind what stands in these places, signed anew. Line ends do not go into headers."""
    named: dict[str, set[Path]] = {"body": set(), "query": set(), "header": set(), "cookie": set()}
    for place in places:
        named[place.part].add(place.at)
    if named["query"]:
        path, _, query = request.path.partition("?")
        pairs = [(key, value + text if (key,) in named["query"] else value)
                 for key, value in parse_qsl(query, keep_blank_values=True)]  # fmt: skip
        request = replace(request, path=f"{path}?{urlencode(pairs)}")
    headers = {name: _in_header(name, value, named["header"], named["cookie"], text)
               for name, value in request.headers.items()}  # fmt: skip
    request = replace(request, headers=headers)
    if not named["body"]:
        return request
    payload = changed(read(request.body), lambda at, _: at in named["body"], lambda value: value + text)
    return context.with_body(webhook, request, write(payload))


def _in_header(name: str, value: str, headers: set[Path], cookies: set[Path], text: str) -> str:
    if name.lower() == "cookie" and cookies:
        added = quote(text, safe="")
        return "; ".join(f"{key}={old}{added if (key,) in cookies else ''}" for key, old in _cookies(value))
    return value + text if (name,) in headers and text.isprintable() else value


def _cookies(header: str) -> list[tuple[str, str]]:
    pairs = [part.strip().partition("=") for part in header.split(";")]
    return [(key, value) for key, _, value in pairs if key]
