"""Edits of payloads for probes, JSON or a form's: finding string fields, replacing them, breaking them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode

Path = tuple[str | int, ...]

# Fields that tell a service what to do with the rest: changing them tests another thing.
STEERING = ("type", "event", "kind", "action", "topic", "status", "version", "object")
_PERSONAL = ("email", "mail", "phone", "mobile", "firstname", "lastname", "fullname", "name")
_OUR_NUMBER = ("to", "called", "recipient")
_PHONE = re.compile(r"([a-z]+:)?\+\d{8,15}")
_PAIRS = re.compile(rb"[\w.~%+*\[\]-]+=[^\s&<>\"{}]*(&[\w.~%+*\[\]-]+=[^\s&<>\"{}]*)*")


class Form(dict[str, Any]):
    """The pairs of a form: a text by its name, a list of texts where a name stands more than once."""


def read(body: bytes) -> Any:
    """The payload; None where it is neither JSON nor a form."""
    try:
        return json.loads(body)
    except ValueError:
        pass
    if not _PAIRS.fullmatch(body):
        return None
    pairs = parse_qs(body.decode("ascii", "replace"), keep_blank_values=True)
    return Form({name: values[0] if len(values) == 1 else values for name, values in pairs.items()})


def write(payload: Any) -> bytes:
    """Compact JSON bytes, or a form's."""
    if isinstance(payload, Form):
        return urlencode(payload, doseq=True).encode()
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
            made = {key: walk(inner, (*at, key)) for key, inner in value.items()}
            return Form(made) if isinstance(value, Form) else made
        if isinstance(value, list):
            return [walk(inner, (*at, place)) for place, inner in enumerate(value)]
        return value

    return walk(payload, ())


def extended(payload: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """A payload with further fields, or others in their place; a form stays one."""
    return type(payload)({**payload, **more})


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
    return "@" in value or name_of(at) in _PERSONAL or (is_phone(value) and name_of(at) not in _OUR_NUMBER)


def is_phone(value: str) -> bool:
    """A number as providers of telephony write them: `+15550100200`, `whatsapp:+15550100200`."""
    return _PHONE.fullmatch(value) is not None
