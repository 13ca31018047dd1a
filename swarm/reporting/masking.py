"""Known secret values masked in every text of a report, but for the patches' own lines, which must apply."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from swarm.core.patches import FileChange
from swarm.core.report import Report


def masked(report: Report, mask: Callable[[str], str]) -> Report:
    """The report with `mask` laid over every string outside of patches' changes."""
    result = _walk(report, mask)
    assert isinstance(result, Report)
    return result


def _walk(value: Any, mask: Callable[[str], str]) -> Any:
    if isinstance(value, FileChange):
        return value
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, tuple):
        return tuple(_walk(item, mask) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _walk(getattr(value, f.name), mask) for f in dataclasses.fields(value)}
        return type(value)(**fields)
    return value
