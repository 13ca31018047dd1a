"""`swarm report`: renders a run again."""

from __future__ import annotations

from typing import Annotated

import typer

from swarm.cli.options import DEFAULT_OUT, Out, RunWord

NAME = "report"
SHORT = "Render a run's report again"


def command(
    run: RunWord = "latest",
    format: Annotated[str, typer.Option("--format", "-f", help="md, html, sarif, json, junit or gitlab.")] = "md",
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="Write to a file in place of stdout.", metavar="FILE")
    ] = None,
    out: Out = DEFAULT_OUT,
) -> int:
    """Render a run's report again, to stdout or a file.

    What it has in common with the runs before it is drawn anew as well, into its folder.

    Example: swarm report latest --format sarif -o findings.sarif
    """
    import sys
    from pathlib import Path

    from swarm.cli.learning import learn_again
    from swarm.cli.run_folders import find_run, word_for
    from swarm.cli.say import next_command, say
    from swarm.core.errors import UsageError
    from swarm.reporting.catalogue import format_named
    from swarm.reporting.folder import load_report

    folder = find_run(run, out)
    report = load_report(folder)
    text = format_named(format).render(report)
    written = learn_again(report, folder)
    if output is None:
        sys.stdout.write(text)
        return 0
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from None
    say(f"wrote {', '.join([output, *(str(folder / name) for name in written)])}")
    next_command(f"swarm apply {word_for(folder, out)} --check")
    return 0
