"""Edits of JSON payloads for probes: finding string fields, replacing them, breaking them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

Path = tuple[str | int, ...]

# Fields that tell a service what to do with the rest: changing them tests another thing.
STEERING = ("type", "event", "kind", "action", "topic", "status", "version", "object")
_PERSONAL = ("email", "mail", "phone", "mobile", "firstname", "lastname", "fullname", "name")


def read(body: bytes) -> Any:
    """The payload, or None where it is no JSON."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def write(payload: Any) -> bytes:
    """Compact JSON bytes."""
    return json.dumps(payload, separators=(",", ":")).encode()


def strings(payload: Any, at: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every string value with its place."""
    if isinstance(payload, str):
        yield at, payload
    elif isinstance(payload, dict):
        for key, value in payload.items():
            yield from strings(value, (*at, key))
    elif isinstance(payload, list):
        for place, value in enumerate(payload):
            yield from strings(value, (*at, place))


def changed(payload: Any, chosen: Callable[[Path, str], bool], change: Callable[[str], Any]) -> Any:
    """A copy with `change` applied to every chosen string."""

    def walk(value: Any, at: Path) -> Any:
        if isinstance(value, str):
            return change(value) if chosen(at, value) else value
        if isinstance(value, dict):
            return {key: walk(inner, (*at, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [walk(inner, (*at, place)) for place, inner in enumerate(value)]
        return value

    return walk(payload, ())


def name_of(at: Path) -> str:
    """The last key on the way to a value, lower case, letters only."""
    for part in reversed(at):
        if isinstance(part, str):
            return "".join(letter for letter in part.lower() if letter.isalpha())
    return ""


def is_free_text(at: Path, value: str) -> bool:
    """Whether a string looks like content, not like something that steers the service."""
    name = name_of(at)
    return not (name in STEERING or name.endswith(("type", "at", "time", "date", "timestamp")))


def is_personal(at: Path, value: str) -> bool:
    """Whether a field holds a person's name, e-mail or phone."""
    return "@" in value or name_of(at) in _PERSONAL
