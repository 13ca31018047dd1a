"""W12: text in parameters and fields stays text in SQL."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from urllib.parse import quote

from swarm.config.schema import Webhook
from swarm.probes.hostile_input.marked import Place, beside_the_body, fields, with_text
from swarm.probes.people.person import credentials
from swarm.probes.probe import Answer, Probe, ProbeContext, ProbeResult, route_of

_MAX_ROUTES = 12
_MAX_FIELDS = 6
_MAX_KINDS = 3
_SQL_ERROR = re.compile(
    r"syntax error|unrecognized token|unterminated quoted string|quoted string not properly terminated"
    r"|sqlite3\.OperationalError|You have an error in your SQL",
    re.IGNORECASE,
)
_WORD = "zq7k"
_NOTHING = Answer("", "", 200, "", {}, 0.0)
_CONDITION = re.compile(r"1(=|%3D|&#61;|\\u003d)[12]", re.IGNORECASE)


class SqlInjection(Probe):
    """Ends a text with one quote, and with two. In SQL built from strings one quote is a syntax error, two are text.

    For GET routes with parameters also asks a question that is true and one that is false: answers that differ,
    where two that are true are answered alike, mean that the question reached the database. Routes are asked with the
    keys that the target's environment holds: who may call one may not rewrite its SQL either.
    """

    id = "W12"
    title = "Text reaches SQL as code"
    severity = "critical"
    cwe = ("CWE-89",)
    sources = ("OWASP ASVS 5.0 1.2.4", "OWASP Top 10 A03:2021")
    proves = ("sql-from-strings",)
    recommendation = "Hand values to the database as bound parameters."
    order = 41

    async def run(self, context: ProbeContext) -> ProbeResult:
        """At most five requests a parameter and twenty-eight a kind of event."""
        tried = 0
        for path, name in places(context.routes):
            tried += 1
            evidence = await _parameter(context, path)
            if evidence:
                return self.failed(f"{name}: {evidence}", f"GET {path.split('?')[0]}")
        for webhook in context.webhooks():
            for kind in context.kinds(webhook, _MAX_KINDS):
                tried += 1
                evidence = await _payload(context, webhook, kind)
                if evidence:
                    return self.failed(evidence, route_of(webhook))
        return self.passed(f"{tried} places tried, no SQL reached")


def places(routes: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    """Each parameter of the GET routes: the path with `\\0` where its value goes, and its name."""
    found: list[tuple[str, str]] = []
    for method, whole in routes:
        if method.upper() != "GET":
            continue
        path, _, query = whole.partition("?")
        names = [part.split("=")[0] for part in query.split("&") if part]
        plain = re.sub(r"\{[^}]*\}", _WORD, path)
        rest = "&".join(f"{name}={_WORD}" for name in names)
        for match in re.finditer(r"\{([^}:]*)[^}]*\}", path):
            before = re.sub(r"\{[^}]*\}", _WORD, path[: match.start()])
            after = re.sub(r"\{[^}]*\}", _WORD, path[match.end() :])
            found.append((before + "\0" + after + (f"?{rest}" if rest else ""), match.group(1)))
        for name in names:
            others = [f"{other}={_WORD}" for other in names if other != name]
            found.append((f"{plain}?" + "&".join([*others, f"{name}=\0"]), name))
    return found[:_MAX_ROUTES]


async def _parameter(context: ProbeContext, path: str) -> str:
    values = [f"{_WORD}'", f"{_WORD}''", f"{_WORD}' OR 1=1 -- ", f"{_WORD}' OR 1=2 -- "]
    headers = credentials(context)
    one, two, true, false = await asyncio.gather(
        *(context.call("GET", path.replace("\0", quote(value, safe="")), headers=headers) for value in values)
    )
    evidence = quotes_differ(one, two)
    if evidence:
        return evidence
    if true.broken or false.broken or bare(true, values[2]) == bare(false, values[3]):
        return ""
    # said again in a form that is not known, as a page of login says where it leads: then any two texts differ
    other = f"{_WORD}' OR 2=2 -- "
    also_true = await context.call("GET", path.replace("\0", quote(other, safe="")), headers=headers)
    if bare(also_true, other) != bare(true, values[2]):
        return ""
    return "a condition that is true and one that is false are answered differently"


def quotes_differ(one: Answer, two: Answer) -> str:
    """What shows that a single quote reached SQL; empty for nothing."""
    if _SQL_ERROR.search(one.text) and not _SQL_ERROR.search(two.text):
        return f"a single quote is answered {one.status} with the database's syntax error"
    if one.status >= 500 and 0 < two.status < 500:
        return f"a single quote is answered {one.status}, two quotes {two.status}"
    return ""


def bare(answer: Answer, value: str) -> tuple[int, str]:
    """Status and text without the value, should the service say it again."""
    text = answer.text
    for form in (
        value,
        value.strip(),
        quote(value, safe=""),
        value.replace("'", "&#39;"),
        value.replace("'", "\\u0027"),
    ):
        text = text.replace(form, "")
    return answer.status, _CONDITION.sub("", text)  # said again in a form of its own, as in the address of a redirect


async def _payload(context: ProbeContext, webhook: Webhook, kind: int) -> str:
    """All free text of one kind of delivery at once, in its body and beside it; one place alone where that fails for
    another reason."""

    async def pair(places: Sequence[Place]) -> tuple[Answer, Answer]:
        async def send(mark: str) -> Answer:
            return await context.send(with_text(context, webhook, context.fresh(webhook, kind), places, mark))

        one = await send("'")
        # Two quotes are asked only where one was no success: a good answer already shows that it stayed text.
        return one, one if one.ok else await send("''")

    request = context.fresh(webhook, kind)
    for places in (fields(request), beside_the_body(webhook, request)):
        one, two = await pair(places) if places else (_NOTHING, _NOTHING)
        evidence = quotes_differ(one, two)
        if evidence:
            return evidence
        for place in places[:_MAX_FIELDS] if not one.ok else ():
            evidence = quotes_differ(*await pair([place]))
            if evidence:
                return f"{place.name}: {evidence}"
    return ""
