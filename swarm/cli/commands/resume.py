"""`swarm resume`: go on with a run that was cut off."""

from __future__ import annotations

from typing import Annotated

import typer

from swarm.cli.options import DEFAULT_OUT, ConfigFile, Out, RunWord

NAME = "resume"
SHORT = "Go on with a run that was cut off"


def command(
    run: RunWord = "latest",
    config: ConfigFile = None,
    out: Out = DEFAULT_OUT,
    budget_usd: Annotated[
        float | None, typer.Option("--budget-usd", help="Another budget, what was spent included.", metavar="N")
    ] = None,
    budget_tokens: Annotated[
        int | None, typer.Option("--budget-tokens", help="Another budget, what was used included.", metavar="N")
    ] = None,
    deadline: Annotated[
        float | None, typer.Option("--deadline", help="Most seconds to take from now on.", metavar="SECONDS")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Events as JSON lines on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the result alone.")] = False,
) -> int:
    """Go on with a run that was killed or interrupted, or that a budget ended.

    No turn of a model is paid for again, no finished tool is run again: they are taken from the journal, and so are
    measurements, the target's tests, weighing and proof where they were whole. A target that has changed is refused.

    Example: swarm resume latest
    """
    from dataclasses import replace

    from swarm.cli.run_folders import unfinished_run
    from swarm.cli.running import run_swarm
    from swarm.cli.words import Resumed, words_of
    from swarm.console.journal import read_journal

    folder = unfinished_run(run, out)
    records = read_journal(folder)
    said = next((record for record in records if record.get("kind") == "words"), {})
    words = words_of(said, out=folder.parent, config=config, json=json, quiet=quiet)
    own = replace(
        words.run,
        budget_usd=budget_usd or words.run.budget_usd,
        budget_tokens=budget_tokens or words.run.budget_tokens,
        deadline_s=deadline or words.run.deadline_s,
    )
    return run_swarm(replace(words, run=own), Resumed(folder.name, records))
