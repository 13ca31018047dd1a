"""W13: errors say nothing about the inside: no traceback, path, SQL, class name, internal address or secret."""

from __future__ import annotations

import asyncio
import re

from swarm.config.schema import Webhook
from swarm.probes.payloads import read, write
from swarm.probes.probe import Answer, Probe, ProbeContext, ProbeResult, route_of
from swarm.target.traffic import WebhookRequest
from swarm.target.upstream.calls import FaultPoint, path_shape

_MAX_VARIANTS = 6
_MAX_FAULTS = 2
_MARKS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("a traceback", re.compile(r"Traceback \(most recent call last\)")),
    ("a source path", re.compile(r"(?:/[\w.-]+){2,}\.py\b")),
    ("the name of an exception", re.compile(r"\b(?!Internal\w*Error\b)[A-Z][A-Za-z]+(?:Error|Exception)\b")),
    ("a database's message", re.compile(r"syntax error|no such (?:table|column)|unrecognized token|constraint failed"
                                        r"|sqlite3\.|psycopg|SQLSTATE", re.I)),
    ("SQL text", re.compile(r"\b(?:SELECT\b.{1,80}\bFROM|INSERT INTO|UPDATE\b.{1,60}\bSET|DELETE FROM)\b", re.S)),
    ("Python's own words", re.compile(
        r"object is not (?:subscriptable|callable|iterable)|'\w+' object has no attribute|unhashable type"
        r"|invalid literal for int\(\)|unsupported operand type|(?:list|string|tuple) indices must be"
        r"|not all arguments converted|validation errors? for \w+|errors\.pydantic\.dev"
        r"|missing \d+ required (?:positional|keyword)|must be str, not|argument must be|codec can't decode"
        r"|JSON object must be|Expecting value: line|Extra data: line|Exceeds the limit")),
    ("an internal address", re.compile(r"https?://(?:127\.0\.0\.1|localhost|[\w.-]+\.internal)[:/]")),
    ("an internal address", re.compile(r"HTTPConnectionPool\(|for url[: ]")),
)  # fmt: skip


class ErrorDetails(Probe):
    """Makes the service fail (missing and wrongly typed fields, upstreams that fail) and reads every error
    that it answered in the session.

    What an error tells about tables, files, addresses and versions is what an attacker looks for first.
    """

    id = "W13"
    title = "Errors tell about the inside"
    severity = "high"
    cwe = ("CWE-209",)
    sources = ("OWASP ASVS 5.0 16.5.1, 13.4.2", "OWASP API8:2023")
    proves = ("error-details-leak",)
    recommendation = "Answer a generic message, and log the details on the server."
    order = 55

    async def run(self, context: ProbeContext) -> ProbeResult:
        """At most nine requests a webhook and one a known route; none where the session has seen a leak already."""
        steps = (self._bad_payloads, self._bad_paths, self._with_broken_upstreams)
        leak = _first_leak(context)
        for step in steps:
            if leak is not None:
                break
            await step(context)
            leak = _first_leak(context)
        if leak is None:
            errors = sum(1 for answer in context.answers if answer.status >= 400)
            return self.passed(f"{errors} errors seen, all of them generic")
        answer, what = leak
        route = f"{answer.method} {answer.path.split('?')[0]}"
        known = {route_of(webhook) for webhook in context.webhooks()}
        return self.failed(f"an answer {answer.status} holds {what}", route if route in known else "")

    async def _bad_payloads(self, context: ProbeContext) -> None:
        for webhook in context.webhooks():
            sent = self._variants(context, webhook)
            await asyncio.gather(*(context.send(variant) for variant in sent))

    async def _bad_paths(self, context: ProbeContext) -> None:
        for method, path in context.routes[:8]:
            if method.upper() == "GET":
                await context.call("GET", re.sub(r"\{[^}]*\}", "zz%00", path.split("?")[0]))

    async def _with_broken_upstreams(self, context: ProbeContext) -> None:
        """A good request while one upstream fails, for the first few that the service was seen to call."""
        webhook = context.webhooks()[0]
        calls = context.upstreams.snapshot()
        points = dict.fromkeys(FaultPoint(call.upstream, call.method, path_shape(call.path)) for call in calls)
        for point in list(points)[:_MAX_FAULTS]:
            context.upstreams.fail(point)
            try:
                await context.send(context.fresh(webhook))
            finally:
                context.upstreams.fail(None)

    def _variants(self, context: ProbeContext, webhook: Webhook) -> list[WebhookRequest]:
        request = context.fresh(webhook)
        payload = read(request.body)
        if not isinstance(payload, dict):
            return []
        made = type(payload)  # a form stays one
        bodies = [write(made({key: _other_type(value) for key, value in payload.items()}))]
        for left_out in list(payload)[:_MAX_VARIANTS]:
            rest = {name: value for name, value in payload.items() if name != left_out}
            bodies += [write(made(rest))]
        return [context.with_body(webhook, request, body) for body in bodies]


def _first_leak(context: ProbeContext) -> tuple[Answer, str] | None:
    """The first error of the session that shows something, and what."""
    secrets = context.secrets()
    for answer in context.answers:
        what = what_leaks(answer, secrets) if answer.status >= 400 else ""
        if what:
            return answer, what
    return None


def _other_type(value: object) -> object:
    if isinstance(value, str):
        return {"x": [1]}
    return "x" if isinstance(value, (int, float, dict)) else 1


def what_leaks(answer: Answer, secrets: dict[str, str]) -> str:
    """What of the inside an error answer shows; empty for nothing."""
    for variable, value in secrets.items():
        if value in answer.text:
            return f"the value of {variable}"
    for name, pattern in _MARKS:
        match = pattern.search(answer.text)
        if match:
            return f"{name} ({_shown(match.group(0))})"
    bare = re.search(r'"(?:error|detail|message)"\s*:\s*"(?:\'[A-Za-z_]\w*\')"', answer.text)
    if bare and answer.status >= 500:  # what str(KeyError) looks like
        return f"the text of a KeyError ({_shown(bare.group(0))})"
    return ""


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:57] + "..."
