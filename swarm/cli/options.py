"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

TargetWord = Annotated[
    str | None,
    typer.Argument(metavar="TARGET", help="A target's name or folder; the first of agents.yaml where none is named."),
]
ConfigFile = Annotated[Path | None, typer.Option("--config", "-c", help="agents.yaml to use.", metavar="FILE")]
Out = Annotated[Path, typer.Option("--out", help="Folder of the reports.", metavar="DIR")]
RunWord = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, its folder, or `latest`.")]
DEFAULT_OUT = Path("reports")
