"""`--json`: each event as one JSON object a line on stdout, and nothing else there."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from typing import Any, TextIO

from swarm.core.events import Event
from swarm.core.ports import Clock


def event_record(event: Event, elapsed_s: float) -> dict[str, Any]:
    """`event` in snake case, `at_s` since the console began, then the event's own fields."""
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()
    record: dict[str, Any] = {"event": name, "at_s": round(elapsed_s, 3)}
    for field in dataclasses.fields(event):
        value = getattr(event, field.name)
        record[field.name] = None if isinstance(value, float) and not math.isfinite(value) else value
    return record


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
