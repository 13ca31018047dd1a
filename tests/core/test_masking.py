"""Masking: every string of a value, and nothing else of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from swarm.core.events import GateFinished, Note, PhaseStarted, Progress, ToolFinished
from swarm.core.masking import masked, passwords, tells_secret, without_keys, without_password


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


def test_passwords_within_addresses():
    text = "postgresql+asyncpg://app:s3cr3t-w0rd@db:5432/leads and redis://:only-this@cache/0, http://host/a:b@c"
    assert passwords(text) == ("s3cr3t-w0rd", "only-this")
    assert without_password(text).startswith("postgresql+asyncpg://app:«masked»@db:5432/leads and redis://:«masked»@")
    assert passwords("postgresql://postgres:postgres@db/x mysql://root:password@db/x") == ()
    assert tells_secret("hook_secret") and tells_secret("SIGNING_KEY") and not tells_secret("DATABASE_URL")


def test_keys_are_known_by_their_form_also_where_they_are_cut_short() -> None:
    told = (
        'POST api.telegram.org/bot123456789:AAHkpQ2rBk_WQkHd/send: path "/bot123456789:AAHkpQ2rB…" became "/bot/send"'
    )
    assert without_keys(told) == ('POST api.telegram.org/bot«masked»/send: path "/bot«masked»…" became "/bot/send"')
    assert without_keys("Authorization: Bearer sk-test0123456789abc") == "Authorization: Bearer «masked»"
    assert without_keys("risk-based ordering took 12:AA") == "risk-based ordering took 12:AA"
