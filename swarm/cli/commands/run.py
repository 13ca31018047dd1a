"""`swarm run`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from swarm.cli.options import DEFAULT_OUT, ConfigFile, Out, TargetWord

NAME = "run"
SHORT = "Find, mend, prove, benchmark, report: the main job"


def command(
    target: TargetWord = None,
    config: ConfigFile = None,
    swarm: Annotated[
        str | None, typer.Option("--swarm", help="The swarm to send, by its name.", metavar="NAME")
    ] = None,
    provider: Annotated[str, typer.Option("--provider", help="auto, anthropic or offline.")] = "auto",
    pattern: Annotated[str | None, typer.Option("--pattern", help="parallel, sequential or single.")] = None,
    out: Out = DEFAULT_OUT,
    budget_usd: Annotated[float | None, typer.Option("--budget-usd", help="Most to spend.", metavar="N")] = None,
    budget_tokens: Annotated[
        int | None, typer.Option("--budget-tokens", help="Most tokens to use.", metavar="N")
    ] = None,
    deadline: Annotated[
        float | None, typer.Option("--deadline", help="Most seconds to take.", metavar="SECONDS")
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-on", help="severity:high, targets, regression or score:security<95; repeatable.", metavar="RULE"
        ),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Send this specialist alone; repeatable.", metavar="SPECIALIST")
    ] = None,
    record: Annotated[
        Path | None, typer.Option("--record", help="Keep the models' turns there, secrets masked.", metavar="DIR")
    ] = None,
    replay: Annotated[
        Path | None, typer.Option("--replay", help="Take the models' turns from there: no network.", metavar="DIR")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what a run may cost at most; start nothing, ask nobody.")
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Apply the accepted patches at the end.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Events as JSON lines on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the result alone.")] = False,
) -> int:
    """Baseline, four specialists in parallel, verified patches, benchmarks, reports.

    Example: swarm run reference --fail-on severity:high
    """
    from swarm.cli.running import run_swarm
    from swarm.cli.words import Words
    from swarm.runtime import RunWords

    words = RunWords(
        provider, pattern, tuple(only or ()), budget_usd, budget_tokens, deadline, *_folders(record, replay)
    )
    said = Words(target, config, swarm, out, tuple(fail_on or ()), apply, json, quiet, words)
    if dry_run:
        from swarm.cli.dry_run import dry_run as tell_the_bound

        return tell_the_bound(said)
    return run_swarm(said)


def _folders(*paths: Path | None) -> tuple[str | None, ...]:
    """Whole paths: a resumed run may be started from elsewhere."""
    return tuple(str(path.resolve()) if path else None for path in paths)
