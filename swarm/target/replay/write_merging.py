"""Several partial updates of one resource, made as one: when that is the same write, in a replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from swarm.target.replay.write_matching import ExpectedWrite, Write
from swarm.target.volatile import Side, differences, learn

PARTIAL_METHODS = frozenset({"PUT", "PATCH"})
NAMING_KEYS = ("id", "key", "name", "fieldKey", "field")  # what items of a list are told apart by


def with_merged(expected: Sequence[ExpectedWrite], candidate: Sequence[Write]) -> list[ExpectedWrite]:
    """`expected`, but neighbours that the candidate made as one write stand there as one.

    Neighbours are PUTs or PATCHes of one resource, one after the other, with no other write of the request between
    them. The merged write takes the place in time of all of them, and holds each one's fields, the later one's
    value where two name the same.
    """
    merged: list[ExpectedWrite] = []
    start = 0
    while start < len(expected):
        length = len(_neighbours(expected, start))
        joined = None
        while length > 1 and joined is None:
            joined = _joined_as_made(expected[start : start + length], candidate)
            length -= joined is None
        merged.append(joined or expected[start])
        start += length if joined else 1
    return merged


def widened(failed: Sequence[ExpectedWrite], left: Sequence[Write]) -> list[Write]:
    """Those of `left` that hold a failed write's fields beside others: it was to be merged with the next ones."""
    return [
        write for write in left
        if any(
            item.first.call.status >= 500 and write.call.method in PARTIAL_METHODS and _holds(write, item.first)
            for item in failed
        )
    ]  # fmt: skip


def merge(earlier: Any, later: Any) -> Any:
    """What two partial updates come to: objects key by key, lists of named items by their names, else the later."""
    if isinstance(earlier, dict) and isinstance(later, dict):
        both = {key: merge(earlier[key], later[key]) for key in earlier.keys() & later.keys()}
        return {**earlier, **later, **both}
    if isinstance(earlier, list) and isinstance(later, list):
        key = _naming_key([*earlier, *later])
        if key is not None:
            items = {item[key]: item for item in earlier}
            for item in later:
                items[item[key]] = merge(items[item[key]], item) if item[key] in items else item
            return list(items.values())
    return later


def _naming_key(items: Sequence[Any]) -> str | None:
    """The key that tells every item of a list apart from the others, or None."""
    if not items or not all(isinstance(item, dict) for item in items):
        return None
    return next((key for key in NAMING_KEYS if all(isinstance(item.get(key), str | int) for item in items)), None)


def _neighbours(expected: Sequence[ExpectedWrite], start: int) -> Sequence[ExpectedWrite]:
    """The run of writes from `start` on that update one resource, each begun when the one before had ended."""
    head = expected[start]
    end = start + 1
    if head.first.call.method not in PARTIAL_METHODS or not _is_apart(expected, start):
        return expected[start:end]
    while end < len(expected) and _same_resource(head, expected[end]) and _is_apart(expected, end):
        end += 1
    return expected[start:end]


def _is_apart(expected: Sequence[ExpectedWrite], number: int) -> bool:
    """Whether no other write of the request was under way at the same time, in either look."""
    item = expected[number]
    return not any(
        _overlap(item.first, other.first) or _overlap(item.second, other.second)
        for place, other in enumerate(expected) if place != number
    )  # fmt: skip


def _overlap(one: Write, other: Write) -> bool:
    return one.call.start_s < other.call.end_s and other.call.start_s < one.call.end_s


def _same_resource(one: ExpectedWrite, other: ExpectedWrite) -> bool:
    return _resource(one.first) == _resource(other.first) and _resource(one.second) == _resource(other.second)


def _resource(write: Write) -> tuple[object, ...]:
    value = write.side.value
    credentials = tuple(sorted(value["credentials"].items()))
    return (*write.group, value["path"], str(value["query"]), credentials)


def _joined_as_made(group: Sequence[ExpectedWrite], candidate: Sequence[Write]) -> ExpectedWrite | None:
    """The group as one write, where the candidate made just that one and none of the group."""
    joined = _joined(group)
    if joined is None or any(
        not differences(item.first.side, write.side, item.masks) and _resource(write) == _resource(item.first)
        for item in group for write in candidate
    ):  # fmt: skip
        return None
    made = (write for write in candidate if write.group == joined.first.group)
    return joined if any(not differences(joined.first.side, write.side, joined.masks) for write in made) else None


def _joined(group: Sequence[ExpectedWrite]) -> ExpectedWrite | None:
    first, second = _join([item.first for item in group]), _join([item.second for item in group])
    return ExpectedWrite(first, second, learn(first.side, second.side)) if first and second else None


def _join(writes: Sequence[Write]) -> Write | None:
    bodies = [write.side.value["body"] for write in writes]
    if not all(isinstance(body, dict) for body in bodies):
        return None
    body = bodies[0]
    for later in bodies[1:]:
        body = merge(body, later)
    last = writes[-1]
    call = replace(last.call, start_s=writes[0].call.start_s)
    return Write(call, Side({**last.side.value, "body": body}, last.side.now_s))


def _holds(write: Write, part: Write) -> bool:
    """Whether a write to the same resource carries all that `part` does."""
    body, fields = write.side.value["body"], part.side.value["body"]
    if _resource(write) != _resource(part) or not isinstance(body, dict) or not isinstance(fields, dict):
        return False
    together = {**write.side.value, "body": merge(body, fields)}
    return not differences(write.side, Side(together, part.side.now_s), {})
