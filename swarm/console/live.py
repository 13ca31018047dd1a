"""The terminal's view: timed lines that stay, above a small region that moves. No alternate screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from swarm.console.plain import stamp
from swarm.console.progress import AgentState, RunState
from swarm.console.wording import clean, is_failure, line_of
from swarm.core import events as e
from swarm.core.ports import Clock
from swarm.core.spending import money
from swarm.core.wording import seconds

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

_MARK = {"waiting": ("○", "dim"), "running": ("●", "bold cyan"), "done": ("✓", "green")}


class LiveConsole:
    """An EventSink for a terminal. Begins to draw with the first event; `close` leaves the lines and the cursor."""

    def __init__(self, out: TextIO, clock: Clock) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console: Console = Console(file=out, highlight=False)
        self._clock = clock
        self._began_s = clock.now_s()
        self._state = RunState()
        self._live = Live(get_renderable=self._view, console=self._console, refresh_per_second=8, transient=True)
        self._drawing = False

    def __call__(self, event: e.Event) -> None:
        """Print the event's line above, and bring the region up to date."""
        now_s = self._clock.now_s()
        if isinstance(event, e.RunStarted):
            self._began_s = now_s
        self._state.apply(event, now_s)
        try:
            if not self._drawing and not self._state.finished:
                self._live.start()
                self._drawing = True
            line = line_of(event)
            if line:
                self._console.print(_timed(line, event, now_s - self._began_s), soft_wrap=True)
            if self._state.finished:
                self.close()
        except (OSError, ValueError):
            return

    def close(self) -> None:
        """Stop drawing; safe to call twice."""
        if self._drawing:
            self._drawing = False
            self._live.stop()

    def _view(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        now_s = self._clock.now_s()
        phases = Text("  ")
        for phase, state in self._state.phases.items():
            mark, style = _MARK[state]
            phases.append(f"{mark} {phase}  ", style=style)
        table = Table.grid(padding=(0, 2))
        for _ in range(5):
            table.add_column(no_wrap=True, overflow="ellipsis")
        for agent in self._state.agents.values():
            if agent.status == "working":
                table.add_row(*_agent_row(agent, now_s))
        tail = Text(f"  {stamp(now_s - self._began_s)}  {clean(self._state.step, 100)}", style="dim")
        if self._state.accepted or self._state.rejected:
            tail.append(f"  {self._state.accepted} accepted, {self._state.rejected} rejected")
        if self._state.cost:
            tail.append(f"  {self._state.cost}")
        return Group(Text(""), phases, table, tail)


def _agent_row(agent: AgentState, now_s: float) -> tuple[Text, ...]:
    from rich.text import Text

    return (
        Text(f"  {clean(agent.name, 28)}", style="bold"),
        Text(clean(agent.doing, 44), style="cyan" if agent.doing != "thinking" else "dim"),
        Text(f"turn {agent.turns}" if agent.turns else ""),
        Text(_tokens(agent) + _cost(agent.cost_usd), style="dim"),
        Text(seconds(max(0.0, now_s - agent.began_s)), style="dim"),
    )


def _tokens(agent: AgentState) -> str:
    if not agent.input_tokens:
        return ""
    share = 100 * agent.cache_read_tokens / agent.input_tokens
    cached = f" ({share:.0f} % cached)" if share else ""
    return f"{'~' if agent.estimated else ''}{agent.input_tokens:,} in{cached}, {agent.output_tokens:,} out"


def _cost(usd: float | None) -> str:
    return "" if usd == 0 else f" · {money(usd)}"


def _timed(line: str, event: e.Event, elapsed_s: float) -> Text:
    from rich.text import Text

    style = ""
    if is_failure(event) or (isinstance(event, e.GateFinished) and event.passed is False):
        style = "red"
    elif isinstance(event, e.PatchJudged):
        style = "green" if event.accepted else "yellow"
    elif isinstance(event, e.PhaseStarted | e.RunStarted):
        style = "bold"
    elif isinstance(event, e.Note):
        style = "yellow"
    text = Text(f"{stamp(elapsed_s)}  ", style="dim")
    return text.append(line, style=style or "default")
