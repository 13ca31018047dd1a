"""`swarm rollback`: takes back exactly what `swarm apply` did."""

from __future__ import annotations

from swarm.cli.options import DEFAULT_OUT, Out, RunWord

NAME = "rollback"
SHORT = "Take back what apply did"


def command(run: RunWord = "latest", out: Out = DEFAULT_OUT) -> int:
    """Take back what `swarm apply` did with a run, and nothing done since.

    Example: swarm rollback latest
    """
    from swarm.cli.applying import rollback_run
    from swarm.cli.run_folders import find_run, word_for
    from swarm.cli.say import next_command, say
    from swarm.core.wording import counted
    from swarm.reporting.folder import load_report

    folder = find_run(run, out)
    taken = rollback_run(folder, load_report(folder))
    say(f"{counted(len(taken), 'patch', 'patches')} taken back")
    next_command(f"swarm report {word_for(folder, out)}")
    return 0
