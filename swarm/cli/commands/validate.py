"""`swarm validate`: checks agents.yaml."""

from __future__ import annotations

from swarm.cli.options import ConfigFile

NAME = "validate"
SHORT = "Check agents.yaml, every mistake with its line"


def command(config: ConfigFile = None) -> int:
    """Check agents.yaml: every mistake with its line.

    Example: swarm validate -c agents.yaml
    """
    from pathlib import Path

    from swarm.cli.say import next_command, say
    from swarm.config.choice import CONFIG_NAME
    from swarm.config.load import load_agents
    from swarm.core.errors import TargetError
    from swarm.core.wording import counted
    from swarm.target.traffic import Traffic
    from swarm.target.tree.place import resolve_place

    agents = load_agents(config or Path(CONFIG_NAME))
    for name, target in agents.targets.items():
        try:
            place = resolve_place(name, target, agents.folder())
            if target.webhooks:
                Traffic(target, place.path, seed=0)
        except TargetError as error:
            raise TargetError(f"{agents.source.name}: {error}") from None
        say(f"target {name}: {place.path}")
    for name, swarm in agents.swarms.items():
        say(f"swarm {name}: {counted(len(swarm.specialists), 'specialist')}, {swarm.pattern}, model {swarm.model}")
    say(f"{agents.source.name} is valid")
    next_command("swarm doctor")
    return 0
