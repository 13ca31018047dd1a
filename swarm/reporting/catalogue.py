"""The report formats: one module of `swarm.reporting.formats` each, found by its NAME."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

from swarm.core.errors import UsageError
from swarm.core.metrics import did_you_mean
from swarm.core.report import Report

_PACKAGE = "swarm.reporting.formats"


@dataclass(frozen=True, slots=True)
class Format:
    """A format: what `swarm report --format` calls it, its file in a run's folder, its pure renderer."""

    name: str
    filename: str
    render: Callable[[Report], str]


def all_formats() -> tuple[Format, ...]:
    """Every format, sorted by name. Their heavy imports wait until they render."""
    package = importlib.import_module(_PACKAGE)
    modules = [importlib.import_module(f"{_PACKAGE}.{m.name}") for m in pkgutil.iter_modules(package.__path__)]
    return tuple(sorted((Format(m.NAME, m.FILENAME, m.render) for m in modules), key=lambda f: f.name))


def format_named(name: str) -> Format:
    """The format of that name. Raises UsageError with the known ones."""
    known = {item.name: item for item in all_formats()}
    if name not in known:
        raise UsageError(f"report format {name!r} is unknown{did_you_mean(name, known)} (known: {', '.join(known)})")
    return known[name]
