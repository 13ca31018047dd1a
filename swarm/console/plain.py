"""Plain timed lines, one an event, for CI and wherever the output is no terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from swarm.console.wording import line_of
from swarm.core.events import Event, RunStarted
from swarm.core.ports import Clock


def stamp(elapsed_s: float) -> str:
    """Minutes, seconds and tenths since the run began: 00:07.3."""
    minutes, rest = divmod(max(0.0, elapsed_s), 60)
    return f"{int(minutes):02d}:{rest:04.1f}"


class PlainConsole:
    """An EventSink that writes each line as it comes. Never raises: a reader that left is no error of the run."""

    def __init__(self, out: TextIO, clock: Clock, *, keep: Callable[[Event], bool] = lambda event: True) -> None:
        self._out = out
        self._clock = clock
        self._keep = keep
        self._began_s = clock.now_s()

    def __call__(self, event: Event) -> None:
        """Write the event's line, if it has one."""
        if isinstance(event, RunStarted):
            self._began_s = self._clock.now_s()
        line = line_of(event)
        if line and self._keep(event):
            self.write(f"{stamp(self._clock.now_s() - self._began_s)}  {line}")

    def write(self, line: str) -> None:
        """One line as it is; characters that the output cannot show are replaced."""
        try:
            encoding = getattr(self._out, "encoding", None) or "utf-8"
            self._out.write(line.encode(encoding, "replace").decode(encoding) + "\n")
            self._out.flush()
        except (OSError, ValueError):
            return

    def close(self) -> None:
        """Nothing is held."""
