"""Bad days of a provider or a model, by chance: every fault that is known, thrown at a Claude by script."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.scripted_claude import FLAT, Call, ScriptedClaude, Seen, patch
from tests.strict_server import Break, Raw, Refuse, Say, Step, text, thinking, tool_use

GET = "requests.get(f\"{os.environ['STOCK_URL']}/stock/{sku}\")"


@dataclass
class Troubled:
    """A director that plays a good model, and a bad day of the provider or the model by chance."""

    chance: random.Random
    rate: float
    thrown: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        writes = self.chance.random() < 0.1  # a proof of its own patch takes most of a run's time
        self._claude = ScriptedClaude(_own if writes else lambda seen: (), fixes=lambda finding: False)

    def __call__(self, body: dict[str, Any]) -> Step:
        if self.chance.random() >= self.rate:
            return self._claude(body)
        name = self.chance.choice(sorted(FAULTS))
        self.thrown[name] += 1
        return FAULTS[name](body, self)

    def counts(self, body: dict[str, Any]) -> int | Refuse:
        """What a request reads, as its turn will tell; not to be had at times."""
        if self.chance.random() >= self.rate:
            return FLAT["input_tokens"]
        return Refuse(self.chance.choice([404, 429, 529]), "overloaded_error")


def _own(seen: Seen) -> list[Call]:
    ids = [one for one, finding in seen.findings().items() if finding.get("rule") == "missing-timeout"]
    return [patch(one, "app.py", GET, f"{GET[:-1]}, timeout=5)") for one in ids]


def _half(body: dict[str, Any], day: Troubled) -> Step:
    return Say([thinking("hm"), tool_use("half", "list_files", {"folder": "." * 40})], "max_tokens", cut_json=True)


def _repeats(body: dict[str, Any], day: Troubled) -> Step:
    number = Seen(body).turn
    return Say([tool_use(f"same-{number}-{n}", "list_files", {}) for n in range(3)], "tool_use")


def _many(body: dict[str, Any], day: Troubled) -> Step:
    number = Seen(body).turn
    return Say([tool_use(f"many-{number}-{n}", "read_file", {"file": f"{n}.py"}) for n in range(20)], "tool_use")


def _wrong(body: dict[str, Any], day: Troubled) -> Step:
    number = Seen(body).turn
    given: list[tuple[str, dict[str, Any]]] = [
        ("no_such_tool", {}), ("read_file", {"fiel": 1}), ("submit", {"finding_ids": ["0000000000"], "fixes": 3}),
        ("propose_edit", {"edits": []}), ("submit_plan", {"order": ["x", "x"]}),
    ]  # fmt: skip
    return Say([tool_use(f"w-{number}-{n}", name, words) for n, (name, words) in enumerate(given)], "tool_use")


def _drops_all(body: dict[str, Any], day: Troubled) -> Step:
    empty = {"finding_ids": [], "fixes": [], "new_findings": [], "notes": "Nothing is wrong."}
    return Say([tool_use(f"d-{Seen(body).turn}", "submit", empty)], "tool_use")


FAULTS: dict[str, Any] = {
    "429": lambda body, day: Refuse(429, "rate_limit_error", {"retry-after": day.chance.choice(["0", "0.1", "900"])}),
    "529": lambda body, day: Refuse(529, "overloaded_error"),
    "500": lambda body, day: Refuse(500, "api_error"),
    "401": lambda body, day: Refuse(401, "authentication_error"),
    "404": lambda body, day: Refuse(404, "not_found_error"),
    "too long": lambda body, day: Refuse(400, "invalid_request_error"),
    "drop": lambda body, day: Break("drop"),
    "stall": lambda body, day: Break("stall"),
    "no end": lambda body, day: Break("end"),
    "error event": lambda body, day: Break("error", day.chance.choice(["overloaded_error", "invalid_request_error"])),
    "no json": lambda body, day: Raw(b"event: message_start\ndata: {oops\n\n"),
    "a page": lambda body, day: Raw(b"<html>502</html>", "text/html"),
    "half a call": _half,
    "refusal": lambda body, day: Say([text("I'd rather not.")], "refusal"),
    "pause": lambda body, day: Say([text("One moment.")], "pause_turn"),
    "pause about nothing": lambda body, day: Say([], "pause_turn"),
    "nameless call": lambda body, day: Say([tool_use("", "list_files", {})], "tool_use"),
    "uncounted": lambda body, day: Say([text("Hm.")], "end_turn", {"input_tokens": 0, "output_tokens": 0}),
    "lingers": lambda body, day: Say([text("Hm.")], "end_turn", lingers_s=1.0),
    "half a character": lambda body, day: Say([tool_use("h", "read_file", {"file": "\ud800"})], "tool_use"),
    "full": lambda body, day: Say([text("…")], "model_context_window_exceeded"),
    "empty": lambda body, day: Say([], "end_turn"),
    "blank": lambda body, day: Say([text(" ")], "end_turn"),
    "chat": lambda body, day: Say([text("All done, I think.")], "end_turn"),
    "unknown reason": lambda body, day: Say([text("x")], "by_itself"),
    "repeats": _repeats,
    "many": _many,
    "wrong": _wrong,
    "twice one id": lambda body, day: Say([tool_use("x", "list_files", {})] * 2, "tool_use"),
    "drops all": _drops_all,
}  # fmt: skip
