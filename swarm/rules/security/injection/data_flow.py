"""What rules that follow data share: a finding for each place that data from outside reaches unchecked."""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from swarm.analysis.dataflow.engine import flows_of
from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.dataflow.values import SourceKind, Taint, Value
from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module
from swarm.core.findings import Confidence, Finding, FlowStep, Severity
from swarm.core.patches import FileChange
from swarm.rules.distinct import distinct
from swarm.rules.rule import Mend, Rule, edited

_CONFIDENCE: dict[SourceKind, Confidence] = {
    "request": "high", "parameter": "medium", "random": "high", "upstream": "low", "stored": "low",
}  # fmt: skip
_WHENCE: dict[SourceKind, str] = {
    "request": "what a sender chose", "parameter": "what a caller hands in", "random": "a number of `random`",
    "upstream": "what another service answered", "stored": "what was stored",
}  # fmt: skip

# what somebody may have chosen, but not whoever sends the request
_SECOND_HAND: tuple[SourceKind, ...] = ("upstream", "stored")


@dataclass(frozen=True, slots=True)
class Hit:
    """A value that must not hold data from outside, unless it earned one of the `accepted` marks or is `harmless`.

    `title`, `severity`, `confidence` and `recommendation` stand in for the rule's own, where this place has others.
    """

    value: Value
    accepted: tuple[str, ...] = ()
    harmless: Callable[[Taint], bool] | None = None
    title: str = ""
    severity: Severity | None = None
    confidence: Confidence | None = None
    recommendation: str = ""

    def dirty(self, kinds: tuple[SourceKind, ...]) -> list[Taint]:
        """The sources that reach it unchecked, those of the request first."""
        left = [t for t in self.value.dirty("vague", *self.accepted) if t.kind in kinds]
        if self.harmless is not None:
            left = [taint for taint in left if not self.harmless(taint)]
        return sorted(left, key=lambda taint: kinds.index(taint.kind))


@dataclass(frozen=True, slots=True)
class Reached:
    """A place that data from outside reaches: what was seen there, the hit and the source."""

    seen: Seen
    hit: Hit
    taint: Taint

    @property
    def flow(self) -> tuple[FlowStep, ...]:
        """Source, steps, and the place itself."""
        module, line = self.seen.module, getattr(self.seen.node, "lineno", 1)
        end = FlowStep(module.path, line, module.line(line).strip()[:160])
        steps = self.taint.steps
        return steps if steps and (steps[-1].file, steps[-1].line) == (end.file, end.line) else (*steps, end)


