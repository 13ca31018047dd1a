"""Lays a mask over every string of a value: of an event or a report, however deep it lies."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
_TELLING = ("SECRET", "TOKEN", "PASSWORD", "PASSWD", "API_KEY", "APIKEY", "PRIVATE", "CREDENTIAL", "_KEY")
_PASSWORD = re.compile(r"(://([^/?#\s:@]*):)([^/?#\s@]+)(?=@)")
_NO_SECRET = frozenset({"password", "passwort", "secret", "example", "changeme", "postgres", "guest", "default"})
_FIELDS: dict[type[Any], tuple[str, ...]] = {}
_PLAIN = frozenset({int, float, bool, type(None)})
# keys by the form that their issuers give them, cut short perhaps: code may hold them, and so do addresses of calls
_KEYS = re.compile(
    r"\b(?:AKIA[0-9A-Z]{8,}|sk-[A-Za-z0-9_-]{12,}|[rs]k_live_\w{8,}|gh[pousr]_\w{12,}|github_pat_\w{12,}"
    r"|xox[abprs]-[\w-]{10,}|whsec_\w{10,}|AIza[\w-]{12,}|glpat-[\w-]{8,})|\d{8,10}:AA[\w-]{4,}"
    r"|(?<=hooks\.slack\.com/services/)[\w/]{10,}|(?<=/api/webhooks/)\d{15,}/[\w-]{10,}"
)
MASKED = "«masked»"  # stands where a known secret stood


def tells_secret(name: str) -> bool:
    """Whether a variable of this name holds a secret."""
    return any(word in name.upper() for word in _TELLING)


def passwords(text: str) -> tuple[str, ...]:
    """The passwords within addresses, `postgresql://user:this@host/base`, but for those that anybody guesses."""
    found = _PASSWORD.findall(text)
    return tuple(password for _, user, password in found if password != user and password.lower() not in _NO_SECRET)


def without_password(text: str) -> str:
    """A text with the passwords of its addresses masked."""
    return _PASSWORD.sub(rf"\g<1>{MASKED}", text)


def without_keys(text: str) -> str:
    """A text with what has the form of an issuer's key masked."""
    return _KEYS.sub(MASKED, text)


def masked(value: T, mask: Callable[[str], str], *, untouched: tuple[type, ...] = ()) -> T:
    """`value` with `mask` laid over its strings, through dataclasses, tuples, lists and dicts.

    What is an instance of `untouched` stays as it is. Pure: the value handed in is not changed.
    """
    result: T = _walk(value, mask, untouched)
    return result


def _walk(value: Any, mask: Callable[[str], str], untouched: tuple[type, ...]) -> Any:
    kind = type(value)
    if untouched and isinstance(value, untouched):
        return value
    if kind is str:
        return mask(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, (tuple, list)):
        return kind(_walk(item, mask, untouched) for item in value)
    if isinstance(value, dict):
        return {_walk(key, mask, untouched): _walk(item, mask, untouched) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _walk_fields(value, mask, untouched)
    return value


def _walk_fields(value: Any, mask: Callable[[str], str], untouched: tuple[type, ...]) -> Any:
    """The very same value where nothing in it was masked: events come by the thousand, secrets hardly ever."""
    before = {name: getattr(value, name) for name in field_names(type(value))}
    after = {name: _walk(item, mask, untouched) for name, item in before.items()}
    if all(after[name] is item or after[name] == item for name, item in before.items()):
        return value
    return type(value)(**after)


def field_names(kind: type[Any]) -> tuple[str, ...]:
    """The fields of a dataclass, asked for once."""
    names = _FIELDS.get(kind)
    if names is None:
        names = _FIELDS[kind] = tuple(field.name for field in dataclasses.fields(kind))
    return names
