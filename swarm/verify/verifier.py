"""Proves fixes: the whole batch together, and by parts only where the batch fails, as a merge queue does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from swarm.core.events import PatchJudged
from swarm.core.patches import GATES, GateName, GateResult, JudgedPatch, Patch, Rejected
from swarm.verify.candidate import Stack, Unbuilt, extend
from swarm.verify.fixes import Fix
from swarm.verify.judging import Judgement, ask, judge
from swarm.verify.lab import Lab


@dataclass(frozen=True, slots=True)
class Proven:
    """What came of a batch: the stack that passed, what was rejected, and what gave no patch.

    `judgement` is of the whole stack; None where no fix was added to it.
    """

    stack: Stack
    judgement: Judgement | None
    rejected: tuple[JudgedPatch, ...]
    unbuilt: tuple[Unbuilt, ...]

    def before(self, rejected: tuple[JudgedPatch, ...], unbuilt: tuple[Unbuilt, ...]) -> Proven:
        """The same with what had been said before it."""
        return replace(self, rejected=rejected + self.rejected, unbuilt=unbuilt + self.unbuilt)


async def prove(
    lab: Lab, fixes: Sequence[Fix], stack: Stack | None = None, doubted: frozenset[GateName] = frozenset()
) -> Proven:
    """Prove `fixes` on top of `stack` (the original where None).

    Where a gate refuses them together, it alone is asked to find who fails it; the others are proven whole again.
    `doubted` are gates that refused the same fixes before and then refused no part of them: where one of them does
    so once more, each half is proven by itself.
    """
    stack = lab.original if stack is None else stack
    extended, left_out = await asyncio.to_thread(extend, stack, fixes, lab.rules)
    refused = tuple(_refused(lab, item, item.patch) for item in left_out if item.patch is not None)
    unbuilt = tuple(item for item in left_out if item.patch is None)
    pending, patches = _added(stack, extended)
    if not pending:
        return Proven(stack, None, refused, unbuilt)
    judgement = await judge(lab, extended, patches, stack)
    failed = judgement.failed
    if failed is None:
        return Proven(extended, judgement, refused, unbuilt)
    if len(pending) == 1:
        return Proven(stack, None, (*refused, _rejected(lab, patches[0], failed, judgement)), unbuilt)
    lab.say(f"{failed.name} refuses {len(pending)} patches together: looking for the one")
    suspects = _suspects(failed, pending, patches)
    if failed.name in doubted:
        left = await prove(lab, suspects[0], stack)
        right = await prove(lab, suspects[1], left.stack)
        whole = replace(right, judgement=right.judgement or left.judgement)
        return whole.before(refused + left.rejected, unbuilt + left.unbuilt)
    guilty: dict[str, JudgedPatch] = {}
    sifted = stack
    for part in suspects:
        sifted, found = await _sift(lab, part, sifted, failed.name)
        guilty |= found
    innocent = [fix for fix in pending if fix.key not in guilty]
    doubt = frozenset() if guilty else doubted | {failed.name}
    return (await prove(lab, innocent, stack, doubt)).before((*refused, *guilty.values()), unbuilt)


async def _sift(lab: Lab, fixes: Sequence[Fix], stack: Stack, gate: GateName) -> tuple[Stack, dict[str, JudgedPatch]]:
    """The stack with what one gate lets pass, and the verdicts on what it refuses, by the fixes' keys."""
    extended, _ = await asyncio.to_thread(extend, stack, fixes, lab.rules)
    pending, patches = _added(stack, extended)
    if not pending:
        return stack, {}
    judgement = await ask(lab, extended, patches, stack, gate)
    failed = judgement.failed
    if failed is None:
        return extended, {}
    if len(pending) == 1:
        return stack, {pending[0].key: _rejected(lab, patches[0], failed, judgement)}
    guilty: dict[str, JudgedPatch] = {}
    for part in _suspects(failed, pending, patches):
        stack, found = await _sift(lab, part, stack, gate)
        guilty |= found
    return stack, guilty


def _added(below: Stack, extended: Stack) -> tuple[tuple[Fix, ...], tuple[Patch, ...]]:
    """What the upper stack has on top of the lower one."""
    return extended.fixes[len(below.fixes) :], extended.patches[len(below.patches) :]


def _rejected(lab: Lab, patch: Patch, failed: GateResult, judgement: Judgement) -> JudgedPatch:
    lab.emit(PatchJudged(patch.id, patch.title, False, f"{failed.name}: {failed.detail}"))
    return JudgedPatch(patch, Rejected(failed.name, failed.detail, judgement.gates))


def _refused(lab: Lab, item: Unbuilt, patch: Patch) -> JudgedPatch:
    """The verdict on a patch that could not be stacked."""
    lab.emit(PatchJudged(patch.id, patch.title, False, f"{item.gate}: {item.reason}"))
    gates = tuple(
        GateResult(name, name != item.gate, item.reason if name == item.gate else "")
        for name in GATES[: GATES.index(item.gate) + 1]
    )
    return JudgedPatch(patch, Rejected(item.gate, item.reason, gates))


def _suspects(
    failed: GateResult, pending: tuple[Fix, ...], patches: tuple[Patch, ...]
) -> tuple[tuple[Fix, ...], tuple[Fix, ...]]:
    """Two parts to prove apart: a gate that names rules or a file points at their patches, else halves."""
    named = {
        fix.key for fix, patch in zip(pending, patches, strict=True)
        if fix.rule in failed.rules
        or (failed.name in ("parses", "protects", "gone") and any(f in failed.detail for f in patch.files))
    }  # fmt: skip
    if named and len(named) < len(pending):
        return (
            tuple(fix for fix in pending if fix.key not in named),
            tuple(fix for fix in pending if fix.key in named),
        )
    middle = len(pending) // 2
    return pending[:middle], pending[middle:]
