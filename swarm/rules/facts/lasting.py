"""Objects that outlive requests: who makes them, and which of their attributes keep what they began with."""

from __future__ import annotations

import ast

from swarm.analysis.effects import effects_cache
from swarm.analysis.index import Index

LASTING, CHANGED = "classes whose objects last", "attributes set later"


def lasts(index: Index, dotted: str) -> bool:
    """Whether a class's objects are made by modules or at the start alone, never by a request."""
    known = index.notes.setdefault(LASTING, {})
    assert isinstance(known, dict)
    if dotted not in known:
        known[dotted] = _made_at_start(index, dotted)
    return bool(known[dotted])


def _made_at_start(index: Index, dotted: str) -> bool:
    info = index.classes.get(dotted)
    if info is None:
        return False
    made = [(module, call) for module, call in index.calls_named(info.node.name)
            if index.resolve(module, call.func) == dotted]  # fmt: skip
    kept = any(
        module.enclosing_function(call) is None and isinstance(module.parent(call), ast.Assign | ast.AnnAssign)
        and isinstance(module.parent(module.parent(call) or call), ast.Module)
        for module, call in made
    )  # fmt: skip
    around = [index.enclosing(module, call) for module, call in made]
    by_start = [one for one in around if one is not None and one not in index.reachable()]
    return kept or (bool(made) and len(by_start) == len(made))


def is_set_later(index: Index, dotted: str, name: str) -> bool:
    """Whether a method of a class gives an attribute another value than `__init__` did."""
    known = index.notes.setdefault(CHANGED, {})
    assert isinstance(known, dict)
    info = index.classes.get(dotted)
    if dotted not in known:
        later = [method for method in info.methods.values() if method.name != "__init__"] if info is not None else []
        written = (effects_cache(index).of(method).writes_memory for method in later)
        parts = (part.removeprefix("self.") for names in written for part in names)
        known[dotted] = {part.split(".")[0].split("[")[0] for part in parts}
    return name in known[dotted]
