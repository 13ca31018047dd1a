"""Judges a candidate's replay against two replays of the original: what it answered, wrote and stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest

from swarm.core.report import ReplayOutcome
from swarm.target.replay.observation import Exchange, Observation, Recording
from swarm.target.replay.questions import question_differences
from swarm.target.replay.stored_state import added, stored_differences
from swarm.target.replay.write_matching import (
    Write,
    credentials,
    expected_writes,
    match_writes,
    missing_lines,
    order_lines,
    writes_of,
)
from swarm.target.replay.write_merging import widened, with_merged
from swarm.target.upstream.calls import FaultPoint, UpstreamCall, path_shape
from swarm.target.volatile import Side, differences, learn, parse_body

IDEMPOTENT_METHODS = frozenset({"PUT", "DELETE"})
_LINES_PER_EXCHANGE = 4


def compare(recording: Recording, candidate: Observation, *, allow_surfaced_errors: bool = False) -> ReplayOutcome:
    """What is different, as one-liners; none of them means that the candidate behaves as the original.

    A failure of the original's may become a good answer where the candidate keeps the event for a later try.

    A request counts as identical if its answer and its upstream writes are. Reads may be fewer, more, or in another
    order. `allow_surfaced_errors`: an upstream's failure that the original hid behind a good status may now
    become an error; without it that is a difference too.
    """
    lines: list[str] = []
    identical = 0
    trios = zip_longest(recording.first.exchanges, recording.second.exchanges, candidate.exchanges)
    total = 0
    before: list[UpstreamCall] = []
    known_tables = recording.first.stored_at_end.tables.keys() | recording.second.stored_at_end.tables.keys()
    for first, second, theirs in trios:
        if first is None or second is None:
            continue
        total += 1
        if theirs is None:
            lines.append(f"{first.label}: was not replayed")
            continue
        theirs = replace(theirs, kept_in=theirs.kept_in - known_tables)
        found = list(_exchange_differences(first, second, theirs, allow_surfaced_errors, before))
        if theirs.kind == "upstream fails":
            before += theirs.calls
        identical += not found
        lines += [f"{first.label}: {line}" for line in found[:_LINES_PER_EXCHANGE]]
    lines += _stored_lines(recording, candidate)
    known = {*recording.first.refused, *recording.second.refused}
    lines += [f"calls what nobody plays: {call}" for call in candidate.refused if call not in known]
    return ReplayOutcome(total, identical, tuple(lines))


def _exchange_differences(
    first: Exchange, second: Exchange, theirs: Exchange, allow_surfaced_errors: bool, before: Sequence[UpstreamCall]
) -> Iterator[str]:
    if theirs.status == 0 and first.status != 0:
        yield f"status {first.status} became no answer ({theirs.error})"
        return
    match first.kind:
        case "normal":
            yield from _answer_differences(first, second, theirs)
            yield from _write_differences(first, second, theirs)
            yield from question_differences(first, second, theirs)
        case "badly signed":
            yield from _refusal_differences(first, second, theirs)
        case "upstream fails":
            yield from _fault_differences(first, second, theirs, allow_surfaced_errors, before)


def _answer_differences(first: Exchange, second: Exchange, theirs: Exchange) -> Iterator[str]:
    if _is_kept(first, second, theirs):
        return
    if first.status != second.status:
        if theirs.status not in (first.status, second.status):
            yield f"status {first.status} or {second.status} became {theirs.status}"
        return
    if theirs.status != first.status:
        yield f"status {first.status} became {theirs.status}"
        return
    if first.status >= 500:
        return  # how a failure is worded is no promise
    if theirs.content_type != first.content_type:
        yield f"content type {first.content_type} became {theirs.content_type}"
        return
    sides = [Side(parse_body(exchange.body), exchange.now_s) for exchange in (first, second, theirs)]
    yield from (f"body: {line}" for line in differences(sides[0], sides[2], learn(sides[0], sides[1])))


def _write_differences(first: Exchange, second: Exchange, theirs: Exchange) -> Iterator[str]:
    expected, lonely = expected_writes(writes_of(first), writes_of(second))
    expected = with_merged(expected, writes_of(theirs))
    matched, missing, left = match_writes(expected, writes_of(theirs))
    left = _without(left, lonely)
    yield from missing_lines(expected, missing, left)
    yield from (f"additional upstream write: {write.name}" for write in left)
    yield from order_lines(expected, matched)
    yield from _credential_differences(first, second, theirs)
    if not theirs.quiet and first.quiet and second.quiet:
        yield "its upstream calls do not come to an end"


def _credential_differences(first: Exchange, second: Exchange, theirs: Exchange) -> Iterator[str]:
    """Reads that lost what proves who they are from; writes hold theirs among their values."""
    wanted: dict[tuple[str, str, str], set[str]] = {}
    for exchange in (first, second):
        for call in exchange.calls:
            if call.effect == "read":
                names = set(credentials(call))
                key = (call.upstream, call.method, call.path)
                wanted[key] = wanted[key] & names if key in wanted else names
    for call in theirs.calls:
        lost = wanted.get((call.upstream, call.method, call.path), set()) - set(credentials(call))
        if call.effect == "read" and lost:
            yield f"{call.method} {call.upstream}{call.path} lost its header {', '.join(sorted(lost))}"


def _refusal_differences(first: Exchange, second: Exchange, theirs: Exchange) -> Iterator[str]:
    """What was refused stays refused, in the same class of status; what was let in may be refused now."""
    classes = {first.status // 100, second.status // 100}
    if min(first.status, second.status) >= 400 and theirs.status // 100 not in classes:
        yield f"status {first.status} became {theirs.status}"
    yield from _more_writes(first, second, theirs)


def _fault_differences(
    first: Exchange, second: Exchange, theirs: Exchange, allow_surfaced_errors: bool, before: Sequence[UpstreamCall]
) -> Iterator[str]:
    if _unmet(first, theirs):
        return
    classes = {first.status // 100, second.status // 100}
    if theirs.status // 100 not in classes and not _is_kept(first, second, theirs):
        surfaced = max(classes) < 4 and theirs.status >= 500
        if not (surfaced and allow_surfaced_errors):
            yield f"status {first.status} became {theirs.status}"
    yield from _more_writes(first, second, theirs, before)


def _is_kept(first: Exchange, second: Exchange, theirs: Exchange) -> bool:
    """Whether a request that failed in the original is answered well, and is kept in a table of the candidate's own.

    Whoever answers before the work cannot tell of its failure: it must be able to do it later. A row in a table of
    the original's proves nothing: it is what the work stores.
    """
    return min(first.status, second.status) >= 500 and 200 <= theirs.status < 300 and bool(theirs.kept_in)


def _unmet(first: Exchange, theirs: Exchange) -> bool:
    """Whether the candidate made none of the reads that failed in the original (it remembers their answer, say).

    Then nothing failed for it, and there is nothing to compare. A write that is not made is another matter.
    """
    failed = {_point(call) for call in first.calls if _failed_read(first, call)}
    return bool(failed) and theirs.status < 400 and failed.isdisjoint(_point(call) for call in theirs.calls)


def _failed_read(exchange: Exchange, call: UpstreamCall) -> bool:
    return call.upstream == exchange.upstream and call.status >= 500 and call.effect == "read"


def _point(call: UpstreamCall) -> FaultPoint:
    return FaultPoint(call.upstream, call.method, path_shape(call.path))


def _more_writes(
    first: Exchange, second: Exchange, theirs: Exchange, before: Sequence[UpstreamCall] = ()
) -> Iterator[str]:
    """Writes that the original did not make. Another attempt at an idempotent one is none, nor is a late attempt at
    what failed under a request `before` this one."""
    expected, lonely = expected_writes(writes_of(first), writes_of(second))
    expected = with_merged(expected, writes_of(theirs))
    _, missing, left = match_writes(expected, writes_of(theirs))
    left = _without(left, lonely)
    wider = widened([expected[number] for number in missing], left)
    left = [write for write in left if write not in wider and not _is_late_attempt(write.call, before)]
    counted: Counter[str] = Counter()
    for write in left:
        attempt = any(
            not differences(item.first.side, write.side, item.masks)
            for item in expected if item.first.group == write.group
        )  # fmt: skip
        if not (attempt and write.call.method in IDEMPOTENT_METHODS):
            counted[f"{'repeated' if attempt else 'additional'} upstream write: {write.name}"] += 1
    yield from (line if count == 1 else f"{line} ({count} times)" for line, count in counted.items())


def _is_late_attempt(call: UpstreamCall, before: Sequence[UpstreamCall]) -> bool:
    """Whether a write was made before, where it failed or where making it twice changes nothing."""
    return any(
        (known.upstream, known.method, known.path, known.query, known.body)
        == (call.upstream, call.method, call.path, call.query, call.body)
        and (known.status >= 500 or known.method in IDEMPOTENT_METHODS)
        for known in before
    )


def _without(left: Sequence[Write], lonely: Sequence[Write]) -> list[Write]:
    """`left` without those that one look at the original saw as well."""
    remaining = list(left)
    for write in lonely:
        twin = next((o for o in remaining if o.group == write.group and o.call.path == write.call.path), None)
        if twin is not None:
            remaining.remove(twin)
    return remaining


def _stored_lines(recording: Recording, candidate: Observation) -> list[str]:
    first, second = recording.first, recording.second
    lines = stored_differences(first.stored, second.stored, candidate.stored)
    for known, theirs in zip(first.exchanges, candidate.exchanges, strict=False):
        if known.kind == "upstream fails" and _unmet(known, theirs):
            return lines  # what went well for the candidate has left more rows
    later = [added(look.stored, look.stored_at_end) for look in (first, second, candidate)]
    failing = stored_differences(later[0], later[1], later[2], only_extra=True)
    return lines + [f"after refused and failing requests, {line}" for line in failing]
