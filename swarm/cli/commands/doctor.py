"""`swarm doctor`: what is missing on this machine, each with its remedy."""

from __future__ import annotations

from swarm.cli.options import DEFAULT_OUT, ConfigFile, Out

NAME = "doctor"
SHORT = "Tell what this machine lacks, with remedies"


def command(config: ConfigFile = None, out: Out = DEFAULT_OUT) -> int:
    """Check this machine and what a run needs: model, ports, sandbox, git, promtool, agents, and each target at work.

    Each target is started on a scratch copy with its upstreams and gets a few of its own webhooks.

    Example: swarm doctor
    """
    import itertools

    from swarm.cli.checkup import check_machine, check_targets
    from swarm.cli.say import next_command, say

    checks = []
    marks = {"ok": "ok      ", "missing": "missing ", "optional": "optional"}
    for check in itertools.chain(check_machine(out), check_targets(config)):
        checks.append(check)
        say(f"{marks[check.state]} {check.name}: {check.detail}")
        if check.remedy:
            say(f"           → {check.remedy}")
    target = next((check for check in checks if check.name.startswith("target ") and check.state == "ok"), None)
    missing = [check for check in checks if check.state == "missing"]
    optional = sum(check.state == "optional" for check in checks)
    if missing:
        say(f"{len(missing)} of {len(checks)} checks need a mend before a run")
    else:
        say("all is well" + (f"; {optional} optional, a run goes without" if optional else ""))
    next_command(
        "swarm doctor" if missing else f"swarm run {target.name.removeprefix('target ')}" if target else "swarm run"
    )
    return 3 if missing else 0
