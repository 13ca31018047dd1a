"""`swarm init`: looks at a service and writes an agents.yaml for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

NAME = "init"
SHORT = "Look at a service of yours and write an agents.yaml for it"


def command(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The folder of the service.")] = Path(),
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Where to write; PATH/agents.yaml by default.", metavar="FILE"),
    ] = None,
    python: Annotated[
        Path | None, typer.Option("--python", help="The interpreter that has its dependencies.", metavar="FILE")
    ] = None,
    no_start: Annotated[bool, typer.Option("--no-start", help="Only look; start nothing, send nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over an agents.yaml that is there.")] = False,
) -> int:
    """Look at a service, start it on loopback, send it first events, and write an agents.yaml for it.

    Nothing leaves the machine: calls to other systems are refused, seen, and played in the next round.

    Example: swarm init path/to/service
    """
    from swarm.cli.initialising import initialise

    return initialise(path, config, python, start=not no_start, force=force)
