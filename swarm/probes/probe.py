"""A live check of a running service: what a probe is, what it is handed, and what it answers."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import httpx

from swarm.config.schema import Target, Webhook
from swarm.core.findings import Category, Severity
from swarm.core.place import TargetPlace

if TYPE_CHECKING:
    from swarm.analysis.index import Index
    from swarm.target.running.server import RunningServer
    from swarm.target.traffic import Traffic, WebhookRequest
    from swarm.target.upstream.upstreams import Upstreams

# "inapplicable": shown not to concern this service, which is no way to skip what does
Outcome = Literal["passed", "failed", "skipped", "inapplicable"]
MAX_WEBHOOKS = 3
_KEPT_ANSWERS = 400
_KEPT_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe saw. `route` is "POST /path", empty for the service as a whole."""

    probe: str
    outcome: Outcome
    evidence: str
    title: str
    route: str = ""
    severity: Severity | None = None  # where what was seen is less than the probe's worst
    rule: str = ""  # where another rule mends it than the probe's own
    validated: tuple[int, int] = (0, 0)  # signatures judged rightly, of those that were sent to be judged
    parts: tuple[str, ...] = ()  # what of several it failed at; empty where it asks one thing alone


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; `status` 0 means that the connection ended without one, and `text` says how."""

    method: str
    path: str
    status: int
    text: str
    headers: Mapping[str, str]
    duration_s: float

    @property
    def ok(self) -> bool:
        """2xx."""
        return 200 <= self.status < 300

    @property
    def broken(self) -> bool:
        """5xx, or no answer at all."""
        return self.status == 0 or self.status >= 500


@dataclass(frozen=True, slots=True)
class Effects:
    """What one good request did: upstream writes, and the tables that gained rows (and how many)."""

    writes: int
    grew: Mapping[str, int]


def probe_client(timeout_s: float) -> httpx.AsyncClient:
    """A client that keeps no connection: servers close it without a word after an error, and the next probe's request
    would die with it."""
    return httpx.AsyncClient(
        trust_env=False, timeout=timeout_s, limits=httpx.Limits(max_connections=200, max_keepalive_connections=0)
    )


class StartAgain(Protocol):
    """Starts the same tree once more, with these variables set anew: its server while the block lasts.

    On a fresh {tmp}, or on that of a server which has ended; beside the session's upstreams, or beside others.
    Raises TargetError where it does not start so.
    """

    def __call__(
        self, env: Mapping[str, str], tmp: Path | None = None, upstreams: Upstreams | None = None
    ) -> AbstractAsyncContextManager[RunningServer]: ...


# Upstreams as fresh as the session's were at its start, while the block lasts.
FreshUpstreams = Callable[[], "AbstractAsyncContextManager[Upstreams]"]


@dataclass(frozen=True, slots=True)
class Apart:
    """The same tree once more, from a copy of its own and beside upstreams of its own: nothing is shared."""

    server: RunningServer
    upstreams: Upstreams
    start_again: StartAgain
    fresh_upstreams: FreshUpstreams


# One more service for as long as the block lasts. Raises TargetError where it does not start.
StartApart = Callable[[], "AbstractAsyncContextManager[Apart]"]


@dataclass(slots=True)
class ProbeContext:
    """The running service and how to speak to it.

    `routes` are (method, path) of further routes that analysis knows; `{name}` marks a path parameter, and query
    parameters that the code reads stand at the end: `/orders/search?q=&limit=`.
    `answers` collects what the service said in the whole session: the probe of error details reads it.
    `validations` collects whether signatures, good and bad, were judged rightly: `judged` adds to it.
    `header_names` are the request headers that the code reads.
    `index` is the service's code, None where it is not known.
    `start_again`, `fresh_upstreams` and `start_apart` are None where nobody can start the tree, or what it calls, a
    second time. `lanes` are the contexts of all services of the session, this one among them; `over` is set when the
    probes of this one are done.
    """

    base_url: str
    target: Target
    traffic: Traffic
    client: httpx.AsyncClient
    server: RunningServer
    upstreams: Upstreams
    number: Iterator[int]
    routes: tuple[tuple[str, str], ...] = ()
    answers: list[Answer] = field(default_factory=list)
    good_requests: dict[str, WebhookRequest] = field(default_factory=dict)
    good_effects: dict[str, Effects] = field(default_factory=dict)
    validations: list[bool] = field(default_factory=list)
    header_names: tuple[str, ...] = ()
    shared: dict[str, asyncio.Future[object]] = field(default_factory=dict)  # what one finds out and others use
    index: Index | None = None
    keeps_events: bool = False  # whole events were seen to stay where they are kept
    start_again: StartAgain | None = None
    fresh_upstreams: FreshUpstreams | None = None
    place: TargetPlace | None = None
    start_apart: StartApart | None = None
    lanes: list[ProbeContext] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def everywhere(self) -> tuple[ProbeContext, ...]:
        """All services of the session."""
        return tuple(self.lanes) or (self,)

    async def calls_no_upstream(self) -> bool:
        """Whether the service called no upstream in the whole session: where none is seen yet, the other lanes may
        still show one."""
        for lane in self.everywhere():
            if not self.upstreams.snapshot() and lane is not self:
                await lane.over.wait()
        return not any(lane.upstreams.snapshot() for lane in self.everywhere())

    def webhooks(self) -> tuple[Webhook, ...]:
        """The webhooks to probe, at most three."""
        return self.traffic.webhooks[:MAX_WEBHOOKS]

    def signed_webhooks(self) -> tuple[Webhook, ...]:
        """Those that are signed."""
        return tuple(webhook for webhook in self.webhooks() if webhook.sign.scheme != "none")

    def fresh(self, webhook: Webhook, kind: int | None = None) -> WebhookRequest:
        """A new, correctly signed request for this webhook: of any of its payloads, or of one of `kinds`."""
        return self.traffic.request_for(webhook, next(self.number), time.time(), kind)

    def kinds(self, webhook: Webhook, most: int) -> list[int]:
        """The payloads of a webhook, the fullest first, at most so many: one kind of event may do what another does
        not, and two answers are compared where they are answers to one kind."""
        return self.traffic.by_size(webhook)[:most]

    def fullest(self, webhook: Webhook) -> WebhookRequest:
        """A request of the payload that tells most: what a look at two trees asks must be one question."""
        return self.fresh(webhook, self.kinds(webhook, 1)[0])

    def of_each_kind(self, webhook: Webhook, most: int) -> list[WebhookRequest]:
        """One of each payload."""
        return [self.fresh(webhook, kind) for kind in self.kinds(webhook, most)]

    def signature(
        self, webhook: Webhook, body: bytes, *, age_s: float = 0.0, secret: str | None = None
    ) -> dict[str, str]:
        """The headers that sign `body`, as of `age_s` seconds ago."""
        return self.traffic.sign(webhook, body, time.time() - age_s, secret)

    def unsigned(self, webhook: Webhook, request: WebhookRequest) -> WebhookRequest:
        """The request without what signs it."""
        names = {name.lower() for name in self.signature(webhook, request.body)}
        headers = {name: value for name, value in request.headers.items() if name.lower() not in names}
        return replace(request, headers=headers)

    def with_headers(self, request: WebhookRequest, headers: Mapping[str, str]) -> WebhookRequest:
        """The request with these headers in place of its own of the same name."""
        names = {name.lower() for name in headers}
        kept = {name: value for name, value in request.headers.items() if name.lower() not in names}
        return replace(request, headers={**kept, **headers})

    def with_body(self, webhook: Webhook, request: WebhookRequest, body: bytes) -> WebhookRequest:
        """The request with another body, correctly signed again."""
        return self.with_headers(replace(request, body=body), self.signature(webhook, body))

    async def send(self, request: WebhookRequest) -> Answer:
        """Send one request; a connection that ends without an answer is an Answer too."""
        return await self.call(request.method, request.path, headers=request.headers, content=request.body)

    async def call(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        content: bytes | AsyncIterator[bytes] | None = None,
        timeout_s: float = 8.0,
    ) -> Answer:
        """Any call to the service; pairs of headers may name one twice."""
        pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
        began_s = time.monotonic()
        try:
            response = await self.client.request(
                method,
                self.base_url.rstrip("/") + path,
                headers=[(name.encode(), value.encode("latin-1", "replace")) for name, value in pairs],
                content=content,
                timeout=timeout_s,
                follow_redirects=False,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:  # a closed connection is an answer too
            answer = Answer(method, path, 0, type(error).__name__, {}, time.monotonic() - began_s)
        else:
            text = response.text[:_KEPT_CHARS]
            lowered = {name.lower(): value for name, value in response.headers.items()}
            answer = Answer(method, path, response.status_code, text, lowered, time.monotonic() - began_s)
        if len(self.answers) < _KEPT_ANSWERS:
            self.answers.append(answer)
        return answer

    def judged(self, answer: Answer, *, good: bool) -> None:
        """Note whether a well signed (`good`) or badly signed request was judged rightly.

        A server error is no acceptance, nor is it a refusal; only where an upstream failed may a good request end so.
        """
        self.validations.append(not 400 <= answer.status < 500 if good else 400 <= answer.status < 500)

    def secrets(self) -> dict[str, str]:
        """Values of the target's environment that must never be shown, by their variable."""
        words = ("SECRET", "TOKEN", "KEY", "PASSWORD", "PASSWD", "CREDENTIAL")
        return {
            name: value
            for name, value in self.target.env.items()
            if len(value) >= 6 and any(word in name.upper() for word in words) and "{" not in value
        }


