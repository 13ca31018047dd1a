"""Compares requests that were seen to their end, and what their upstream calls came to, before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swarm.bench.statistics import Statistic, paired_slices_ratio, summarize
from swarm.bench.watched import Whole
from swarm.core.metrics import Comparison, Ratio
from swarm.target.upstream.calls import UpstreamCall

REPEATED_WITHIN_S = 3.0
SLICE = 4  # requests whose times are drawn together, as in every bootstrap here


def compare_wholes(name: str, before: Sequence[Whole], after: Sequence[Whole], seed: int) -> Comparison:
    """Times to the end of all work, of requests with a good answer; pairs are the same request on both sides."""
    sides = [tuple(one.whole_ms for one in side if one.ok) for side in (before, after)]
    twin = {one.number: one for one in after if one.ok}
    pairs = [(one.whole_ms, twin[one.number].whole_ms) for one in before if one.ok and one.number in twin]
    slices = [pairs[at : at + SLICE] for at in range(0, len(pairs), SLICE)]

    def ratio(statistic: Statistic) -> Ratio | None:
        if len(slices) < 2:
            return None
        return paired_slices_ratio(
            [[b for b, _ in one] for one in slices], [[a for _, a in one] for one in slices], statistic, seed
        )

    note = f"one after another, each until its last upstream call ended; {len(sides[0])} and {len(sides[1])} requests"
    return Comparison(
        name, "ms", summarize(sides[0]) if sides[0] else None, summarize(sides[1]) if sides[1] else None,
        ratio("p50"), ratio("p95"), sides[0], sides[1], note,
    )  # fmt: skip


def failing_share(calls: Sequence[UpstreamCall]) -> float | None:
    """The share of calls that the upstream failed or refused for the moment, 0 to 1; None where there were none.

    A call that was made again soon after it had failed is one with the repetition, and counts as that one ended.
    """
    if not calls:
        return None
    ended: dict[tuple[str, str, str, str, bytes], UpstreamCall] = {}
    asked = failed = 0
    for call in sorted(calls, key=lambda call: call.start_s):
        what = call.upstream, call.method, call.path, call.query, call.body
        before = ended.get(what)
        if before and before.failed_in_passing and 0 <= call.start_s - before.end_s <= REPEATED_WITHIN_S:
            failed -= 1
        else:
            asked += 1
        failed += call.failed_in_passing
        ended[what] = call
    return failed / asked


@dataclass(frozen=True, slots=True)
class WritesByKind:
    """How many successful writes a request of each kind makes at least, as seen in requests one after another.

    How many more it makes may depend on its data: only that there is one can be expected of the next.
    """

    least: Mapping[tuple[int, int], int]

    @classmethod
    def learned(cls, wholes: Sequence[tuple[tuple[int, int], Whole]]) -> WritesByKind:
        """From good answers and their kinds."""
        least: dict[tuple[int, int], int] = {}
        for kind, whole in wholes:
            if whole.ok:
                made = successful_writes(whole.calls)
                least[kind] = min(made, least.get(kind, made))
        return cls(least)

    def expected(self, kinds: Sequence[tuple[int, int]]) -> int:
        """One write for each request whose kind always wrote; a kind that was not seen counts nothing."""
        return sum(min(1, self.least.get(kind, 0)) for kind in kinds)


def successful_writes(calls: Sequence[UpstreamCall]) -> int:
    """Writes that the upstream took."""
    return sum(call.effect == "write" and call.status < 400 for call in calls)
