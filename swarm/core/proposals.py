"""A proposal: a patch that a model wrote itself, for one finding."""

from __future__ import annotations

from dataclasses import dataclass

from swarm.core.patches import FileChange


@dataclass(frozen=True, slots=True)
class Proposal:
    """`finding` is the id of what it answers; `changes` hold whole files, before and after.

    `agent` and `model` say who wrote it.
    """

    finding: str
    title: str
    why: str
    changes: tuple[FileChange, ...]
    agent: str = ""
    model: str = ""
