"""The consoles: what they say, when, where, and that nothing breaks them."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

import pytest

from swarm.console.choose import choose_console
from swarm.console.json_lines import JsonLinesConsole
from swarm.console.live import LiveConsole
from swarm.console.plain import PlainConsole, stamp
from swarm.console.progress import RunState
from swarm.console.quiet import quiet_console
from swarm.console.summary import print_summary, summary_lines
from swarm.console.wording import clean, line_of
from swarm.core import events as e
from swarm.core.patches import Accepted, GateResult, JudgedPatch, Patch, Rejected
from swarm.core.report import AgentInfo, Report, RunInfo, TargetOutcome

EVENTS: tuple[e.Event, ...] = (
    e.RunStarted("r1", "orders", "webhook_swarm", "parallel", "offline", "no key is set"),
    e.PhaseStarted("specialists"),
    e.AgentStarted("api", "specialist", "playbook", "offline"),
    e.TurnFinished("api", 1, 1200, 80, True),
    e.ToolStarted("api", "read_file", "orders/app.py"),
    e.Progress("asking the running service"),
    e.ToolFinished("api", "read_file", 0.01, True, "120 lines"),
    e.FindingReported("api", "abc", "missing-timeout", "medium", "A call may wait for ever", "orders/app.py:7"),
    e.ToolFinished("api", "run_probes", 2.0, False, "the server ended"),
    e.AgentFinished("api", "degraded", 1, 4.2, "the budget of turns was used up"),
    e.PhaseFinished("specialists", 4.3, "1 finding"),
    e.GateFinished("tests", ("001-a", "002-b"), False, "test_x newly fails", 1.5),
    e.PatchJudged("001-a", "Give each call ten seconds", True, ""),
    e.PatchJudged("002-b", "One query", False, "tests: test_x newly fails"),
    e.Note("bubblewrap is not here"),
    e.RunFinished("r1", "complete", "reports/r1", 1, 1, 62.0, 0),
)


class Clock:
    """A second passes at each look."""

    def __init__(self) -> None:
        self.now = -1.0

    def now_s(self) -> float:
        self.now += 1.0
        return self.now

    def wall(self) -> str:
        return "2026-01-02T10:15:00+00:00"


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Closed(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def played(console: object, events: Sequence[e.Event] = EVENTS) -> None:
    assert callable(console)
    for event in events:
        console(event)


def test_plain_lines_are_timed_and_in_order() -> None:
    out = io.StringIO()
    played(PlainConsole(out, Clock()))
    lines = out.getvalue().splitlines()
    assert lines[0] == "00:01.0  run r1: webhook_swarm on orders, parallel, provider offline (no key is set)"
    assert any(line.endswith("api degraded: 1 finding in 4.2 s · the budget of turns was used up") for line in lines)
    assert any("gate tests FAILED: 2 patches · test_x newly fails (1.5 s)" in line for line in lines)
    assert any("rejected 002-b: One query · tests: test_x newly fails" in line for line in lines)
    assert lines[-1].endswith("complete in 62.0 s: 1 accepted, 1 rejected · reports/r1")
    assert lines == sorted(lines)


def test_small_events_make_no_line() -> None:
    assert [type(ev).__name__ for ev in EVENTS if not line_of(ev)] == ["TurnFinished", "ToolStarted", "ToolFinished"]


def test_a_turn_that_is_asked_for_again_is_told_and_the_last_one_by_what_comes_of_it() -> None:
    again = e.TurnFailed("api", "HTTP 529: overloaded_error: busy", 0.5, 900, 3, cost_usd=0.01)
    assert line_of(again) == "api: HTTP 529: overloaded_error: busy; asked again in 500 ms"
    assert line_of(replace(again, again_in_s=None)) == ""


def test_stamp_counts_minutes() -> None:
    assert (stamp(0), stamp(75.26), stamp(-1)) == ("00:00.0", "01:15.3", "00:00.0")


def test_quiet_says_only_what_needs_a_look() -> None:
    out = io.StringIO()
    played(quiet_console(out, Clock()))
    assert [line.split("  ", 1)[1].split()[0] for line in out.getvalue().splitlines()] == ["api", "note:", "complete"]


def test_json_lines_hold_every_event_and_nothing_else() -> None:
    out = io.StringIO()
    played(JsonLinesConsole(out, Clock()))
    records = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(records) == len(EVENTS)
    assert records[0]["event"] == "run_started" and records[0]["provider"] == "offline"
    assert records[11]["patches"] == ["001-a", "002-b"]


def test_json_lines_survive_hostile_text() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="")
    played(
        JsonLinesConsole(out, Clock()),
        [e.Note("a\nb\u2028c\x1b[2J\ud800 ü"), e.PhaseFinished("plan", float("nan"), "")],
    )
    out.flush()
    lines = out.buffer.getvalue().decode("ascii").splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 2
    assert json.loads(lines[0])["message"].startswith("a\nb") and json.loads(lines[1])["duration_s"] is None


@pytest.mark.parametrize(
    "text", ["\x1b[2J\x1b[31mred", "a\rb", "\x1b]0;title\x07x", "two\nlines", "\u202eturned", "\ud800"]
)
def test_no_text_of_the_targets_moves_the_cursor(text: str) -> None:
    line = line_of(e.Note(text))
    assert line.isprintable(), repr(line)
    assert clean("x" * 50, 10) == "xxxxxxxxx…"


@pytest.mark.parametrize("make", [PlainConsole, JsonLinesConsole, quiet_console])
def test_a_reader_that_left_is_no_error(make: type[PlainConsole]) -> None:
    played(make(Closed(), Clock()))


def test_ascii_terminals_get_question_marks() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    PlainConsole(out, Clock())(e.Note("größer — 日本"))
    print_summary(["→ é"], out)
    assert b"note: gr??er ? ??" in raw.getvalue() and b"? ?" in raw.getvalue()


@pytest.mark.parametrize(
    ("out", "environment", "options", "kind"),
    [
        (Terminal(), {"TERM": "xterm"}, {}, "LiveConsole"),
        (Terminal(), {"CI": "true"}, {}, "PlainConsole"),
        (Terminal(), {"CI": "false"}, {}, "LiveConsole"),
        (Terminal(), {"TERM": "dumb"}, {}, "PlainConsole"),
        (io.StringIO(), {}, {}, "PlainConsole"),
        (Terminal(), {}, {"json_lines": True, "quiet": True}, "JsonLinesConsole"),
        (Terminal(), {}, {"quiet": True}, "PlainConsole"),
    ],
)
def test_the_choice(out: io.StringIO, environment: dict[str, str], options: dict[str, bool], kind: str) -> None:
    assert type(choose_console(out, Clock(), environment, **options)).__name__ == kind


def test_rich_waits_until_the_live_view_is_chosen() -> None:
    code = (
        "import io, sys, swarm.console.live, swarm.console.choose as c, time\n"
        "from types import SimpleNamespace as N\n"
        "c.choose_console(io.StringIO(), N(now_s=time.monotonic), {})\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'rich', 'jinja2'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", "rich came early"


def test_live_keeps_every_line_and_gives_the_cursor_back() -> None:
    out = Terminal()
    played(LiveConsole(out, Clock()))
    text = out.getvalue()
    for event in EVENTS:
        assert line_of(event)[:40] in text
    assert "\x1b[?1049h" not in text, "the alternate screen was used"
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") >= 1


def test_live_shows_agents_at_work_on_a_real_terminal() -> None:
    code = (
        "import sys, time\n"
        "from types import SimpleNamespace as N\n"
        "from swarm.console.live import LiveConsole\n"
        "from swarm.core import events as e\n"
        "c = LiveConsole(sys.stdout, N(now_s=time.monotonic))\n"
        "c(e.RunStarted('r', 't', 's', 'parallel', 'offline', 'x'))\n"
        "c(e.AgentStarted('api_optimizer', 'specialist', 'playbook', 'offline'))\n"
        "c(e.TurnFinished('api_optimizer', 3, 1200, 80, True))\n"
        "c(e.ToolStarted('api_optimizer', 'run_probes', 'all'))\n"
        "c(e.Progress('[bold]asked[/bold]'))\n"
        "time.sleep(0.4)\nc.close()\nc.close()\n"
    )
    parent, child = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=child,
        stderr=child,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "140"},
    )
    os.close(child)
    seen = b""
    try:
        while chunk := os.read(parent, 4096):
            seen += chunk
    except OSError:  # the other end is closed
        pass
    os.close(parent)
    assert done.wait(timeout=20) == 0, seen
    text = seen.decode()
    assert "run_probes all" in text and "~1,200 in, 80 out" in text and "turn 3" in text
    assert "[bold]asked" in text, "markup of the target's was obeyed"


def test_state_follows_the_run() -> None:
    state = RunState()
    for event in EVENTS[:6]:
        state.apply(event, 1.0)
    agent = state.agents["api"]
    assert (agent.doing, agent.turns, agent.estimated) == ("read_file orders/app.py", 1, True)
    assert (agent.input_tokens, agent.output_tokens) == (1200, 80)
    assert state.phases["specialists"] == "running" and state.step == "asking the running service"
    for event in EVENTS[6:]:
        state.apply(event, 2.0)
    assert (agent.status, agent.findings, state.accepted, state.rejected, state.finished) == (
        "degraded",
        1,
        1,
        1,
        True,
    )


def _report() -> Report:
    gate = (GateResult("tests", False, "test_x newly fails"),)
    patches = (
        JudgedPatch(Patch("001-a", "A", "missing-timeout", "api", (), "api", "", ()), Accepted(())),
        JudgedPatch(
            Patch("002-b", "B", "n-plus-one", "performance", (), "api", "", ()),
            Rejected("tests", "test_x\nfails", gate),
        ),
    )
    agent = AgentInfo(
        "api",
        "specialist",
        "m",
        "offline",
        "degraded",
        0,
        1,
        1,
        1,
        1,
        1,
        0,
        0,
        1,
        "estimated",
        None,
        1,
        note="turns used up",
    )
    run = RunInfo("r1", "", "", 62.0, "s", "t", "parallel", "offline", "complete")
    return Report(
        run, agents=(agent,), patches=patches, targets=(TargetOutcome("error_rate < 1%", "api", 2.0, 1.5, False),)
    )


def test_summary_ends_with_failures_then_the_next_commands() -> None:
    rows = [("latency, p95", "1,045 ms", "439 ms", "−58 % (0.39–0.46)")]
    lines = summary_lines(_report(), ["58 % less waiting.", ""], rows, "reports/r1")
    text = "\n".join(lines)
    assert lines[1] == "58 % less waiting."
    assert "latency, p95  1,045 ms  439 ms  −58 %" in text
    assert "1 patch accepted, 1 rejected, 0 findings left open, 62.0 s in all" in text
    look, following = text.index("To look at:"), text.index("Next:")
    assert look < text.index("rejected 002-b by tests: test_x fails") < following
    assert look < text.index("missed   error_rate < 1%") < following
    assert look < text.index("degraded api: turns used up") < following
    assert "swarm apply r1" in text[following:] and lines[-1].strip().startswith("open reports/r1/report.html")


def test_a_run_that_was_cut_off_is_offered_to_be_resumed() -> None:
    lines = summary_lines(Report(_report().run), ["Nothing."], [], "reports/r1", run="r1 -c a.yaml", resumable=True)
    assert lines[lines.index("Next:") + 1].startswith("  swarm resume r1 -c a.yaml ")
    assert not any("resume" in line for line in summary_lines(Report(_report().run), ["x"], [], "reports/r1"))


def test_summary_without_patches_offers_none() -> None:
    lines = summary_lines(Report(_report().run), ["Nothing."], [], "reports/r1")
    assert not [line for line in lines if "swarm apply" in line]
