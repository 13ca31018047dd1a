"""What rules that follow data share: a finding for each place that data from outside reaches unchecked."""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from swarm.analysis.dataflow.engine import flows_of
from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.dataflow.values import SourceKind, Taint, Value
from swarm.analysis.index import Index
from swarm.core.findings import Confidence, Finding, FlowStep, Severity
from swarm.rules.distinct import distinct
from swarm.rules.rule import Rule

_CONFIDENCE: dict[SourceKind, Confidence] = {
    "request": "high", "parameter": "medium", "random": "high", "upstream": "low", "stored": "low",
}  # fmt: skip
_WHENCE: dict[SourceKind, str] = {
    "request": "what a sender chose", "parameter": "what a caller hands in", "random": "a number of `random`",
    "upstream": "what another service answered", "stored": "what was stored",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hit:
    """A value that must not hold data from outside, unless it earned one of the `accepted` marks or is `harmless`."""

    value: Value
    accepted: tuple[str, ...] = ()
    harmless: Callable[[Taint], bool] | None = None
    title: str = ""
    severity: Severity | None = None
    confidence: Confidence | None = None

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

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every place that data reaches."""
        told_of: set[tuple[object, int]] = set()
        for place in self.reached(index):
            key = place.seen.function or place.seen.module, place.taint.key
            if self.once and key in told_of:
                continue
            told_of.add(key)
            yield self.found(index, place, mendable=self.is_mendable(index, place))

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
            recommendation=self.recommendation, anchor=f"{where}: {told(seen)}", mendable=mendable,
            confidence=place.hit.confidence or _CONFIDENCE[taint.kind], title=place.hit.title,
            severity=place.hit.severity,
        )  # fmt: skip
        return replace(finding, flow=place.flow)


def told(seen: Seen) -> str:
    """The place in words that stay when lines move."""
    node = seen.node
    if isinstance(node, ast.Call):
        return ast.unparse(node.func)[:80]
    return f"{seen.what} {ast.unparse(node)[:60]}" if isinstance(node, ast.expr) else seen.what


def calls(seen: Seen, *names: str) -> bool:
    """Whether a call of one of these: dotted names of functions, or `.name` of a method."""
    if seen.what != "call":
        return False
    is_method = isinstance(seen.node, ast.Call) and isinstance(seen.node.func, ast.Attribute)
    if seen.name in names:
        return "." in seen.name or not is_method  # `path.open()` is not `open()`
    return is_method and "." + seen.name.rsplit(".", 1)[-1] in names