class Probe(ABC):
    """One live check; the class's docstring is its documentation.

    `proves` are the ids of the static rules that mend what it finds; `order` sorts the probes of a session, so that
    those which may disturb others (bursts, floods) come last. After `deadline_s` one is given up. Neighbours in the
    order that are `together` run at the same time: each must tell what its own requests did from what others did.

    The probes of one `lane` go on a service of their own while other lanes go on theirs; "" is the session's service.
    Those that look back run after all others, with all that was answered in every lane.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    category: ClassVar[Category] = "security"
    severity: ClassVar[Severity]
    cwe: ClassVar[tuple[str, ...]] = ()
    sources: ClassVar[tuple[str, ...]] = ()
    proves: ClassVar[tuple[str, ...]] = ()
    recommendation: ClassVar[str]
    order: ClassVar[int] = 50
    deadline_s: ClassVar[float] = 30.0  # others go on beside it, and share the processor
    together: ClassVar[bool] = False
    lane: ClassVar[str] = ""
    looks_back: ClassVar[bool] = False

    @abstractmethod
    async def run(self, context: ProbeContext) -> ProbeResult:
        """Look once; must stay bounded in requests and time."""

    def passed(self, evidence: str, route: str = "") -> ProbeResult:
        """The service does what it should."""
        return ProbeResult(self.id, "passed", evidence, self.title, route)

    def failed(
        self, evidence: str, route: str = "", severity: Severity | None = None, rule: str = "",
        parts: Sequence[str] = (),
    ) -> ProbeResult:  # fmt: skip
        """The service was seen doing what it should not; `severity` and `rule` where they are not the probe's."""
        return ProbeResult(self.id, "failed", evidence, self.title, route, severity, rule, parts=tuple(parts))

    def inapplicable(self, shown: str, route: str = "") -> ProbeResult:
        """The question does not arise for this service; `shown` is what shows that, not an opinion."""
        return ProbeResult(self.id, "inapplicable", shown, self.title, route)

    def skipped(self, reason: str, route: str = "") -> ProbeResult:
        """Nothing can be said; `reason` is why."""
        return ProbeResult(self.id, "skipped", reason, self.title, route)


def route_of(webhook: Webhook) -> str:
    """`POST /path`."""
    return f"{webhook.method.upper()} {webhook.path}"
