"""What may differ between two runs of one program: clocks, ports, and what two runs showed to differ."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import parse_qsl

CLOCK_SPAN_S = 15 * 60
_ZONE_SPAN_S = 14 * 3600
_STAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?")
_EPOCH = re.compile(r"(?<![\w.])\d{10}(?:\d{3}|\d{6}|\.\d+)?(?![\w])")
_LOCAL_PORT = re.compile(r"(127\.0\.0\.1|localhost|\[::1\]):\d{2,5}")
_UUID = re.compile(r"(?i)\b[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\b")
_HEX = re.compile(r"(?i)(?<![0-9a-z])(?=[0-9a-f]*\d)[0-9a-f]{8,}(?![0-9a-z])")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_DURATION_KEY = re.compile(r"(?i)(duration|elapsed|took|latency|processing_time|uptime|_ms$|_millis$|_seconds$)")

Mask = Literal["template", "type", "any", "optional"]
Masks = Mapping[str, Mask]


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: its value and the wall clock (epoch seconds) at which it was seen."""

    value: Any
    now_s: float


def parse_body(body: bytes, content_type: str = "") -> Any:
    """JSON as values, a form as a mapping, anything else as text."""
    text = body.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except ValueError:
        pass
    if "x-www-form-urlencoded" in content_type:
        form: dict[str, list[str]] = {}
        for name, value in parse_qsl(text, keep_blank_values=True):
            form.setdefault(name, []).append(value)
        return form
    return text


def soft(value: Any, now_s: float) -> Any:
    """A leaf with clocks near `now_s` and loopback ports masked."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        return "<clock>" if _near(float(value), now_s) else value
    if not isinstance(value, str):
        return value
    text = _STAMP.sub(lambda match: "<clock>" if _stamp_near(match.group(), now_s) else match.group(), value)
    text = _EPOCH.sub(lambda match: "<clock>" if _near(float(match.group()), now_s) else match.group(), text)
    return _LOCAL_PORT.sub(r"\1:<port>", text)


def hard(text: str) -> str:
    """A text's shape: every uuid, time, long hexadecimal and number masked."""
    for pattern, word in ((_LOCAL_PORT, "<port>"), (_STAMP, "<time>"), (_UUID, "<uuid>"), (_HEX, "<hex>")):
        text = pattern.sub(word, text)
    return _NUMBER.sub("<n>", text)


def _near(number: float, now_s: float) -> bool:
    return any(abs(number / scale - now_s) <= CLOCK_SPAN_S for scale in (1, 1e3, 1e6, 1e9))


def _stamp_near(text: str, now_s: float) -> bool:
    try:
        moment = datetime.fromisoformat(text.replace(" ", "T", 1))
    except ValueError:
        return False
    if moment.tzinfo is not None:
        return abs(moment.timestamp() - now_s) <= CLOCK_SPAN_S
    # a naive time may be of any zone; zones differ by quarters of an hour
    off_s = abs(moment.replace(tzinfo=UTC).timestamp() - now_s)
    return off_s <= _ZONE_SPAN_S


def learn(first: Side, second: Side) -> dict[str, Mask]:
    """The leaves that differed between two looks at the same program, by path."""
    masks: dict[str, Mask] = {}
    _learn(first.value, second.value, (first.now_s, second.now_s), "", masks)
    return masks


def _learn(one: Any, two: Any, clocks: tuple[float, float], path: str, masks: dict[str, Mask]) -> None:
    if isinstance(one, dict) and isinstance(two, dict):
        for key in one.keys() ^ two.keys():
            masks[f"{path}.{key}"] = "optional"
        for key in one.keys() & two.keys():
            _learn(one[key], two[key], clocks, f"{path}.{key}", masks)
    elif isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        for number, (left, right) in enumerate(zip(one, two, strict=True)):
            _learn(left, right, clocks, f"{path}[{number}]", masks)
    elif soft(one, clocks[0]) != soft(two, clocks[1]):
        if isinstance(one, str) and isinstance(two, str) and hard(one) == hard(two):
            masks[path] = "template"
        else:
            masks[path] = "type" if _kind(one) == _kind(two) else "any"


def differences(base: Side, candidate: Side, masks: Masks) -> list[str]:
    """One line for each place where the candidate is not the base, masked leaves by their shape alone."""
    return list(_differences(base.value, candidate.value, (base.now_s, candidate.now_s), "", masks))


def _differences(one: Any, two: Any, clocks: tuple[float, float], path: str, masks: Masks) -> Iterator[str]:
    place = path.lstrip(".") or "it"
    match masks.get(path):
        case "any" | "optional":
            return
        case "type":
            if _kind(one) != _kind(two):
                yield f"{place} became {_shown(two)}, was {_kind(one)}"
            return
        case "template":
            if not isinstance(two, str) or hard(one) != hard(two):
                yield f"{place} {_shown(one)} became {_shown(two)}"
            return
        case None:
            pass
    if isinstance(one, dict) and isinstance(two, dict):
        for key in [*one, *(key for key in two if key not in one)]:
            inner = f"{path}.{key}"
            if masks.get(inner) == "optional":
                continue
            if key not in two:
                yield f"{inner.lstrip('.')} is gone"
            elif key not in one:
                yield f"{inner.lstrip('.')} is new"
            else:
                yield from _differences(one[key], two[key], clocks, inner, masks)
    elif isinstance(one, list) and isinstance(two, list):
        if len(one) != len(two):
            yield f"{place} has {len(two)} items, had {len(one)}"
            return
        for number, (left, right) in enumerate(zip(one, two, strict=True)):
            yield from _differences(left, right, clocks, f"{path}[{number}]", masks)
    elif not _alike(one, two, clocks, path):
        yield f"{place} {_shown(one)} became {_shown(two)}"


def _alike(one: Any, two: Any, clocks: tuple[float, float], path: str) -> bool:
    left, right = soft(one, clocks[0]), soft(two, clocks[1])
    if left == right and (isinstance(left, bool) == isinstance(right, bool)):
        return True
    numbers = _kind(one) == _kind(two) == "number"
    return numbers and bool(_DURATION_KEY.search(path.rsplit(".", 1)[-1]))


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case bytes():
            return "bytes"
        case list():
            return "list"
        case _:
            return "mapping"


kind = _kind


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "…"
