"""What a concurrency sweep saw: levels of requests at once, the knee, and the resource that was full there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Resource = Literal[
    "cpu", "event loop", "threads", "connection pool", "client pool", "database", "redis", "upstream", "server"
]


@dataclass(frozen=True, slots=True)
class SweepLevel:
    """So many senders at once, each sending its next request after the answer to the one before.

    `rps` counts good answers; `mean_ms` and `p95_ms` are of all requests, those without an answer included.
    `cpu` is the mean of cores that one worker process used, `loop_held` the share of the time (0 to 1) in which
    something kept the event loop from running, `waits_ms` what a request spent waiting, by resource.
    """

    at_once: int
    requests: int
    failed: int
    rps: float
    mean_ms: float
    p95_ms: float
    cpu: float | None
    loop_held: float
    waits_ms: tuple[tuple[Resource, float], ...] = ()
    health_ms: float | None = None

    def waiting(self, resource: Resource) -> float:
        """Milliseconds that a request waited for the resource."""
        return dict(self.waits_ms).get(resource, 0.0)


@dataclass(frozen=True, slots=True)
class Hanging:
    """A wait that had not ended after a second; `held` connections belonged to the request that waited."""

    name: str
    file: str
    line: int
    function: str
    held: int


@dataclass(frozen=True, slots=True)
class Growing:
    """A container of the target's that grew with every event: `sizes` are (events handled so far, its length)."""

    name: str
    file: str
    sizes: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Sweep:
    """The whole sweep. `knee` is the level after which more senders brought no more answers, None where none was.

    `resource` is what was full then, None where the measurement does not tell; `words` say what shows it;
    `file`, `line` and `function` are the place that waited for it (or used it) most. `reason` says why there is
    no sweep where `levels` is empty.
    """

    levels: tuple[SweepLevel, ...] = ()
    knee: int | None = None
    resource: Resource | None = None
    words: str = ""
    file: str = ""
    line: int = 0
    function: str = ""
    health_idle_ms: float | None = None
    hanging: tuple[Hanging, ...] = ()
    locked: tuple[tuple[str, int, int], ...] = ()  # file, line, how often a statement found the database locked
    growing: tuple[Growing, ...] = ()
    reason: str = ""
