"""A Claude by script for whole runs: looks round, scans, thinks, proposes patches of its own, submits.

It is a director of the strict server: each turn follows from the request alone, as with the real one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from swarm.models.untrusted import unmark
from tests.strict_server import Say, Step, text, thinking, tool_use

Call = tuple[str, dict[str, Any]]
_NAME = re.compile(r"^You are (\S+), ", re.MULTILINE)
FLAT = {"input_tokens": 900, "output_tokens": 120}
_CACHED_FROM = 1_024  # tokens of the shortest prefix that is cached
_CHARS = 4  # a token, as in swarm's own estimates
_AROUND, _AT_ONCE = 25, 3  # lines before and after; reads of one turn
_SLOW = frozenset({"measure_load", "sweep_concurrency", "profile_requests"})


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as the model reads it."""

    body: dict[str, Any]

    @property
    def system(self) -> str:
        return "".join(block["text"] for block in self.body["system"])

    @property
    def agent(self) -> str:
        found = _NAME.search(self.system)
        assert found is not None, self.system[:80]
        return found[1]

    @property
    def tools(self) -> set[str]:
        return {tool["name"] for tool in self.body["tools"]}

    @property
    def turn(self) -> int:
        """How many turns it has had."""
        return sum(message["role"] == "assistant" for message in self.body["messages"])

    @property
    def file(self) -> str:
        """The first file of the patch that was refused."""
        found = re.search(r"^diff --git a/(\S+) ", self.first, re.MULTILINE)
        assert found is not None, self.first
        return found[1]

    @property
    def first(self) -> str:
        """The words that the conversation began with."""
        return "".join(block["text"] for block in self.body["messages"][0]["content"] if block["type"] == "text")

    def calls(self) -> dict[str, str]:
        """Names of the calls so far by their id."""
        return {block["id"]: block["name"] for block in self.blocks() if block["type"] == "tool_use"}

    def results(self, name: str) -> list[str]:
        """The answers to one tool's calls."""
        names = self.calls()
        return [
            str(block["content"])
            for block in self.blocks()
            if block["type"] == "tool_result" and names.get(block["tool_use_id"]) == name
        ]

    def findings(self) -> dict[str, dict[str, Any]]:
        """What the tools reported, by id; those of a shortened list with their rule alone."""
        found: dict[str, dict[str, Any]] = {}
        for data in self.answers():
            found |= {one["id"]: one for one in data.get("findings", []) if isinstance(one, dict)}
            for group in data.get("more_findings", []):
                found |= {one: {**group, "id": one} for one in group["ids"]}
        return found

    def said(self) -> Iterator[set[str]]:
        """The names of each turn's calls."""
        for message in self.body["messages"]:
            if message["role"] == "assistant":
                yield {block["name"] for block in message["content"] if block["type"] == "tool_use"}

    def unread(self) -> Iterator[dict[str, Any]]:
        """The lines around each finding, as arguments of `read_file`; none that was read already."""
        made = [block["input"] for block in self.blocks() if block["type"] == "tool_use"]
        for finding in self.findings().values():
            file, _, lines = str(finding.get("place", "")).partition(":")
            if lines:
                first = max(1, int(lines.partition("-")[0]) - _AROUND)
                wanted = {"file": file, "first_line": first, "last_line": first + 2 * _AROUND}
                if wanted not in made:
                    made.append(wanted)
                    yield wanted

    def errors(self) -> list[dict[str, Any]]:
        """Results that say what was wrong."""
        return [block for block in self.blocks() if block["type"] == "tool_result" and block.get("is_error")]

    def answers(self) -> Iterator[dict[str, Any]]:
        """Results that are JSON objects."""
        for block in self.blocks():
            if block["type"] == "tool_result":
                try:
                    data = json.loads(unmark(str(block["content"])))
                except ValueError:
                    continue
                if isinstance(data, dict):
                    yield data

    def blocks(self) -> Iterator[dict[str, Any]]:
        for message in self.body["messages"]:
            if isinstance(message["content"], list):
                yield from message["content"]


