"""W12-text: text of a sender is evaluated, run, opened or written as a header nowhere."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from swarm.config.schema import Webhook
from swarm.probes.hostile_input.marked import beside_the_body, fields, with_text
from swarm.probes.hostile_input.sql_injection import places
from swarm.probes.probe import Answer, Probe, ProbeContext, ProbeResult, route_of
from swarm.probes.traces import files_holding, settled
from swarm.target.upstream.calls import UpstreamCall

_MAX_FIELDS = 6
_WORKED_S = 0.5
_PASSWD = "root:x:0:0:"


@dataclass(frozen=True, slots=True)
class Marks:
    """Texts that show by what becomes of them that they were more than text. `token` makes each session's its own."""

    token: str
    folder: Path

    @property
    def canary(self) -> Path:
        """What a shell makes that runs the text."""
        return self.folder / f"canary-{self.token}"

    @property
    def opened(self) -> Path:
        """The file that a path made of the text leads to."""
        return self.folder / f"opened-{self.token}"

    def text(self) -> str:
        """For templates, formats and pages, in one."""
        template = f" {{{{7*7}}}}{self.token}a ${{7*7}}{self.token}a #{{7*7}}{self.token}a <%= 7*7 %>{self.token}a"
        page = f" <b>{self.token}c</b> %s%n {{0.__class__}}{self.token}b"
        return template + page

    def shell(self) -> str:
        """For shells, whether they find it bare, in double quotes or in single ones."""
        return f"$(touch {self.canary})';touch {self.canary};'"

    def path(self) -> str:
        """For code that puts it behind a folder's name."""
        return "/".join([".."] * 20) + str(self.opened)

    def header(self) -> str:
        """For headers, of calls and of answers."""
        return f"\r\nX-Zq-{self.token}: 1\r\n"

    def all(self) -> tuple[str, ...]:
        """The texts to be sent."""
        return self.text(), self.shell(), self.path(), self.header()


class InertText(Probe):
    """Writes marks for templates, formats, shells, paths, headers and pages into every text field of good deliveries,
    JSON or a form's, into what they bring in query, headers and cookies, and into the parameters of GET routes.
    Watches answers, calls to upstreams, files, databases and the log for what they come to if somebody takes them for
    more than text.
    """

    id = "W12-text"
    title = "Text of a sender is more than text"
    severity = "critical"
    cwe = ("CWE-1336", "CWE-78", "CWE-22", "CWE-113", "CWE-79")
    sources = ("OWASP ASVS 5.0 1.2.1, 1.2.5, 1.3.7, 5.3.2",)
    proves = (
        "template-injection", "command-injection", "path-traversal", "header-injection", "cross-site-scripting",
    )  # fmt: skip
    recommendation = "Hand values to templates, programs, paths and headers as values, never as a part of their text."
    order = 44
    lane = "traces"

    async def run(self, context: ProbeContext) -> ProbeResult:
        """At most twenty requests a webhook and four a parameter."""
        marks = Marks(uuid.uuid4().hex[:10], Path(context.server.tmp))
        seen = len(context.upstreams.snapshot())
        answers: list[tuple[str, Answer]] = []
        tried = 0
        for webhook in context.webhooks():
            sent = [answer async for answer in _deliver(context, webhook, marks)]
            answers += [(route_of(webhook), answer) for answer in sent]
            tried += len(sent)
        for path, _ in places(context.routes):
            addresses = [path.replace("\0", quote(text, safe="")) for text in marks.all()]
            got = await asyncio.gather(*(context.call("GET", address) for address in addresses))
            answers += [(f"GET {path.split('?')[0]}", answer) for answer in got]
            tried += 1
        if not tried:
            return self.skipped("no payload with text, and no parameter")
        await settled(context)
        await asyncio.sleep(_WORKED_S)
        for route, answer in answers:
            rule, what = _in_answer(marks, answer)
            if what:
                return self.failed(what, route if route.startswith(("POST", "PUT", "PATCH")) else "", rule=rule)
        rule, what = await asyncio.to_thread(_left, context, marks, context.upstreams.snapshot()[seen:])
        if what:
            return self.failed(what, rule=rule)
        return self.passed(f"{tried} requests and places with marks, all of them still text")


async def _deliver(context: ProbeContext, webhook: Webhook, marks: Marks) -> AsyncIterator[Answer]:
    """The answers to marked deliveries: all fields at once, then all that is beside the body; one by one where that
    is refused."""
    request = context.fresh(webhook)
    for group in (fields(request), beside_the_body(webhook, request)):
        for text in marks.all() if group else ():
            answer = await context.send(with_text(context, webhook, context.fresh(webhook), group, text))
            yield answer
            if not answer.ok and text == marks.text():
                alone = [with_text(context, webhook, context.fresh(webhook), [place], text) for place in group]
                for one in await asyncio.gather(*map(context.send, alone[:_MAX_FIELDS])):
                    yield one


def _in_answer(marks: Marks, answer: Answer) -> tuple[str, str]:
    """The rule that speaks of it, and what an answer shows; "" for nothing."""
    rule, what = _evaluated(marks, answer.text)
    if what:
        return rule, f"an answer holds {what}"
    if f"x-zq-{marks.token}" in answer.headers:
        return "header-injection", "a text became a header of the answer"
    is_page = "html" in answer.headers.get("content-type", "")
    if is_page and f"<b>{marks.token}c</b>" in answer.text:
        return "cross-site-scripting", "a page holds a sender's tags as tags"
    return "", ""


def _evaluated(marks: Marks, text: str) -> tuple[str, str]:
    if f"49{marks.token}a" in text:
        return "template-injection", "the result of an expression that a sender wrote"
    if f"<class 'str'>{marks.token}b" in text:
        return "template-injection", "what a sender's format asked for"
    return ("path-traversal", "the contents of a file of the machine") if _PASSWD in text else ("", "")


def _left(context: ProbeContext, marks: Marks, calls: tuple[UpstreamCall, ...]) -> tuple[str, str]:
    """What the marks came to outside of answers: in calls, files, the log, or as files of their own."""
    if marks.canary.exists():
        return "command-injection", "a shell ran a sender's text: it made a file"
    if marks.opened.exists():
        return "path-traversal", "a path made of a sender's text was written to"
    for call in calls:
        rule, what = _evaluated(marks, f"{call.path} {call.query} {call.body.decode(errors='replace')}")
        if what:
            return rule, f"a {call.method} to {call.upstream} holds {what}"
        if any(name.lower() == f"x-zq-{marks.token}" for name in call.headers):
            return "header-injection", f"a text became a header of a {call.method} to {call.upstream}"
    for needle in (f"49{marks.token}a", f"<class 'str'>{marks.token}b"):
        if files_holding(context, (needle,)):
            return "template-injection", "a file holds the result of an expression that a sender wrote"
        if needle in context.server.log_text():
            return "template-injection", "the log holds the result of an expression that a sender wrote"
    return "", ""
