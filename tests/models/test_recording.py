from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swarm.core.chat import (
    Conversation,
    Message,
    ModelFailed,
    Opaque,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
    Turn,
    TurnLimits,
    Usage,
)
from swarm.core.errors import ProviderError, UsageError
from swarm.models.failures import ProviderFailed
from swarm.models.recording import FILE, Heading, RecordedModel, Recorder, ReplayedModel, Traffic, read_recording
from tests.fakes import FakeModel, says

HEADING = Heading("a_swarm", "tiny", "parallel")
TOOLS = [ToolSpec("probe", "probes", {"type": "object"})]
LIMITS = TurnLimits()
START = Conversation("api", "claude-x", "Charter with hunter22.", (Message("user", (Text("go hunter22"),)),))
SECOND = START.plus(Message("assistant", (ToolCall("c1", "probe", {}),))).plus(
    Message("user", (ToolResult("c1", "found hunter22"),))
)
THOUGHT = Turn(
    (Opaque({"type": "thinking", "thinking": "hm", "signature": "s"}), ToolCall("c1", "probe", {"a": [1, "é"]})),
    "tool_use",
    Usage(11, 9, 300, 40),
    "claude-x",
)


def mask(text: str) -> str:
    return text.replace("hunter22", "«masked»")


async def record(folder: Path, *steps: Any) -> None:
    model = RecordedModel(FakeModel(*steps, provider="anthropic"), Recorder(folder, HEADING, mask))
    assert model.provider == "anthropic"
    for number in range(len(steps)):
        conversation = START if number < len(steps) - 1 else SECOND
        try:
            await model.next_turn(conversation, TOOLS, LIMITS)
        except ModelFailed as error:
            assert error is steps[number]
    await model.close()


def replay(folder: Path) -> ReplayedModel:
    return ReplayedModel(read_recording(folder, HEADING), mask)


async def test_turns_and_failures_come_again_as_they_were(tmp_path: Path):
    busy = ProviderFailed("HTTP 529", retryable=True, retry_after_s=7.0)
    await record(tmp_path / "r", busy, THOUGHT, says("done"))
    model = replay(tmp_path / "r")
    assert model.provider == "anthropic"
    with pytest.raises(ProviderFailed, match="529") as caught:
        await model.next_turn(START, TOOLS, LIMITS)
    assert caught.value.retryable and caught.value.retry_after_s == 0.0  # it was waited for when it was recorded
    assert await model.next_turn(START, TOOLS, LIMITS) == THOUGHT
    assert (await model.next_turn(SECOND, TOOLS, LIMITS)).text == "done"
    with pytest.raises(ProviderError, match=r"no answer is recorded for api \(claude-x\) after 3 messages"):
        await model.next_turn(SECOND, TOOLS, LIMITS)


async def test_what_was_not_tried_again_still_asks_to_wait(tmp_path: Path):
    limit = ProviderFailed("HTTP 429", retryable=True, retry_after_s=3600.0)
    model = RecordedModel(FakeModel(limit), Recorder(tmp_path, HEADING, mask))
    with pytest.raises(ModelFailed):
        await model.next_turn(START, TOOLS, LIMITS)
    with pytest.raises(ProviderFailed) as caught:
        await replay(tmp_path).next_turn(START, TOOLS, LIMITS)
    assert caught.value.retry_after_s == 3600.0


async def test_secrets_are_masked_and_only_what_is_new_is_kept(tmp_path: Path):
    await record(tmp_path, THOUGHT, says("hunter22 was there"))
    text = (tmp_path / FILE).read_text()
    assert "hunter22" not in text and text.count("«masked»") == 4
    head, first, second = [json.loads(line) for line in text.splitlines()]
    assert head == {
        "kind": "recording",
        "format": 1,
        "swarm": "a_swarm",
        "target": "tiny",
        "pattern": "parallel",
        "only": [],
    }
    assert first["tools"] == ["probe"] and first["from"] == 0
    assert (second["from"], len(second["new"])) == (1, 2) and "system" not in second


async def test_a_resumed_run_passes_over_what_it_has_had_and_records_on(tmp_path: Path):
    await record(tmp_path, THOUGHT, says("done"))
    assert (await replay(tmp_path).next_turn(SECOND, TOOLS, LIMITS)).text == "done"
    third = SECOND.plus(Message("assistant", (Text("x"),))).plus(Message("user", (Text("y"),)))
    more = RecordedModel(FakeModel(says("more")), Recorder(tmp_path, HEADING, mask, going_on=True))
    await more.next_turn(third, TOOLS, LIMITS)
    model = replay(tmp_path)
    texts = [(await model.next_turn(c, TOOLS, LIMITS)).text for c in (START, SECOND, third)]
    assert texts[1:] == ["done", "more"]


async def test_a_recorder_that_was_killed_within_a_line_goes_on_with_a_line_of_its_own(tmp_path: Path):
    await record(tmp_path / "r", THOUGHT, says("done"))
    path = tmp_path / "r" / "recording.jsonl"
    for kept in (len(path.read_bytes()) - 9, 5):  # within the last call, and within the heading
        path.write_bytes(path.read_bytes()[:kept])
        model = RecordedModel(
            FakeModel(says("done"), provider="anthropic"), Recorder(tmp_path / "r", HEADING, mask, going_on=True)
        )
        await model.next_turn(SECOND, TOOLS, LIMITS)
        assert (await replay(tmp_path / "r").next_turn(SECOND, TOOLS, LIMITS)).text == "done"


