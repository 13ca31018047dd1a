"""`--json`: each event as one JSON object a line on stdout, and nothing else there."""

from __future__ import annotations

import json
import math
import re
from functools import cache
from typing import Any, TextIO

from swarm.core.events import Event
from swarm.core.masking import field_names
from swarm.core.ports import Clock


def event_record(event: Event, elapsed_s: float) -> dict[str, Any]:
    """`event` in snake case, `at_s` since the console began, then the event's own fields."""
    record: dict[str, Any] = {"event": _snake(type(event).__name__), "at_s": round(elapsed_s, 3)}
    for name in field_names(type(event)):
        value = getattr(event, name)
        record[name] = None if isinstance(value, float) and not math.isfinite(value) else value
    return record


@cache
def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class JsonLinesConsole:
    """An EventSink for scripts. Never raises."""

    def __init__(self, out: TextIO, clock: Clock) -> None:
        self._out = out
        self._clock = clock
        self._began_s = clock.now_s()

    def __call__(self, event: Event) -> None:
        """Write one line. ASCII alone, so that no encoding and no line separator can break it."""
        line = json.dumps(event_record(event, self._clock.now_s() - self._began_s), allow_nan=False)
        try:
            self._out.write(line + "\n")
            self._out.flush()
        except (OSError, ValueError):
            return

    def close(self) -> None:
        """Nothing is held."""
