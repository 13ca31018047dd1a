"""How the original worked on one request, as its calls show: what a replay of the same request waits for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from swarm.target.upstream.calls import UpstreamCall, path_shape

CallKind = tuple[str, str, str]  # upstream, method, and the path's shape


@dataclass(frozen=True, slots=True)
class KnownWork:
    """How the original worked on one request: its writes, how long it took, and its longest pauses.

    `pause_s` is the longest time without a call in flight, `tail_s` that between its last call and its answer.
    `met_failure` says that an upstream failed it, whether its answer told so or not; `behind` that it worked on
    after its answer by itself.
    """

    writes: frozenset[CallKind]
    duration_s: float
    pause_s: float
    tail_s: float
    status: int
    met_failure: bool = False
    behind: bool = False


def known_work(calls: Sequence[UpstreamCall], began_s: float, duration_s: float, status: int) -> KnownWork:
    """What the first look at the original teaches about one request."""
    pause_s, free_s = 0.0, began_s
    for call in sorted(calls, key=lambda call: call.start_s):
        pause_s = max(pause_s, call.start_s - free_s)
        free_s = max(free_s, call.end_s)
    tail_s = max(0.0, began_s + duration_s - free_s)
    met_failure = any(call.status >= 500 for call in calls)
    behind = any(call.end_s > began_s + duration_s for call in calls)
    return KnownWork(kinds_of(calls), duration_s, max(pause_s, tail_s), tail_s, status, met_failure, behind)


def kinds_of(calls: Iterable[UpstreamCall]) -> frozenset[CallKind]:
    """The kinds of writes among some calls."""
    return frozenset((c.upstream, c.method, path_shape(c.path)) for c in calls if c.effect == "write")
