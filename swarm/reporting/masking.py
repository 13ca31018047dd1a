"""Known secret values masked in every text of a report, but for the patches' own lines, which must apply."""

from __future__ import annotations

from collections.abc import Callable

from swarm.core import masking
from swarm.core.patches import FileChange
from swarm.core.report import Report


def masked(report: Report, mask: Callable[[str], str]) -> Report:
    """The report with `mask` laid over every string outside of patches' changes."""
    return masking.masked(report, mask, untouched=(FileChange,))
