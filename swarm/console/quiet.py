"""Hardly a word: only what needs a look, and the end."""

from __future__ import annotations

from typing import TextIO

from swarm.console.plain import PlainConsole
from swarm.console.wording import is_failure
from swarm.core.events import Event, Note, RunFinished
from swarm.core.ports import Clock


def quiet_console(out: TextIO, clock: Clock) -> PlainConsole:
    """Plain lines of notes, failures and the run's end alone."""
    return PlainConsole(out, clock, keep=_matters)


def _matters(event: Event) -> bool:
    return isinstance(event, Note | RunFinished) or is_failure(event)
