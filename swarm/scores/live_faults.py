"""Faults that only a running service can show, planted in a copy of it: its refusals are taken out, its log talks.

The probes that passed on the real tree must fail on this one; those that don't are blind.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from swarm.analysis.edits import Edit, apply_edits
from swarm.analysis.index import Function, Index
from swarm.analysis.source import Module
from swarm.core.patches import FileChange
from swarm.core.report import PlantedFault
from swarm.probes.probe import ProbeResult

MUST_FAIL = ("W01", "W02", "W03")
_REFUSALS = (401, 403)
_REFUSING = ("werkzeug.exceptions.Unauthorized", "werkzeug.exceptions.Forbidden")


@dataclass(frozen=True, slots=True)
class Blinded:
    """The changes that take a service's refusals out, and how many there were."""

    changes: tuple[FileChange, ...]
    refusals: int


def without_refusals(index: Index) -> Blinded | None:
    """Every `if` on a request's path that ends in 401 or 403 never holds, every `except` that does lets it pass.

    None where there is neither.
    """
    changes: list[FileChange] = []
    count = 0
    for module in index.tree.modules.values():
        edits = [
            _taken_out(module, branch)
            for function in index.functions
            if function.module is module
            for branch in _refusing(index, function)
        ]
        # a test within a test is never reached any more
        edits = [e for e in edits if not any(o is not e and o.start <= e.start and e.end <= o.end for o in edits)]
        if edits:
            count += len(edits)
            changes.append(FileChange(module.path, module.text, apply_edits(module.text, edits)))
    return Blinded(tuple(changes), count) if changes else None


def signature_fault(results: Sequence[ProbeResult]) -> PlantedFault:
    """How many of the probes that ask for signatures saw that nobody checks them any more."""
    asked = [result for result in results if result.probe in MUST_FAIL]
    return PlantedFault("signature", len(asked), sum(result.outcome == "failed" for result in asked))


def _taken_out(module: Module, branch: ast.If | ast.ExceptHandler) -> Edit:
    if isinstance(branch, ast.If):
        return Edit(*module.span(branch.test), "False")
    return Edit(module.span(branch.body[0])[0], module.span(branch.body[-1])[1], "pass")


def _refusing(index: Index, function: Function) -> Iterator[ast.If | ast.ExceptHandler]:
    if index.routes and function not in index.reachable():
        return
    branches = [node for node in index.own_nodes(function) if isinstance(node, ast.If | ast.ExceptHandler)]
    for branch in branches:
        if any(_refuses(index, function, statement) for statement in branch.body):
            yield branch


def _refuses(index: Index, function: Function, statement: ast.stmt) -> bool:
    """`return …401…`, `raise HTTPException(403)`, `abort(401)`, or a call of what does so."""
    if isinstance(statement, ast.If | ast.For | ast.While | ast.With | ast.Try | ast.AsyncFor | ast.AsyncWith):
        return False
    for node in ast.walk(statement):
        if isinstance(node, ast.Constant) and node.value in _REFUSALS and not isinstance(node.value, bool):
            return True
        if isinstance(node, ast.Attribute) and node.attr.startswith(
            ("HTTP_401", "HTTP_403", "UNAUTHORIZED", "FORBIDDEN")
        ):
            return True
        if isinstance(node, ast.Name | ast.Attribute) and index.resolve(function.module, node) in _REFUSING:
            return True
        if isinstance(node, ast.Call):
            called = index.resolve_call(function.module, node)
            if called is not None and called is not function and _is_refusal(called):
                return True
    return False


def _is_refusal(function: Function) -> bool:
    """A small function that only makes the refusal."""
    if len(function.node.body) > 4:
        return False
    return any(isinstance(node, ast.Constant) and node.value in _REFUSALS for node in ast.walk(function.node))
