"""`swarm apply`: brings the accepted patches of a run into the user's tree."""

from __future__ import annotations

from typing import Annotated

import typer

from swarm.cli.options import DEFAULT_OUT, ConfigFile, Out, RunWord

NAME = "apply"


def command(
    run: RunWord = "latest",
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Apply this patch alone (id or number); repeatable.", metavar="ID"),
    ] = None,
    branch: Annotated[
        str | None, typer.Option("--branch", help="Make the commits on a new branch.", metavar="NAME")
    ] = None,
    commit: Annotated[bool, typer.Option("--commit", help="One commit a patch.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; tell whether they fit.")] = False,
    config: ConfigFile = None,
    out: Out = DEFAULT_OUT,
) -> int:
    """Apply the accepted patches of a run: all of them, or some with --only.

    Example: swarm apply latest --branch swarm-patches
    """
    from swarm.cli.applying import apply_run
    from swarm.cli.run_folders import find_run
    from swarm.cli.say import next_command, say
    from swarm.config.choice import choose
    from swarm.reporting.folder import load_report

    folder = find_run(run, out)
    report = load_report(folder)
    choice = choose(report.run.target, config)
    names = apply_run(folder, choice, only=only or (), branch=branch, commit=commit, check=check)
    for name in names:
        say(f"{'fits' if check else 'applied'}  {name}")
    where = f"on branch {branch}" if branch else f"in {choice.target.path}"
    say(f"{len(names)} patches {'would fit' if check else 'applied'} {where}")
    next_command(f"swarm apply {folder.name}" if check else f"swarm rollback {folder.name}")
    return 0
