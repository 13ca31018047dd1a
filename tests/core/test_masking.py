"""Masking: every string of a value, and nothing else of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from swarm.core.events import GateFinished, Note, PhaseStarted, Progress, ToolFinished
from swarm.core.masking import masked


def mask(text: str) -> str:
    return text.replace("s3cret", "***")


def test_every_string_of_an_event_is_masked() -> None:
    events = (
        Progress("uses s3cret"),
        ToolFinished("agent", "read_file", 0.5, True, "KEY = 's3cret'"),
        GateFinished("starts", ("001-s3cret", "002"), None, "log: s3cret", 1.5),
        Note("s3cret s3cret"),
    )
    assert tuple(masked(event, mask) for event in events) == (
        Progress("uses ***"),
        ToolFinished("agent", "read_file", 0.5, True, "KEY = '***'"),
        GateFinished("starts", ("001-***", "002"), None, "log: ***", 1.5),
        Note("*** ***"),
    )
    assert events[0] == Progress("uses s3cret")
    assert masked(PhaseStarted("verify"), mask) == PhaseStarted("verify")


@dataclass(frozen=True, slots=True)
class Box:
    content: Any


def test_it_reaches_what_lies_deep_and_leaves_what_it_is_told_to() -> None:
    deep = Box((Box({"s3cret": ["s3cret", 1, None]}), 2.5))
    assert masked(deep, mask) == Box((Box({"***": ["***", 1, None]}), 2.5))
    inner = Note("s3cret")
    assert masked(Box((inner, "s3cret")), mask, untouched=(Note,)) == Box((inner, "***"))
    assert masked(("s3cret",), mask) == ("***",)
