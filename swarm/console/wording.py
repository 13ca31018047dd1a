"""Each event as one plain line for people, or nothing where it is too small to tell."""

from __future__ import annotations

import re

from swarm.core import events as e
from swarm.core.wording import counted, seconds

_UNSHOWABLE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?"  # escape sequences
    r"|[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]"  # controls, half characters, direction
)


def clean(text: str, limit: int = 0) -> str:
    """One line that cannot move the cursor, colour the screen or turn the text around."""
    line = " ".join(_UNSHOWABLE.sub(" ", text).split())
    return line if not limit or len(line) <= limit else line[: limit - 1].rstrip() + "…"


def is_failure(event: e.Event) -> bool:
    """Whether the event should be repeated at the end, where it is seen."""
    match event:
        case e.AgentFinished(status=status):
            return status != "done"
        case e.RunFinished(status=status):
            return status == "failed"
        case _:
            return False


def line_of(event: e.Event) -> str:
    """The line, or "" for an event that only the live view shows."""
    match event:
        case e.RunStarted():
            return clean(f"run {event.run_id}: {event.swarm} on {event.target}, {event.pattern}, "
                         f"provider {event.provider} ({event.reason})")  # fmt: skip
        case e.PhaseStarted():
            return f"── {event.phase}"
        case e.PhaseFinished():
            return clean(f"   {event.phase} done in {seconds(event.duration_s)}{_after(event.summary)}")
        case e.AgentStarted():
            return clean(f"{event.agent} starts ({event.role}, {event.model}, {event.provider})")
        case e.AgentFinished():
            words = (
                f"{event.agent} {event.status}: {counted(event.findings, 'finding')} in {seconds(event.duration_s)}"
            )
            return clean(words + _after(event.note))
        case e.ToolFinished(ok=False):
            return clean(f"{event.agent}: {event.tool} failed{_after(event.summary)}", 200)
        case e.TurnFailed(again_in_s=wait_s) if wait_s is not None:
            return clean(f"{event.agent}: {event.error}; asked again in {seconds(wait_s)}", 200)
        case e.TurnFinished() | e.TurnFailed() | e.ToolStarted() | e.ToolFinished():
            return ""
        case e.FindingReported():
            return clean(f"{event.agent} found [{event.severity}] {event.title}{_after(event.place)}", 200)
        case _:
            return _proof_line(event)


def _proof_line(event: e.Event) -> str:
    match event:
        case e.GateFinished():
            word = "–" if event.passed is None else "passed" if event.passed else "FAILED"
            many = event.patches[0] if len(event.patches) == 1 else counted(len(event.patches), "patch", "patches")
            took = f" ({seconds(event.duration_s)})" if event.duration_s >= 0.001 else ""
            return clean(f"gate {event.gate} {word}: {many}{_after(event.detail)}{took}", 200)
        case e.PatchJudged():
            word = "accepted" if event.accepted else "rejected"
            return clean(f"{word} {event.patch}: {event.title}{'' if event.accepted else _after(event.reason)}", 240)
        case e.Progress():
            return clean(event.message)
        case e.Note():
            return clean(f"note: {event.message}")
        case e.RunFinished():
            patches = f"{event.accepted} accepted, {event.rejected} rejected"
            return clean(f"{event.status} in {seconds(event.duration_s)}: {patches} · {event.folder}")
        case _:
            return ""


def _after(text: str) -> str:
    return f" · {text}" if text else ""
