"""`swarm rollback`: takes back exactly what `swarm apply` did."""

from __future__ import annotations

from swarm.cli.options import DEFAULT_OUT, Out, RunWord

NAME = "rollback"


def command(run: RunWord = "latest", out: Out = DEFAULT_OUT) -> int:
    """Take back what `swarm apply` did with a run, and nothing done since.

    Example: swarm rollback latest
    """
    from swarm.cli.applying import rollback_run
    from swarm.cli.run_folders import find_run
    from swarm.cli.say import next_command, say

    folder = find_run(run, out)
    applied = rollback_run(folder)
    say(f"{len(applied.patches)} patches taken back")
    next_command(f"swarm apply {folder.name}")
    return 0
