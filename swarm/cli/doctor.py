"""`swarm doctor`: what is missing on this machine, each with its remedy."""

from __future__ import annotations

from swarm.cli.options import DEFAULT_OUT, ConfigFile, Out

NAME = "doctor"


def command(config: ConfigFile = None, out: Out = DEFAULT_OUT) -> int:
    """Check this machine: key, ports, sandbox, promtool, git, targets and their interpreters.

    Example: swarm doctor
    """
    from swarm.cli.checkup import check_machine, check_targets
    from swarm.cli.say import next_command, say

    checks = [*check_machine(out), *check_targets(config)]
    marks = {"ok": "ok      ", "missing": "missing ", "optional": "optional"}
    for check in checks:
        say(f"{marks[check.state]} {check.name}: {check.detail}")
        if check.remedy:
            say(f"           → {check.remedy}")
    missing = [check for check in checks if check.state == "missing"]
    say(f"{len(checks) - len(missing)} of {len(checks)} checks are well" if missing else "all is well")
    next_command("swarm doctor" if missing else "swarm run")
    return 3 if missing else 0
