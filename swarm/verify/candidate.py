"""A candidate: a stack of patches written one on the other, and the copy of the target that holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from swarm.analysis.index import Index, build_index
from swarm.core.patches import FileChange, GateName, Patch
from swarm.rules.rule import Rule
from swarm.verify.fixes import Fix, NotMended, build_patch


@dataclass(frozen=True, slots=True)
class Stack:
    """Patches in order, the fixes that they come from, and the index of the tree with all of them."""

    fixes: tuple[Fix, ...]
    patches: tuple[Patch, ...]
    index: Index

    def combined(self) -> tuple[FileChange, ...]:
        """All patches as one change a file."""
        first: dict[str, str | None] = {}
        last: dict[str, str | None] = {}
        for patch in self.patches:
            for change in patch.changes:
                first.setdefault(change.path, change.before)
                last[change.path] = change.after
        return tuple(FileChange(path, first[path], last[path]) for path in first)


@dataclass(frozen=True, slots=True)
class Unbuilt:
    """A fix that is no part of the stack: `patch` is None where the rule wrote none.

    Else `gate` is the one that refuses the patch that was written.
    """

    fix: Fix
    reason: str
    patch: Patch | None = None
    gate: GateName = "applies"


def empty_stack(index: Index) -> Stack:
    """No patches on the original tree."""
    return Stack((), (), index)


def extend(stack: Stack, fixes: Sequence[Fix], rules: Mapping[str, Rule]) -> tuple[Stack, tuple[Unbuilt, ...]]:
    """The stack with `fixes` written on it in order, and those that gave no patch.

    What a fix comes to on a tree is worked out once: the same stack is written for weighing, proof and benchmark.
    """
    unbuilt: list[Unbuilt] = []
    for fix in fixes:
        known = _written.setdefault(stack.index, {})
        key = (fix, len(stack.patches) + 1, id(rules))
        if key not in known:
            known[key] = _write(stack.index, fix, len(stack.patches) + 1, rules)
        written = known[key]
        if isinstance(written, Unbuilt):
            unbuilt.append(written)
        else:
            patch, index = written
            stack = Stack((*stack.fixes, fix), (*stack.patches, patch), index)
    return stack, tuple(unbuilt)


Written = tuple[Patch, Index] | Unbuilt
_written: WeakKeyDictionary[Index, dict[tuple[Fix, int, int], Written]] = WeakKeyDictionary()


def _write(tree: Index, fix: Fix, number: int, rules: Mapping[str, Rule]) -> Written:
    """A fix on a tree: its patch with the index of the tree that has it, or why there is none."""
    built = build_patch(fix, tree, rules, number)
    if isinstance(built, NotMended):
        return Unbuilt(fix, built.reason)
    wrong = _misfit(built, tree)
    if wrong:
        return Unbuilt(fix, wrong, built)
    try:
        index = build_index(tree.tree.with_changes(built.changes))
    except (SyntaxError, ValueError) as error:
        return Unbuilt(fix, f"does not parse: {error}", built, "parses")
    broken = newly_unparsed(tree, index)
    if broken:
        return Unbuilt(fix, f"does not parse: {broken}", built, "parses")
    return built, index


def newly_unparsed(before: Index, after: Index) -> str:
    """The first file that parsed and does not any more, with its reason, or ""."""
    known = {path for path, _ in before.tree.unparsed}
    return next((f"{path}: {reason}" for path, reason in after.tree.unparsed if path not in known), "")


def _misfit(patch: Patch, index: Index) -> str:
    """Why a patch does not fit on the tree, or ""."""
    for change in patch.changes:
        module = index.tree.modules.get(change.path)
        current = module.text if module else index.tree.other.get(change.path)
        if change.before is None and (current is not None or change.path in index.tree.files):
            return f"{change.path} is there already"
        if change.before is not None and current is not None and current != change.before:
            return f"{change.path} is not as the patch expects it after the patches before"
    return ""
