"""The command line of `swarm run` as a value, to a journal and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from swarm.core.errors import UsageError
from swarm.runtime import RunWords


@dataclass(frozen=True, slots=True)
class Words:
    """The command line of `swarm run`."""

    target: str | None
    config: Path | None
    swarm: str | None
    out: Path
    fail_on: tuple[str, ...]
    apply: bool
    json: bool
    quiet: bool
    run: RunWords


@dataclass(frozen=True, slots=True)
class Resumed:
    """The run to go on with, and what its journal holds."""

    run_id: str
    records: Sequence[Mapping[str, Any]]


def record_of(words: Words, provider: str) -> dict[str, Any]:
    """For the journal; `provider` is the one that was chosen, so that a resumed run has the same."""
    run = asdict(replace(words.run, provider=provider))
    said = {name: value for name, value in asdict(words).items() if name != "out"}
    return {**said, "config": str(words.config) if words.config else None, "run": run}


def words_of(record: Mapping[str, Any], *, out: Path, config: Path | None, json: bool, quiet: bool) -> Words:
    """What `record_of` was made of; what is named here again takes the place of what was said then.

    Raises UsageError for a record of another version of swarm.
    """
    try:
        run = dict(record["run"])
        return Words(
            target=record["target"],
            config=config or (Path(record["config"]) if record["config"] else None),
            swarm=record["swarm"],
            out=out,
            fail_on=tuple(record["fail_on"]),
            apply=bool(record["apply"]),
            json=json,
            quiet=quiet,
            run=RunWords(**{**run, "only": tuple(run["only"])}),
        )
    except (KeyError, TypeError, ValueError):
        raise UsageError("its journal is of another version of swarm; start anew with: swarm run") from None
