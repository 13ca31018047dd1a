"""`swarm apply`: brings the accepted patches of a run into the user's tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from swarm.cli.options import DEFAULT_OUT, ConfigFile, Out, RunWord

if TYPE_CHECKING:
    from swarm.config.choice import Choice

NAME = "apply"
SHORT = "Put a run's accepted patches into your tree"


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
    from swarm.cli.run_folders import config_words, find_run, word_for
    from swarm.cli.say import next_command, say
    from swarm.config.choice import choose
    from swarm.core.wording import counted
    from swarm.reporting.folder import load_report

    folder = find_run(run, out)
    report = load_report(folder)
    choice = choose(report.run.target, config)
    patches = apply_run(folder, report, choice, only=only or (), branch=branch, commit=commit, check=check)
    for patch in patches:
        say(f"{'fits' if check else 'applied'}  {patch.id}: {patch.title}")
    where = f"as commits on branch {branch}" if branch else "as commits" if commit else f"in {_shown(choice)}"
    many = counted(len(patches), "patch", "patches")
    word = word_for(folder, out)
    if check:
        say(f"{many} would fit; nothing was changed")
        next_command(" ".join(["swarm apply", word, *(f"--only {one}" for one in only or ()), *config_words(config)]))
    else:
        say(f"{many} applied {where}; run your tests now")
        next_command(f"swarm rollback {word}")
    return 0


def _shown(choice: Choice) -> str:
    """The target's folder as a person would name it."""
    import os

    path = os.path.relpath((choice.folder / choice.target.path).resolve())
    return "this folder" if path == "." else path
