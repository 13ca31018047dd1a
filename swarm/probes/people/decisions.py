"""What a service decided about people, as far as the fields of its upstream writes tell."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from swarm.target.upstream.calls import UpstreamCall

DECIDES = re.compile(r"score|tier|rank|grade|price|rate|segment|decision|matched|priority|route", re.IGNORECASE)


def decisions_in(calls: Iterable[UpstreamCall]) -> dict[str, Any]:
    """What was decided, from the bodies of all writes: by field, or by `id.field` where an entry names what it is."""
    found: dict[str, Any] = {}

    def look(value: Any, under: str) -> None:
        if isinstance(value, dict):
            name = str(value.get("id") or value.get("key") or value.get("name") or "")
            for key, inner in value.items():
                look(inner, f"{name}.{key}" if name and DECIDES.search(name) else str(key))
        elif isinstance(value, list) and not DECIDES.search(under):
            for item in value:
                look(item, under)
        elif DECIDES.search(under):
            found[under] = value

    for call in calls:
        if call.effect == "write":
            try:
                look(json.loads(call.body), "")
            except ValueError:
                continue
    return found
