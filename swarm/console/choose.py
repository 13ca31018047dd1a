"""Which console a run talks to: JSON lines, quiet, live, or plain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TextIO

from swarm.core.events import Event
from swarm.core.ports import Clock


class ConsoleSink(Protocol):
    """An EventSink that may hold the terminal until it is closed."""

    def __call__(self, event: Event) -> None:
        """Take one event. Never raises."""
        ...

    def close(self) -> None:
        """Give the terminal back; safe to call twice."""
        ...


def choose_console(
    out: TextIO, clock: Clock, environment: Mapping[str, str], *, json_lines: bool = False, quiet: bool = False
) -> ConsoleSink:
    """`--json` before `--quiet`; live only on a terminal that can move its cursor, and never in CI."""
    if json_lines:
        from swarm.console.json_lines import JsonLinesConsole

        return JsonLinesConsole(out, clock)
    if quiet:
        from swarm.console.quiet import quiet_console

        return quiet_console(out, clock)
    if _can_move(out, environment):
        from swarm.console.live import LiveConsole

        return LiveConsole(out, clock)
    from swarm.console.plain import PlainConsole

    return PlainConsole(out, clock)


def _can_move(out: TextIO, environment: Mapping[str, str]) -> bool:
    if environment.get("CI", "").lower() not in ("", "0", "false") or environment.get("TERM", "") == "dumb":
        return False
    try:
        return out.isatty()
    except (AttributeError, ValueError):
        return False
