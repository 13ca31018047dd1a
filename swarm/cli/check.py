"""One line of `swarm doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Check:
    """One check; `optional` is missing but not needed."""

    name: str
    state: Literal["ok", "missing", "optional"]
    detail: str
    remedy: str = ""
