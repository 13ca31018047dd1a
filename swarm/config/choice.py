"""Chooses the swarm and the target of a command from agents.yaml and the words on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from swarm.config.load import load_agents
from swarm.config.schema import AgentsFile, Swarm, Target
from swarm.core.errors import TargetError, UsageError
from swarm.core.metrics import did_you_mean

CONFIG_NAME = "agents.yaml"
_DEFAULT = Path(__file__).with_name("default_swarm.yaml")


@dataclass(frozen=True, slots=True)
class Choice:
    """What a command works on; `folder` is where the target's relative paths count from."""

    agents: AgentsFile
    swarm_name: str
    swarm: Swarm
    target_name: str
    target: Target
    folder: Path


def choose(
    target_word: str | None, config: Path | None, swarm_name: str | None = None, *, here: Path | None = None
) -> Choice:
    """The swarm and target meant by `swarm COMMAND [TARGET] --config FILE --swarm NAME`.

    TARGET is a target's name, or a folder that holds an agents.yaml or is a target's path. A config without
    `targets` (a swarm alone) takes them from the agents.yaml of the current folder.
    Raises UsageError and TargetError.
    """
    here = here or Path.cwd()
    source = config or _config_for(target_word, here)
    agents = load_agents(source)
    swarm_name, swarm = _choose_swarm(agents, swarm_name)
    with_targets = agents
    if not agents.targets:
        beside = here / CONFIG_NAME
        if not beside.exists() or beside.resolve() == agents.source:
            raise UsageError(
                f"{source}: names no targets, and {CONFIG_NAME} in this folder names none either; add `targets:`"
            )
        with_targets = load_agents(beside)
    target_name = _choose_target(with_targets, target_word, here)
    return Choice(agents, swarm_name, swarm, target_name, with_targets.targets[target_name], with_targets.folder())


def _config_for(word: str | None, here: Path) -> Path:
    if word and (here / word).is_dir() and (here / word / CONFIG_NAME).exists():
        return here / word / CONFIG_NAME
    beside = here / CONFIG_NAME
    if not beside.exists():
        if word and not (here / word).exists():
            raise TargetError(f"no target {word!r}: there is no such folder, and no {CONFIG_NAME} here to name it")
        raise UsageError(f"no {CONFIG_NAME} in {here}; `swarm init PATH` writes one, -c FILE names another")
    return beside


def _choose_swarm(agents: AgentsFile, name: str | None) -> tuple[str, Swarm]:
    swarms = agents.swarms or load_agents(_DEFAULT).swarms
    if name is None:
        first = next(iter(swarms))
        return first, swarms[first]
    if name not in swarms:
        raise UsageError(
            f"no swarm {name!r} in {agents.source.name}; it has {', '.join(swarms)}{did_you_mean(name, swarms)}"
        )
    return name, swarms[name]


def _choose_target(agents: AgentsFile, word: str | None, here: Path) -> str:
    names = list(agents.targets)
    if not names:
        raise UsageError(f"{agents.source}: names no targets; add `targets:`")
    if word is None:
        return names[0]
    if word in agents.targets:
        return word
    folder = (here / word).resolve()
    if folder.is_dir():
        if folder == agents.folder():
            return names[0]
        for name, target in agents.targets.items():
            if (agents.folder() / target.path).resolve() == folder:
                return name
    raise TargetError(
        f"no target {word!r} in {agents.source.name}; it has {', '.join(names)}{did_you_mean(word, names)}"
    )
