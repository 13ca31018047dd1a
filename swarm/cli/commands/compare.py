"""`swarm compare`: two runs side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from swarm.cli.options import DEFAULT_OUT, Out

if TYPE_CHECKING:
    from swarm.reporting.side_by_side import SideBySide

NAME = "compare"
SHORT = "Put two runs side by side"


def command(
    first: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, its folder, or `latest`.")],
    second: Annotated[str, typer.Argument(metavar="RUN", help="The run to put beside it.")],
    format: Annotated[str, typer.Option("--format", "-f", help="text or md.")] = "text",
    out: Out = DEFAULT_OUT,
) -> int:
    """Put two runs side by side: patterns, time, tokens, latency, findings and patches.

    Example: swarm compare 20261125-182710-orders-ebfa latest
    """
    import sys

    from swarm.cli.run_folders import find_run, word_for
    from swarm.cli.say import next_command, say
    from swarm.core.errors import UsageError
    from swarm.reporting.folder import load_report
    from swarm.reporting.side_by_side import render_markdown, side_by_side

    if format not in ("text", "md"):
        raise UsageError(f"no format {format!r}; there are text and md")
    folders = [find_run(word, out) for word in (first, second)]
    if folders[0] == folders[1]:
        raise UsageError(f"both words name {folders[0].name}; `swarm runs` lists the others")
    both = side_by_side(*(load_report(folder) for folder in folders))
    if format == "md":
        sys.stdout.write(render_markdown(both))
        return 0
    for line in _lines(both):
        say(line)
    next_command(f"swarm report {word_for(folders[1], out)}")
    return 0


def _lines(both: SideBySide) -> list[str]:
    from swarm.console.wording import clean
    from swarm.reporting.side_by_side import shortened

    def cleaned(*cells: str) -> tuple[str, ...]:
        return tuple(clean(cell) for cell in cells)

    head = cleaned("", both.first, both.second, "second / first")
    parts = [
        (part.title, [cleaned(row.label, row.first, row.second, row.change) for row in part.lines])
        for part in both.parts
    ]
    rows = [head, *(row for _, part in parts for row in part)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]

    def shown(row: tuple[str, ...]) -> str:
        label, one, other, ratio = row
        return f"  {label:<{widths[0]}}  {one:>{widths[1]}}  {other:>{widths[2]}}  {ratio}".rstrip()

    lines = [shown(head)]
    for title, part in parts:
        lines += ["", title, *(shown(row) for row in part)]
    for run, only in ((both.first, both.only_first), (both.second, both.only_second)):
        if only:
            lines += ["", f"Only in {clean(run)}", *(f"  {clean(text)}" for text in shortened(only))]
    return [*lines, "", "Mind", *(f"  {clean(text)}" for text in both.cautions), ""]
