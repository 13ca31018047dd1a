"""All rules, found by walking the rule packages; a broken one is refused with the reason."""

from __future__ import annotations

from functools import cache

from swarm.core.plugins import BrokenPlugin, discover
from swarm.rules.rule import Rule

PACKAGES = tuple(f"swarm.rules.{name}" for name in ("performance", "security", "api", "monitoring", "compliance"))


@cache
def all_rules() -> tuple[Rule, ...]:
    """One instance of every rule. Raises BrokenPlugin where a rule misses its id, docstring or examples."""
    rules: list[Rule] = []
    seen: dict[str, str] = {}
    for package in PACKAGES:
        for kind in discover(package, Rule):  # type: ignore[type-abstract]
            check(kind, seen)
            rules.append(kind())
    return tuple(rules)


def rule_by_id(rule_id: str) -> Rule | None:
    """The rule with this id, or None."""
    return next((rule for rule in all_rules() if rule.id == rule_id), None)


def check(kind: type[Rule], seen: dict[str, str]) -> None:
    """Note the rule's id in `seen` (id to class). Raises BrokenPlugin for what it misses, and an id that is taken."""
    where = f"{kind.__module__}.{kind.__qualname__}"
    for name in ("id", "category", "severity", "title", "bad", "good"):
        if not getattr(kind, name, None):
            raise BrokenPlugin(f"{where}: has no `{name}`")
    if not (kind.__doc__ or "").strip():
        raise BrokenPlugin(f"{where}: has no docstring; it is what `swarm explain` shows")
    if kind.id in seen:
        raise BrokenPlugin(f"{where}: the id {kind.id!r} is taken by {seen[kind.id]}")
    seen[kind.id] = where
