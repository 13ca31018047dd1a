"""What models were asked and what they answered, kept in a folder, and played again without a network or a key.

The folder holds `recording.jsonl`: a heading, then a line a call, in order. A call is what was new to the model since
its agent's call before, and the whole turn or the failure that came of it; secrets are masked. A replayed run goes
by its agents' order of calls: what tools answer may differ in figures, and the model's turns are those of then.
A run that was cut off records on when it is resumed. A turn that is there and in no journal, the run having been
killed in between, is taken from there: it was paid for, and none stands in a recording twice.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swarm.core.appended import cut_torn_line
from swarm.core.chat import Conversation, Message, ModelFailed, ToolSpec, Turn, TurnLimits
from swarm.core.chat_codec import Mask, messages_record, turn_of, turn_record
from swarm.core.errors import ProviderError, UsageError
from swarm.core.ports import Model
from swarm.models.failures import ProviderFailed

FILE = "recording.jsonl"
FORMAT = 1
_SHOWN = 12  # characters of a digest


@dataclass(frozen=True, slots=True)
class Heading:
    """Of which run a recording is; one with other words here is of no use to a run."""

    swarm: str
    target: str
    pattern: str
    only: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """As the first line of the file."""
        own = {"swarm": self.swarm, "target": self.target, "pattern": self.pattern, "only": list(self.only)}
        return {"kind": "recording", "format": FORMAT, **own}


@dataclass(frozen=True, slots=True)
class _Said:
    """An agent's messages so far; a digest for each, of it and all before it."""

    messages: tuple[Message, ...] = ()
    digests: tuple[str, ...] = ()


