"""`swarm runs`: the runs in reports/, newest first."""

from __future__ import annotations

from swarm.cli.options import DEFAULT_OUT, Out

NAME = "runs"
SHORT = "List the runs, newest first"


def command(out: Out = DEFAULT_OUT) -> int:
    """List the runs in the reports folder, newest first; before them those that run, or were cut off and can go on.

    Example: swarm runs
    """
    from swarm.cli.run_folders import cut_off_runs, run_folders, word_for
    from swarm.cli.say import next_command, say
    from swarm.console.journal import is_being_written
    from swarm.core.errors import SwarmError
    from swarm.core.patches import Accepted
    from swarm.reporting.folder import load_report

    folders, cut_off = run_folders(out), cut_off_runs(out)
    for folder in cut_off:
        running = is_being_written(folder)
        how = "running" if running else f"cut off   go on with: swarm resume {word_for(folder, out)}"
        say(f"{folder.name:44} {how}")
    if not folders and cut_off:
        return 0
    if not folders:
        say(f"no runs in {out}")
        next_command("swarm run")
        return 0
    for folder in folders:
        try:
            report = load_report(folder)
        except (SwarmError, ValueError, KeyError, TypeError):
            say(f"{folder.name:44} report.json cannot be read")
            continue
        accepted = sum(isinstance(judged.verdict, Accepted) for judged in report.patches)
        rejected = len(report.patches) - accepted
        latency = next((b for b in report.benchmarks if b.before and b.after), None)
        p95 = (
            f"p95 {latency.before.p95:.0f} → {latency.after.p95:.0f} ms"
            if latency and latency.before and latency.after
            else "not benchmarked"
        )
        say(f"{folder.name:44} {report.run.status:9} {accepted:3} accepted {rejected:3} rejected  {p95}")
    next_command(f"swarm report {word_for(folders[0], out)}")
    return 0
