"""bandit's findings that following the data has settled: in code followed from its handlers, clean is clean."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from swarm.analysis.dataflow.engine import flows_of
from swarm.analysis.index import Index
from swarm.core.findings import Finding

# what bandit reports by the look of a call, whatever reaches it: code, commands, objects, XML, SQL
_BY_LOOK = frozenset({
    "B102", "B301", "B302", "B307", "B313", "B314", "B315", "B316", "B317", "B318", "B319", "B320", "B506", "B602",
    "B603", "B604", "B605", "B606", "B607", "B608",
})  # fmt: skip


def unsettled(index: Index, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those that are left: of these kinds, what lies where no handler was seen to lead."""
    followed: dict[str, list[tuple[int, int]]] = {}
    for function in flows_of(index).followed:
        node: ast.FunctionDef | ast.AsyncFunctionDef = function.node
        followed.setdefault(function.module.path, []).append((node.lineno, node.end_lineno or node.lineno))
    return tuple(
        finding
        for finding in findings
        if not _may_be_given(index, finding)
        and (
            finding.rule.removeprefix("bandit-") not in _BY_LOOK
            or not any(first <= finding.line <= last for first, last in followed.get(finding.file, ()))
        )
    )


def _may_be_given(index: Index, finding: Finding) -> bool:
    """A call without a timeout (B113) that is given `**options`: it may stand in them, which our own rule knows."""
    module = index.tree.modules.get(finding.file)
    if finding.rule != "bandit-B113" or module is None:
        return False
    calls = (call for call in module.nodes(ast.Call) if call.lineno == finding.line)
    return any(keyword.arg is None for call in calls for keyword in call.keywords)