async def test_a_turn_that_was_recorded_and_not_journaled_is_neither_paid_nor_kept_twice(tmp_path: Path):
    await record(tmp_path, ProviderFailed("HTTP 529", retryable=True), THOUGHT, says("done"))
    path = tmp_path / FILE
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))  # killed after the first turn
    inner = FakeModel(says("done"), provider="anthropic")
    model = RecordedModel(inner, Recorder(tmp_path, HEADING, mask, going_on=True))
    assert await model.next_turn(START, TOOLS, LIMITS) == THOUGHT
    assert inner.seen == []
    assert (await model.next_turn(SECOND, TOOLS, LIMITS)).text == "done"
    assert inner.seen == [SECOND]
    calls = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    assert ["turn" in call for call in calls] == [False, True, True]
    played = replay(tmp_path)
    with pytest.raises(ProviderFailed):
        await played.next_turn(START, TOOLS, LIMITS)
    assert [(await played.next_turn(c, TOOLS, LIMITS)).text for c in (START, SECOND)] == ["", "done"]


@pytest.mark.parametrize("change", [{"agent": "other"}, {"model": "claude-y"}, {"system": "Another charter."}])
async def test_what_is_asked_otherwise_is_asked(tmp_path: Path, change: dict[str, str]):
    await record(tmp_path, THOUGHT, says("done"))
    other = RecordedModel(FakeModel(says("new")), Recorder(tmp_path, HEADING, mask, going_on=True))
    assert (await other.next_turn(replace(SECOND, **change), TOOLS, LIMITS)).text == "new"
    told = SECOND.plus(Message("assistant", (Text("x"),))).plus(Message("user", (Text("y"),)))
    again = RecordedModel(FakeModel(says("new")), Recorder(tmp_path, HEADING, mask, going_on=True))
    assert (await again.next_turn(told, TOOLS, LIMITS)).text == "new"


async def test_counts_come_again_as_they_were(tmp_path: Path):
    class Counting(FakeModel):
        async def count_tokens(self, conversation: Conversation, tools: Any) -> int | None:
            return 1_234 if len(conversation.messages) == 1 else None

    model = RecordedModel(Counting(says("done"), provider="anthropic"), Recorder(tmp_path / "r", HEADING, mask))
    assert (await model.count_tokens(START, TOOLS), await model.count_tokens(SECOND, TOOLS)) == (1_234, None)
    await model.next_turn(START, TOOLS, LIMITS)
    again = replay(tmp_path / "r")
    assert (await again.count_tokens(START, TOOLS), await again.count_tokens(SECOND, TOOLS)) == (1_234, None)
    assert (await again.next_turn(START, TOOLS, LIMITS)).text == "done"


async def test_two_agents_and_two_models_are_kept_apart(tmp_path: Path):
    other = Conversation("security", "claude-x", "s", START.messages)
    fallback = Conversation("api", "claude-y", "s", START.messages)
    model = RecordedModel(FakeModel(says("one"), says("two"), says("three")), Recorder(tmp_path, HEADING, mask))
    for conversation in (START, other, fallback):
        await model.next_turn(conversation, TOOLS, LIMITS)
    again = replay(tmp_path)
    told = [(await again.next_turn(c, TOOLS, LIMITS)).text for c in (fallback, other, START)]
    assert told == ["three", "two", "one"]


async def test_another_charter_or_other_tools_are_told(tmp_path: Path):
    await record(tmp_path, THOUGHT)
    for conversation, tools in ((Conversation("api", "claude-x", "new", SECOND.messages), TOOLS), (SECOND, [])):
        with pytest.raises(ProviderError, match="another charter or other tools"):
            await replay(tmp_path).next_turn(conversation, tools, LIMITS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "there is no recording.jsonl; make one with --record"),
        ("{ half", "cannot be read"),
        ("", "no recording of this version"),
        ('{"kind": "turn"}', "no recording of this version"),
        ('{"kind": "recording", "format": 99}', "no recording of this version"),
        (json.dumps({**HEADING.record(), "target": "other"}), "target is 'other' there and 'tiny' here"),
    ],
)
def test_wrong_recordings_are_one_clear_line(tmp_path: Path, text: str | None, words: str):
    if text is not None:
        (tmp_path / FILE).write_text(text)
    with pytest.raises(UsageError) as caught:
        read_recording(tmp_path, HEADING)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_recording_is_not_written_over_nor_into_nothing(tmp_path: Path):
    Recorder(tmp_path, HEADING, mask)
    with pytest.raises(UsageError, match="holds a recording already"):
        Recorder(tmp_path, HEADING, mask)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        Recorder(tmp_path / "file", HEADING, mask)


def test_traffic_makes_the_model_that_is_wanted(tmp_path: Path):
    live = FakeModel()
    assert Traffic(HEADING).model(lambda: live, mask) is live
    assert isinstance(Traffic(HEADING, record=tmp_path).model(lambda: live, mask), RecordedModel)

    def never() -> FakeModel:
        raise AssertionError("a replay needs no provider")

    assert isinstance(Traffic(HEADING, replay=tmp_path).model(never, mask), ReplayedModel)