class Recorder:
    """Appends to a recording. Raises UsageError where the folder cannot be written, or holds one already.

    `going_on`: the run was cut off and goes on, and so does its recording.
    """

    def __init__(self, folder: Path, heading: Heading, mask: Mask, *, going_on: bool = False) -> None:
        self._path, self._mask = folder / FILE, mask
        self._seen: dict[str, _Said] = {}
        self._kept: dict[str, Mapping[str, Any]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if self._path.exists() and not going_on:
                raise UsageError(f"--record {folder}: it holds a recording already; name another folder")
            cut_torn_line(self._path)
            if not self._path.exists() or not self._path.stat().st_size:
                self._append(heading.record())
            elif going_on:
                calls = read_recording(folder, heading, "--record").calls.values()
                self._kept = {str(one.get("asked")): one["turn"] for each in calls for one in each if "turn" in one}
        except OSError as error:
            raise UsageError(
                f"--record {folder}: cannot be written ({error.strerror}); name another folder"
            ) from None

    def kept(self, conversation: Conversation, tools: Sequence[ToolSpec]) -> Turn | None:
        """The turn that an earlier attempt at this run has had of this very call; None for a call that is new."""
        if not self._kept:
            return None
        charter = charter_digest(conversation, tools, self._mask)
        said, _, _ = self._grown(conversation)
        record = self._kept.pop(_asked(conversation, charter, said), None)
        return None if record is None else turn_of(record)

    def keep(self, conversation: Conversation, tools: Sequence[ToolSpec], answer: Turn | ModelFailed) -> None:
        """One call and what came of it."""
        mask, agent = self._mask, conversation.agent
        said, same, new = self._grown(conversation)
        charter = charter_digest(conversation, tools, mask)
        record: dict[str, Any] = {
            "kind": "call",
            **_where(conversation),
            "charter": charter,
            "asked": _asked(conversation, charter, said),
            "from": same,
            "new": new,
        }
        if not same:
            record["system"] = mask(conversation.system)
            record["tools"] = [tool.name for tool in tools]
        if isinstance(answer, ModelFailed):
            wish_s: float | None = getattr(answer, "retry_after_s", None)
            failed = {"error": mask(str(answer)), "retryable": answer.retryable, "retry_after_s": wish_s}
            record["failed"] = failed
        else:
            record["turn"] = turn_record(agent, 0, answer, mask)
        self._seen[agent] = said
        self._append(record)

    def keep_count(self, conversation: Conversation, tokens: int | None) -> None:
        """What a turn would read, as it was counted."""
        self._append({"kind": "count", **_where(conversation), "tokens": tokens})

    def _grown(self, conversation: Conversation) -> tuple[_Said, int, list[dict[str, Any]]]:
        """What is said by now, how many messages of it were said in the agent's call before, and the others."""
        before = self._seen.get(conversation.agent, _Said())
        same = _common(before.messages, conversation.messages)
        new = messages_record(conversation.messages[same:], self._mask)
        digests = list(before.digests[:same])
        for message in new:
            digests.append(_digest(digests[-1] if digests else "", json.dumps(message, sort_keys=True, default=str)))
        return _Said(conversation.messages, tuple(digests)), same, new

    def _append(self, record: Mapping[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(self._mask(json.dumps(record, ensure_ascii=False, default=str)) + "\n")


class RecordedModel:
    """A Model whose calls are kept."""

    def __init__(self, inner: Model, recorder: Recorder) -> None:
        self._inner, self._recorder = inner, recorder
        self.provider = inner.provider

    async def next_turn(self, conversation: Conversation, tools: Sequence[ToolSpec], limits: TurnLimits) -> Turn:
        """The inner model's turn or failure; the turn of an earlier attempt where it was recorded and not heard."""
        known = self._recorder.kept(conversation, tools)
        if known is not None:
            return known
        try:
            turn = await self._inner.next_turn(conversation, tools, limits)
        except ModelFailed as error:
            self._recorder.keep(conversation, tools, error)
            raise
        self._recorder.keep(conversation, tools, turn)
        return turn

    async def count_tokens(self, conversation: Conversation, tools: Sequence[ToolSpec]) -> int | None:
        """The inner model's count."""
        tokens = await self._inner.count_tokens(conversation, tools)
        self._recorder.keep_count(conversation, tokens)
        return tokens

    async def close(self) -> None:
        """Close the inner model."""
        await self._inner.close()


@dataclass(slots=True)
class Recording:
    """A recording that was read: calls by agent and model, in order; counts by the number of messages as well."""

    folder: Path
    calls: dict[tuple[str, str], deque[Mapping[str, Any]]] = field(default_factory=dict)
    counts: dict[tuple[str, str, int], int | None] = field(default_factory=dict)


def read_recording(folder: Path, heading: Heading, word: str = "--replay") -> Recording:
    """Raises UsageError, in one line that begins with `word`, where there is none, or it is of another run."""
    path = folder / FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        records = [json.loads(line) for line in lines if line]
    except OSError:
        raise UsageError(f"{word} {folder}: there is no {FILE}; make one with --record {folder}") from None
    except ValueError:
        raise UsageError(f"{word} {folder}: {FILE} cannot be read as a recording; make it anew") from None
    first = records[0] if records and isinstance(records[0], dict) else {}
    if first.get("kind") != "recording" or first.get("format") != FORMAT:
        raise UsageError(f"{word} {folder}: {FILE} is no recording of this version of swarm; make it anew")
    for name, wanted in heading.record().items():
        if first.get(name) != wanted:
            raise UsageError(
                f"{word} {folder}: it is of another run: {name} is {first.get(name)!r} there and {wanted!r} here"
            )
    recording = Recording(folder)
    for record in records[1:]:
        agent, model = str(record.get("agent")), str(record.get("model"))
        if record.get("kind") == "count":
            recording.counts[agent, model, record["messages"]] = record["tokens"]
        else:
            recording.calls.setdefault((agent, model), deque()).append(record)
    return recording


class ReplayedModel:
    """A Model that answers from a recording. Raises ProviderError where that holds no answer."""

    provider = "anthropic"  # of whom the turns are, and whose prices they had

    def __init__(self, recording: Recording, mask: Mask) -> None:
        self._recording, self._mask = recording, mask

    async def next_turn(self, conversation: Conversation, tools: Sequence[ToolSpec], limits: TurnLimits) -> Turn:
        """The recorded turn; a recorded failure is raised again."""
        del limits
        where = f"--replay {self._recording.folder}"
        agent, model = conversation.agent, conversation.model
        waiting = self._recording.calls.get((agent, model), deque())
        while waiting and waiting[0]["messages"] < len(conversation.messages):
            waiting.popleft()  # a resumed run has had these turns
        if not waiting or waiting[0]["messages"] != len(conversation.messages):
            raise ProviderError(
                f"{where}: no answer is recorded for {agent} ({model}) after {len(conversation.messages)} messages; "
                "the run went another way than the recorded one"
            )
        record = waiting.popleft()
        if record["charter"] != charter_digest(conversation, tools, self._mask):
            raise ProviderError(f"{where}: {agent} has another charter or other tools than then; record it anew")
        failed = record.get("failed")
        if failed is None:
            return turn_of(record["turn"])
        again = bool(waiting) and waiting[0]["messages"] == record["messages"]
        raise ProviderFailed(
            str(failed["error"]),
            retryable=bool(failed["retryable"]),
            retry_after_s=0.0 if again else failed["retry_after_s"],  # it was waited for then
        )

    async def count_tokens(self, conversation: Conversation, tools: Sequence[ToolSpec]) -> int | None:
        """As it was counted then."""
        del tools
        return self._recording.counts.get((conversation.agent, conversation.model, len(conversation.messages)))

    async def close(self) -> None:
        """Nothing is held."""


def _where(conversation: Conversation) -> dict[str, Any]:
    """Which of whose calls it is."""
    return {"agent": conversation.agent, "model": conversation.model, "messages": len(conversation.messages)}


def charter_digest(conversation: Conversation, tools: Sequence[ToolSpec], mask: Callable[[str], str]) -> str:
    """What makes an agent's call another one whatever is said: its system prompt and the names of its tools."""
    return _digest(mask(conversation.system), *(tool.name for tool in tools))[:_SHOWN]


def _asked(conversation: Conversation, charter: str, said: _Said) -> str:
    """One and the same for calls that ask the same model the very same."""
    return _digest(conversation.agent, conversation.model, charter, *said.digests[-1:])[: 2 * _SHOWN]


def _digest(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogatepass")).hexdigest()


def _common(known: Sequence[Message], now: Sequence[Message]) -> int:
    """How many messages at the beginning are the same."""
    for number, (one, other) in enumerate(zip(known, now, strict=False)):
        if one is not other and one != other:
            return number
    return min(len(known), len(now))


@dataclass(frozen=True, slots=True)
class Traffic:
    """What becomes of a run's model traffic: kept in `record`, taken from `replay`, or neither."""

    heading: Heading
    record: Path | None = None
    replay: Path | None = None
    going_on: bool = False

    def model(self, live: Callable[[], Model], mask: Mask) -> Model:
        """The model to ask; `live` makes the one of the provider. Raises UsageError."""
        if self.replay is not None:
            return ReplayedModel(read_recording(self.replay, self.heading), mask)
        if self.record is not None:
            recorder = Recorder(self.record, self.heading, mask, going_on=self.going_on)
            return RecordedModel(live(), recorder)
        return live()
