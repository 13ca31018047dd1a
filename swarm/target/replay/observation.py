"""What a replay saw: one exchange for each request, the calls that it caused, and what was stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from swarm.target.replay.stored_state import StoredState
from swarm.target.upstream.calls import UpstreamCall
from swarm.target.upstream.tape import Tape

ExchangeKind = Literal["normal", "badly signed", "upstream fails"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request with its answer. `status` is 0 where no answer came, `error` says why.

    `label` names it in differences; `upstream` is the one that was made to fail, "" elsewhere.
    `quiet` is False where its calls had not ended 3 s after the answer. `answered_s` (monotonic) is when the answer
    was there. `kept_in` are the tables that hold the whole event, looked at where the original fails.
    """

    label: str
    kind: ExchangeKind
    upstream: str
    status: int
    content_type: str
    body: bytes
    calls: tuple[UpstreamCall, ...]
    duration_s: float
    now_s: float
    error: str = ""
    quiet: bool = True
    answered_s: float = 0.0
    kept_in: frozenset[str] = frozenset()

    @property
    def writes_late(self) -> bool:
        """Whether a write began after the answer."""
        return any(call.effect == "write" and call.start_s > self.answered_s > 0 for call in self.calls)


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at a tree. `stored` is what lay there after the normal requests, `stored_at_end` after all."""

    exchanges: tuple[Exchange, ...]
    stored: StoredState
    stored_at_end: StoredState
    refused: tuple[str, ...]
    duration_s: float
    start_log: str = ""


@dataclass(frozen=True, slots=True)
class Recording:
    """Two looks at the original, and the tape that all later ones hear."""

    first: Observation
    second: Observation
    tape: Tape
