"""Results of tools kept beside the conversation: the model sees a digest with a handle, and asks for ranges."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from swarm.core.errors import ToolFailed
from swarm.models.untrusted import unmark
from swarm.tools.tool import SHOWN_CHARS, Answer, Arguments, Tool, as_json, capped
from swarm.tools.workbench import Workbench

READ_ARTIFACT = "read_artifact"
MOST_CHARS = 400_000
STAYS_CHARS = 600  # a result up to this size stays as it is: taking it away would save nothing
_HEAD_CHARS = 2_500
_LINE_CHARS = 600
_MOST_LINES = 400
_SHAPE_KEYS = 24


class Artifacts:
    """Texts by handle. The handle is made of the text, so that a resumed run comes by the same ones."""

    def __init__(self) -> None:
        self._lines: dict[str, tuple[str, ...]] = {}

    def keep(self, text: str) -> str:
        """Keep a text; its handle."""
        handle = "r" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]
        self.restore(handle, text)
        return handle

    def restore(self, handle: str, text: str) -> None:
        """Keep a text under the handle that it has had."""
        if handle not in self._lines:
            self._lines[handle] = as_lines(text[:MOST_CHARS])

    def lines(self, handle: str) -> tuple[str, ...]:
        """Its lines. Raises ToolFailed for a handle that no result named."""
        if handle not in self._lines:
            raise ToolFailed(f"there is no artifact {handle!r}; use the `artifact.handle` that a result named")
        return self._lines[handle]

    def __len__(self) -> int:
        return len(self._lines)


class ReadArtifactArguments(Arguments):
    """Which lines of which artifact."""

    handle: str = Field(description="as a result named it: `artifact.handle`")
    first_line: int = Field(1, ge=1)
    last_line: int | None = Field(None, ge=1, description="inclusive; at most 400 lines come back")
    containing: str = Field("", max_length=200, description="only lines that hold this text, in any case")


class ReadArtifact(Tool):
    """Ranges of the results that were too long, or were taken out of the conversation."""

    name = READ_ARTIFACT
    group = ""  # every agent has it: it shows an agent nothing but what tools have answered
    description = (
        "Reads lines of a result that was kept as an artifact, being long, or that has left the conversation. "
        "Ask for the range that you need, or for the lines that hold a text."
    )
    arguments = ReadArtifactArguments
    ranged = True

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts

    async def run(self, arguments: ReadArtifactArguments, bench: Workbench) -> Answer:
        """Lines with their numbers. Raises ToolFailed for an unknown handle."""
        del bench
        lines = self._artifacts.lines(arguments.handle)
        last = min(arguments.last_line or len(lines), len(lines))
        wanted = arguments.containing.casefold()
        numbers = [n for n in range(arguments.first_line, last + 1) if wanted in lines[n - 1].casefold()]
        shown = numbers[:_MOST_LINES]
        head = f"{arguments.handle}, {len(shown)} of {len(lines)} lines"
        if len(shown) < len(numbers):
            head += f" ({len(numbers) - len(shown)} more after line {shown[-1]})"
        told = [f"{number}: {lines[number - 1][:_LINE_CHARS]}" for number in shown]
        again = {"artifact": arguments.handle, "lines": [arguments.first_line, last], "containing": wanted}
        return Answer("\n".join([head, *told]), served=again)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a model sees of an answer, and what may stay of it once it has served (empty: it stays whole).

    `handle` and `text` are its artifact: no handle where none was kept, no text where it is `content`.
    """

    content: str
    served: str = ""
    handle: str = ""
    text: str | None = None


def shown(answer: Answer, tool: Tool, artifacts: Artifacts, mask: Callable[[str], str]) -> Shown:
    """An answer as a model is shown it; what is long is kept among `artifacts`. Secrets are masked in all of it."""
    text = mask(answer.text)
    if tool.ranged:
        again = as_json({"seen": "ask for the range again", **answer.served}) if answer.served else ""
        return Shown(capped(text), mask(again))
    if len(text) <= STAYS_CHARS:
        return Shown(text)
    handle = artifacts.keep(text)
    note = {"handle": handle, "lines": len(artifacts.lines(handle)), "characters": len(text)}
    stays = mask(as_json({"seen": f"{READ_ARTIFACT} shows it again", "artifact": note, **answer.served}))
    if len(text) <= SHOWN_CHARS:
        return Shown(text, stays, handle)
    short = answer.short if answer.short is not None else outline(text)
    told = as_json({"artifact": {**note, "note": f"shortened; {READ_ARTIFACT} gives the rest"}, **short})
    return Shown(mask(told), stays, handle, text[:MOST_CHARS])


def handle_of(served: str) -> str:
    """The handle that `Shown.served` names, marked or not; empty where it names none."""
    value = _json(unmark(served))
    artifact = value.get("artifact") if isinstance(value, dict) else None
    return str(artifact.get("handle", "")) if isinstance(artifact, dict) else ""


def outline(text: str) -> dict[str, Any]:
    """Of a text without a short form of its own: `head`, its first lines, and `shape` where it is JSON."""
    found: dict[str, Any] = {}
    value = _json(text)
    if isinstance(value, dict):
        found["shape"] = {str(key): _shape(item) for key, item in list(value.items())[:_SHAPE_KEYS]}
    elif isinstance(value, list):
        found["shape"] = _shape(value)
    head: list[str] = []
    room = _HEAD_CHARS
    for line in as_lines(text):
        room -= len(line[:_LINE_CHARS])
        if room < 0:
            break
        head.append(line[:_LINE_CHARS])
    return {**found, "head": head or [text[:_LINE_CHARS]]}


def as_lines(text: str) -> tuple[str, ...]:
    """The lines of a text; of JSON one for each item of its lists, so that ranges mean something."""
    value = _json(text)
    if isinstance(value, list):
        return tuple(as_json(item) for item in value) or ("[]",)
    if not isinstance(value, dict):
        return tuple(text.splitlines()) or ("",)
    lines: list[str] = []
    for key, item in value.items():
        if isinstance(item, list) and item:
            lines += [f"{key} ({len(item)}):", *(f"  {as_json(one)}" for one in item)]
        elif isinstance(item, str) and "\n" in item:
            lines += [f"{key}:", *(f"  {line}" for line in item.splitlines())]
        else:
            lines.append(f"{key}: {as_json(item)}")
    return tuple(lines) or ("{}",)


def _json(text: str) -> Any:
    if text[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _shape(value: Any) -> str:
    match value:
        case list():
            return f"list of {len(value)}"
        case dict():
            return f"object with {', '.join(list(map(str, value))[:8])}"
        case str():
            return f"text of {len(value)} characters"
        case _:
            return as_json(value)[:40]
