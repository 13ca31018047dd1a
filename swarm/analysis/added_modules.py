"""Modules that mends have added to a target: they are not the service's own work."""

from __future__ import annotations

from swarm.analysis.source import Module

MARK = "PROMETHEUS_LINES"  # each of them that keeps figures says so by this name


def is_added(module: Module) -> bool:
    """Whether a mend put the module there."""
    return MARK in module.globals
