"""Declared upstream routes, answered as agents.yaml says: latency, jitter and errors decided by a seed."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from urllib.parse import unquote

from swarm.config.schema import UpstreamRoute
from swarm.target.payloads import Template, template
from swarm.target.upstream.calls import Effect, effect_of

Latency = Literal["live", "fixed"]
FIXED_LATENCY_S = 0.015
_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Question:
    """One request to an upstream, as it came. `connection` is the one that it came on, for identity alone."""

    method: str
    path: str
    query: str
    body: bytes
    headers: Mapping[str, str]
    mark: str = ""
    connection: object = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back. `refused` where nobody plays the route; `closes` where the connection ends with it."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    effect: Effect
    refused: bool = False
    tape: Literal["", "played", "missed"] = ""
    closes: bool = False


class Player(Protocol):
    """Answers for one upstream."""

    async def reply(self, question: Question) -> Reply:
        """The answer, after its latency."""
        ...

    def hung_up(self, connection: object) -> None:
        """The target closed a connection."""
        ...


@dataclass(frozen=True, slots=True)
class _Compiled:
    route: UpstreamRoute
    pattern: re.Pattern[str]
    parameters: int
    text: Template  # what it answers, cut at {{uuid}}, {{int:1:500}} and their like

    @property
    def key(self) -> str:
        return f"{self.route.method.upper()} {self.route.path}"


class PlayedRoutes:
    """One declared upstream. The n-th call of a route meets the same jitter and error for the same seed."""

    def __init__(self, name: str, routes: Sequence[UpstreamRoute], seed: int, latency: Latency) -> None:
        self._name = name
        self._seed = seed
        self._latency = latency
        self._arrivals: Counter[str] = Counter()
        compiled = [_compile(route) for route in routes]
        # a literal path is meant before a template that also fits it
        self._routes = sorted(compiled, key=lambda item: item.parameters)

    def reset(self, seed: int) -> None:
        """Begin again, as if just started with `seed`."""
        self._seed = seed
        self._arrivals.clear()

    async def reply(self, question: Question) -> Reply:
        """The declared answer after its latency; a refusal (502) where no route fits."""
        found = self._find(question)
        if found is None:
            why = f"upstream {self._name!r} has no route {question.method} {question.path}"
            return refusal(question, why)
        compiled, parameters = found
        route = compiled.route
        effect = effect_of(question.method, route.effect, question.path, question.body)
        number = self._arrivals[compiled.key]
        self._arrivals[compiled.key] += 1
        chance = random.Random(f"{self._seed}:{self._name}:{compiled.key}:{number}")
        written = compiled.text.fill(random.Random(f"{self._seed}:{compiled.key}:{number}:text"), time.time())
        if self._latency == "fixed":
            await asyncio.sleep(FIXED_LATENCY_S)
            return _answer(route, written, parameters, effect)
        jitter_ms = chance.uniform(-route.jitter_ms, route.jitter_ms)
        fails = chance.random() < route.error_rate
        await asyncio.sleep(max(0.0, route.latency_ms + jitter_ms) / 1000)
        return failure(500, effect) if fails else _answer(route, written, parameters, effect)

    def hung_up(self, connection: object) -> None:
        """Nothing is kept for a connection."""

    def effect(self, question: Question) -> Effect:
        """What a call would do here, without answering it."""
        found = self._find(question)
        declared = found[0].route.effect if found else None
        return effect_of(question.method, declared, question.path, question.body)

    def _find(self, question: Question) -> tuple[_Compiled, dict[str, str]] | None:
        methods = {question.method, "GET"} if question.method == "HEAD" else {question.method}
        for compiled in self._routes:
            if compiled.route.method.upper() in methods:
                match = compiled.pattern.fullmatch(question.path)
                if match:
                    return compiled, {name: unquote(value) for name, value in match.groupdict().items()}
        return None


def failure(status: int, effect: Effect) -> Reply:
    """An upstream's bad moment."""
    return Reply(status, b'{"error": "internal server error"}', {"Content-Type": "application/json"}, effect)


def refusal(question: Question, why: str) -> Reply:
    """The answer to a call that nobody plays."""
    body = json.dumps({"error": f"swarm: {why}"}).encode()
    return Reply(502, body, {"Content-Type": "application/json"}, effect_of(question.method), refused=True)


def _compile(route: UpstreamRoute) -> _Compiled:
    pieces: list[str] = []
    end = 0
    parameters = list(_PARAMETER.finditer(route.path))
    for match in parameters:
        pieces += [re.escape(route.path[end : match.start()]), f"(?P<{match.group(1)}>[^/]+)"]
        end = match.end()
    pieces.append(re.escape(route.path[end:]))
    if route.text is not None:
        text = template(route.text)
    else:
        text = template(json.dumps(route.json_body), is_json=True)
    return _Compiled(route, re.compile("".join(pieces)), len(parameters), text)


def _answer(route: UpstreamRoute, written: str, parameters: Mapping[str, str], effect: Effect) -> Reply:
    headers = dict(route.headers)
    named = {name.lower() for name in headers}
    if route.text is not None:
        body, content_type = written.encode(), "text/plain; charset=utf-8"
    elif route.json_body is not None:
        body, content_type = json.dumps(_echoed(json.loads(written), parameters)).encode(), "application/json"
    else:
        return Reply(route.status, b"", headers, effect)
    if "content-type" not in named:
        headers["Content-Type"] = content_type
    return Reply(route.status, body, headers, effect)


def _echoed(value: Any, parameters: Mapping[str, str]) -> Any:
    """`value` with each `{name}` of the path filled in."""
    if isinstance(value, str):
        return _PARAMETER.sub(lambda match: parameters.get(match.group(1), match.group(0)), value)
    if isinstance(value, dict):
        return {key: _echoed(item, parameters) for key, item in value.items()}
    if isinstance(value, list):
        return [_echoed(item, parameters) for item in value]
    return value