class FlowRule(Rule):
    """A rule about places that data from outside must not reach; a subclass says which these are.

    `kinds` are the sources that count; `harm` ends the sentence of the evidence.
    """

    kinds: ClassVar[tuple[SourceKind, ...]] = ("request",)
    once: ClassVar[bool] = False  # tell what one source does in one function once
    harm: ClassVar[str]
    recommendation: ClassVar[str]

    @abstractmethod
    def hits(self, seen: Seen, index: Index) -> Iterator[Hit]:
        """The values at this place that must be clean."""

    def reached(self, index: Index) -> list[Reached]:
        """Each place once for each source that reaches it, in the order of the source."""
        found: dict[tuple[int, int], Reached] = {}
        for seen in flows_of(index).seen:
            for hit in self.hits(seen, index):
                dirty = hit.dirty(self.kinds)
                if dirty:
                    # callers of a function that no handler calls are as many as its parameters: they count once
                    source = dirty[0].key if dirty[0].kind == "request" else 0
                    found.setdefault((id(seen.node), source), Reached(seen, hit, dirty[0]))
        return sorted(found.values(), key=lambda r: (r.seen.module.path, getattr(r.seen.node, "lineno", 0)))

    def groups(self, index: Index) -> list[list[Reached]]:
        """The places of each finding, the one that is told first: those that one source reaches in one function."""
        together: dict[object, list[Reached]] = {}
        for number, place in enumerate(self.reached(index)):
            key = (place.seen.function or place.seen.module, place.taint.key) if self.once else number
            together.setdefault(key, []).append(place)
        return list(together.values())

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every place that data reaches."""
        for group in self.groups(index):
            mendable = all(self.is_mendable(index, place) for place in group)
            yield self.found(index, group[0], mendable=mendable)

    def is_mendable(self, index: Index, place: Reached) -> bool:
        """Whether the rule can mend this place; a subclass with a mend says so."""
        return False

    def found(self, index: Index, place: Reached, *, mendable: bool) -> Finding:
        """The finding of a place, with the way of the data."""
        seen, taint = place.seen, place.taint
        where = seen.function.qualname if seen.function is not None else "module level"
        first = taint.steps[0] if taint.steps else None
        start = f" ({first.file}:{first.line}: {first.text})" if first is not None else ""
        finding = self.finding(
            seen.module, seen.node, evidence=f"{_WHENCE[taint.kind]}{start} {self.harm}",
            recommendation=place.hit.recommendation or self.recommendation,
            anchor=f"{where}: {told(seen)}", mendable=mendable,
            confidence=place.hit.confidence or _CONFIDENCE[taint.kind], title=place.hit.title,
            severity="medium" if taint.kind in _SECOND_HAND else place.hit.severity,
        )  # fmt: skip
        return replace(finding, flow=place.flow)


class MendingFlowRule(FlowRule):
    """One that mends by edits of the file in which the data does harm; a subclass writes them for a place."""

    mend_title: ClassVar[str]
    mend_reason: ClassVar[str]

    @abstractmethod
    def edits(self, index: Index, place: Reached) -> list[Edit]:
        """What makes this place safe; none where no safe mend is known."""

    def is_mendable(self, index: Index, place: Reached) -> bool:
        """Whether there are edits for it."""
        return bool(self.edits(index, place))

    def added_files(self, index: Index, module: Module) -> tuple[FileChange, ...]:
        """Modules that the edits of a file import and that are not there yet."""
        return ()

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """The edits of all places of these findings."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        edits: dict[tuple[int, int, str], Edit] = {}
        for group in self.groups(index):
            if group[0].seen.module is not module or getattr(group[0].seen.node, "lineno", 0) not in lines:
                continue
            several = [self.edits(index, place) for place in group]
            if all(several):
                edits.update({(e.start, e.end, e.text): e for edits in several for e in edits if _changes(e)})
        if not edits:
            return None
        change = edited(module, edits.values())
        return Mend(self.mend_title, self.mend_reason, (change, *self.added_files(index, module)))


def _changes(edit: Edit) -> bool:
    return bool(edit.text) or edit.start != edit.end


def given(call: ast.AST, position: int, *names: str) -> ast.expr | None:
    """The expression of an argument, by position or name; None where it is not given so."""
    if not isinstance(call, ast.Call):
        return None
    for keyword in call.keywords:
        if keyword.arg in names:
            return keyword.value
    if not 0 <= position < len(call.args) or any(isinstance(a, ast.Starred) for a in call.args[: position + 1]):
        return None
    return call.args[position]


def holds(
    index: Index,
    *accepted: str,
    harmless: Callable[[Taint], bool] | None = None,
    kinds: tuple[SourceKind, ...] = ("request", "parameter"),
) -> Callable[[ast.expr], bool]:
    """Tells of an expression whether it was seen to hold data from these sources without one of these marks."""
    held = flows_of(index).held

    def is_dirty(node: ast.expr) -> bool:
        return any(
            taint.kind in kinds
            and taint.marks.isdisjoint(("vague", *accepted))
            and not (harmless is not None and harmless(taint))
            for taint in held.get(id(node), ())
        )

    return is_dirty


def told(seen: Seen) -> str:
    """The place in words that stay when lines move."""
    node = seen.node
    if isinstance(node, ast.Call):
        return unparsed(node.func)[:80]
    return f"{seen.what} {unparsed(node)[:60]}" if isinstance(node, ast.expr) else seen.what


def calls(seen: Seen, *names: str) -> bool:
    """Whether a call of one of these: dotted names of functions, or `.name` of a method."""
    if seen.what != "call":
        return False
    if seen.name in names:
        return "." in seen.name or not _is_method(seen.node)  # `path.open()` is not `open()`
    return "." + seen.name.rsplit(".", 1)[-1] in names and _is_method(seen.node)


def _is_method(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
