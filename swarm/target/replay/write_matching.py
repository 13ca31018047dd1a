"""Finds the same upstream writes in two looks at one request: which are missing, changed, repeated, reordered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from swarm.target.replay.observation import Exchange
from swarm.target.upstream.calls import UpstreamCall
from swarm.target.volatile import Masks, Side, differences, hard, learn, parse_body

_CREDENTIAL = ("authorization", "api-key", "apikey", "token", "secret", "signature", "-key")
_NO_CREDENTIAL = ("idempotency", "sec-", "csrf")
# one answer leaves and the next call arrives on one event loop: no real overlap is this short
OVERLAP_TOLERANCE_S = 0.0005


@dataclass(frozen=True, slots=True)
class Write:
    """One write as a value to compare, with its place in time."""

    call: UpstreamCall
    side: Side

    @property
    def name(self) -> str:
        """How differences call it."""
        return f"{self.call.method} {self.call.upstream}{self.call.path}"

    @property
    def group(self) -> tuple[str, str]:
        """(upstream, method): only writes of one group can be the same."""
        return self.call.upstream, self.call.method


@dataclass(frozen=True, slots=True)
class ExpectedWrite:
    """A write that both looks at the original saw, with the places in it that differed between them."""

    first: Write
    second: Write
    masks: Masks


def writes_of(exchange: Exchange) -> list[Write]:
    """The writes that a request caused, in the order in which they began."""
    calls = sorted((call for call in exchange.calls if call.effect == "write"), key=lambda call: call.start_s)
    return [Write(call, Side(_value(call), exchange.now_s)) for call in calls]


def credentials(call: UpstreamCall) -> dict[str, str]:
    """The headers by which a call proves who it is from."""
    found = {}
    for name, value in call.headers.items():
        small = name.lower()
        if any(word in small for word in _CREDENTIAL) and not any(word in small for word in _NO_CREDENTIAL):
            found[small] = value
    return found


def _value(call: UpstreamCall) -> dict[str, Any]:
    content_type = next((v for n, v in call.headers.items() if n.lower() == "content-type"), "")
    return {
        "path": call.path,
        "query": call.query,
        "body": parse_body(call.body, content_type),
        "credentials": credentials(call),
    }


def expected_writes(first: Sequence[Write], second: Sequence[Write]) -> tuple[list[ExpectedWrite], list[Write]]:
    """The writes that both looks at the original share, and those that only one of them saw."""
    left = list(second)
    expected: list[ExpectedWrite] = []
    lonely: list[Write] = []
    later: list[Write] = []
    for write in first:
        partner = _same(write, left, {})
        if partner is None:
            later.append(write)
        else:
            left.remove(partner)
            expected.append(ExpectedWrite(write, partner, {}))
    for write in later:
        shape = hard(write.call.path)
        near = [other for other in left if other.group == write.group and hard(other.call.path) == shape]
        if not near:
            lonely.append(write)
            continue
        left.remove(near[0])
        expected.append(ExpectedWrite(write, near[0], learn(write.side, near[0].side)))
    expected.sort(key=lambda item: item.first.call.start_s)
    return expected, lonely + left


def match_writes(
    expected: Sequence[ExpectedWrite], candidate: Sequence[Write]
) -> tuple[dict[int, Write], list[int], list[Write]]:
    """Which candidate write is which expected one (by its number); the unmatched numbers; the writes left over."""
    left = list(candidate)
    matched: dict[int, Write] = {}
    # the strict ones first, so that one with masks does not take what belongs to them
    for number in sorted(range(len(expected)), key=lambda n: len(expected[n].masks)):
        partner = _same(expected[number].first, left, expected[number].masks)
        if partner is not None:
            left.remove(partner)
            matched[number] = partner
    return matched, [number for number in range(len(expected)) if number not in matched], left


def missing_lines(expected: Sequence[ExpectedWrite], missing: Sequence[int], left: list[Write]) -> Iterator[str]:
    """One line for each expected write that did not come; takes from `left` what came in its place."""
    for number in missing:
        wanted = expected[number]
        near = [write for write in left if write.group == wanted.first.group]
        if not near:
            yield f"upstream write missing: {wanted.first.name}"
            continue
        left.remove(near[0])
        changes = differences(wanted.first.side, near[0].side, wanted.masks)
        yield f"upstream write changed: {wanted.first.name}: {'; '.join(changes[:3])}"


def order_lines(expected: Sequence[ExpectedWrite], matched: dict[int, Write]) -> Iterator[str]:
    """One line for each pair of writes that came one after the other, in both looks, and does not any more."""
    for early, before in enumerate(expected):
        for late, after in enumerate(expected):
            if early not in matched or late not in matched or early == late:
                continue
            if not (_follows(before.first, after.first) and _follows(before.second, after.second)):
                continue
            one, two = matched[early], matched[late]
            if _follows(one, two):
                continue
            if _follows(two, one):
                yield f"upstream writes reordered: {after.first.name} now comes before {before.first.name}"
            else:
                yield f"upstream writes overlap: {before.first.name} and {after.first.name} came one after the other"


def _follows(before: Write, after: Write) -> bool:
    return before.call.end_s <= after.call.start_s + OVERLAP_TOLERANCE_S


def _same(write: Write, others: Sequence[Write], masks: Masks) -> Write | None:
    for other in others:
        if other.group == write.group and not differences(write.side, other.side, masks):
            return other
    return None
