"""Ids in example bodies: senders never send one twice, and a service may leave out what it has seen."""

from __future__ import annotations

import re
from typing import Any

_FRESH = "{{uuid}}"
_FRESH_NUMBER = "{{int:1:900000000}}"
_ID = re.compile(r"(^|_|-)(id|uuid|guid|nonce|reference|number)$|[a-z](Id|ID|Uuid)$")
_OF_THE_EVENT = re.compile(
    r"(event|delivery|message|notification|webhook|request|update)[_-]?(id|uuid)", re.IGNORECASE
)
_NOT_THE_EVENTS = re.compile(
    r"user|account|customer|client|chat|org|team|tenant|shop|store|location|product|sku|phone|page|channel|app",
    re.IGNORECASE,
)


def with_fresh_ids(body: Any, *, of_event_only: bool) -> Any:
    """The body with ids that are new for each request, where it holds constant ones; the same where it holds none.

    `of_event_only` leaves alone what names something that may have to be known: all but the event's own id.
    """
    return _fresh(body, of_event_only=of_event_only, is_top=True, within="")


def _fresh(value: Any, *, of_event_only: bool, is_top: bool, within: str) -> Any:
    if isinstance(value, dict):
        return {
            key: _id_for(inner)
            if isinstance(inner, str)
            and _is_id(key, inner, of_event_only=of_event_only, is_top=is_top, within=within)
            else _FRESH_NUMBER
            if type(inner) is int and _OF_THE_EVENT.fullmatch(key)
            else _fresh(inner, of_event_only=of_event_only, is_top=False, within=key)
            for key, inner in value.items()
        }
    if isinstance(value, list):  # a body that is a list holds several events
        return [_fresh(inner, of_event_only=of_event_only, is_top=is_top, within=within) for inner in value]
    return value


def _is_id(key: str, value: str, *, of_event_only: bool, is_top: bool, within: str) -> bool:
    if not value or "{{" in value or re.search(r"\s|://|@|^\+?\d{7,}$", value):
        return False
    if of_event_only:
        return bool(_OF_THE_EVENT.fullmatch(key)) or (is_top and key in ("id", "uuid"))
    named = f"{within}_{key}" if key.lower() in ("id", "uuid", "number") else key
    return bool(_ID.search(key)) and not _NOT_THE_EVENTS.search(named)


def _id_for(value: str) -> str:
    """A fresh id that begins as the constant one does: `evt_17` gives `evt_…`."""
    start = re.match(r"[A-Za-z]{1,8}[_-]", value)
    return (start[0] if start else "") + _FRESH
