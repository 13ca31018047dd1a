"""Looking with a rule: once over each tree, and an error of the rule's own ends its search alone.

One rule looks over a tree at a time. Specialists look side by side, in threads, and what is half worked out is for a
moment what it will not be in the end.
"""

from __future__ import annotations

from collections.abc import Mapping

from swarm.analysis.index import Index
from swarm.core.findings import Finding
from swarm.rules.rule import Rule

_BLIND = "rules that broke down"


def found_by(rule: Rule, index: Index) -> tuple[Finding, ...]:
    """What a rule finds; where it breaks down, what it had found by then, and `blind_rules` names it."""
    kind = type(rule)
    key = f"found by {kind.__module__}.{kind.__qualname__}"
    with index.alone:
        kept = index.notes.get(key)
        if kept is None:
            found: list[Finding] = []
            try:
                found.extend(rule.find(index))
            except Exception as error:  # noqa: BLE001 - a tree that one rule cannot read is no reason to end a run
                _broken(index)[rule.id] = f"{type(error).__name__}: {error}".rstrip(": ")
            kept = index.notes[key] = tuple(found)
    assert isinstance(kept, tuple)
    return kept


def blind_rules(index: Index) -> Mapping[str, str]:
    """The rules that broke down on this tree so far, by id, each with its error: they may have missed something."""
    return _broken(index)


def _broken(index: Index) -> dict[str, str]:
    broken = index.notes.setdefault(_BLIND, {})
    assert isinstance(broken, dict)
    return broken
