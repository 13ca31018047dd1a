"""`swarm bench`: the load benchmark alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from swarm.cli.options import ConfigFile, TargetWord

NAME = "bench"
SHORT = "Load the target and tell its latency"


def command(
    target: TargetWord = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", help="A second tree of the same target, measured side by side.", metavar="PATH"),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", help="Requests a second; agents.yaml's where none is named.", metavar="N"),
    ] = None,
    seconds: Annotated[float | None, typer.Option("--seconds", help="Seconds of load a tree.", metavar="N")] = None,
    config: ConfigFile = None,
) -> int:
    """Load the target at a fixed rate and tell its latency; with --against, two trees side by side.

    Example: swarm bench reference --rate 5 --seconds 10
    """
    from swarm.cli.benching import run_bench

    return run_bench(target, config, against, rate, seconds)