@dataclass
class ScriptedClaude:
    """`propose` gives calls to make before submitting, by what was seen; `revise` the arguments of `submit_edit`.

    `fixes` chooses which mendable findings are asked for; `leave_out` the findings that are not stood behind.
    `usage` gives the tokens of a turn. With `reads` it reads the code at each finding first, so many turns at most.
    """

    propose: Callable[[Seen], Sequence[Call]] = lambda seen: ()
    revise: Callable[[Seen], dict[str, Any]] = lambda seen: {"withdraw": "no better patch is known"}
    fixes: Callable[[dict[str, Any]], bool] = lambda finding: True
    leave_out: Callable[[dict[str, Any]], bool] = lambda finding: False
    drop: Callable[[Seen], list[dict[str, str]]] = lambda seen: []
    usage: Callable[[Seen, Sequence[Any]], dict[str, int]] = lambda seen, said: dict(FLAT)
    skipped: frozenset[str] = _SLOW
    reads: int = 0

    def __call__(self, body: dict[str, Any]) -> Step:
        seen = Seen(body)
        if "submit_plan" in seen.tools:
            return self._coordinate(seen)
        if "submit_edit" in seen.tools:
            if not seen.results("read_file"):
                return self._say(seen, [("read_file", {"file": seen.file})], "How it stands now.")
            return self._say(seen, [("submit_edit", self.revise(seen))])
        return self._specialise(seen)

    def _specialise(self, seen: Seen) -> Say:
        called = set(seen.calls().values())
        scans = sorted(
            name
            for name in seen.tools - self.skipped
            if name.startswith(("find_", "measure_", "run_probes", "list_routes", "draft_"))
        )
        if scans and not called & set(scans):
            return self._say(seen, [(name, {}) for name in scans], "Scanning first.")
        places = list(seen.unread())[:_AT_ONCE]
        if places and len([message for message in seen.said() if "read_file" in message]) < self.reads:
            return self._say(seen, [("read_file", place) for place in places], "What stands there?")
        proposed = "propose_edit" in seen.tools and not any(c.startswith("c-own") for c in seen.calls())
        own = list(self.propose(seen)) if proposed else []
        if own:
            return self._say(seen, own, "These I write myself.", "c-own")
        findings = seen.findings()
        stood = [one for one, finding in findings.items() if not self.leave_out(finding)]
        fixes = [one for one in stood if findings[one].get("mendable") and self.fixes(findings[one])]
        submission = {"finding_ids": stood, "fixes": fixes, "new_findings": [], "notes": "Scanned and read."}
        return self._say(seen, [("submit", submission)])

    def _coordinate(self, seen: Seen) -> Say:
        if not seen.results("read_findings"):
            return self._say(seen, [("read_findings", {})])
        order = next(data["default_plan"] for data in seen.answers() if "default_plan" in data)
        dropped = self.drop(seen)
        gone = {one["finding_id"] for one in dropped}
        plan = {"order": [one for one in order if one not in gone], "dropped": dropped, "notes": "As merged."}
        return self._say(seen, [("submit_plan", plan)])

    def _say(self, seen: Seen, calls: Sequence[Call], words: str = "", prefix: str = "c") -> Say:
        blocks = [thinking(f"turn {seen.turn}", f"sig-{seen.turn}")]
        if words:
            blocks.append(text(words))
        blocks += [tool_use(f"{prefix}-{seen.turn}-{n}", name, given) for n, (name, given) in enumerate(calls)]
        return Say(blocks, "tool_use", self.usage(seen, blocks))


class CountedTokens:
    """Usage as a provider with a prompt cache would tell it, a token for four characters.

    What a call has in common with the same agent's call before is read from the cache, the rest is written to it.
    """

    def __init__(self) -> None:
        self._before: dict[str, str] = {}

    def __call__(self, seen: Seen, said: Sequence[Any]) -> dict[str, int]:
        marks = re.compile(r', "cache_control": \{[^}]*\}')
        text = marks.sub("", json.dumps([seen.body["tools"], seen.body["system"], seen.body["messages"]]))
        key = f"{seen.agent} {seen.body['model']} {sorted(seen.tools)}"
        before = self._before.get(key, "")
        common = _common(before, text)
        self._before[key] = text
        whole, read = len(text) // _CHARS, common // _CHARS
        read = read if read >= _CACHED_FROM else 0
        written = whole - read if whole >= _CACHED_FROM else 0
        return {
            "input_tokens": whole - read - written,
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": written,
            "output_tokens": len(json.dumps(list(said))) // _CHARS,
        }


def _common(one: str, other: str) -> int:
    """How long the beginning is that both share."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return low


def patch(
    finding_id: str, file: str, old: str | None, new: str, title: str = "Write it otherwise", **more: Any
) -> Call:
    """A call of `propose_edit` with one edit."""
    why = "The finding says what is wrong; nothing that a caller sees changes."
    edit = {"file": file, "new": new, **({} if old is None else {"old": old})}
    return "propose_edit", {"finding_id": finding_id, "title": title, "why": why, "edits": [edit], **more}
