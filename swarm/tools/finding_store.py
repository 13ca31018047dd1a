"""The findings of a run, by id, and which agent reported each first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from swarm.core.findings import Finding, confidence_rank
from swarm.core.report import Waterfall
from swarm.tools.costs import with_cost


class FindingStore:
    """Keeps one finding per id: the surer one, under the name of the agent that reported it first."""

    def __init__(self) -> None:
        self._by_id: dict[str, Finding] = {}
        self._waterfalls: tuple[Waterfall, ...] = ()

    def add(self, finding: Finding, agent: str) -> bool:
        """Take a finding that `agent` reports; True where it was not known before."""
        known = self._by_id.get(finding.id)
        if known is None:
            self._by_id[finding.id] = self._costed(finding.with_agent(agent))
            return True
        if confidence_rank(finding.confidence) < confidence_rank(known.confidence):
            self._by_id[finding.id] = self._costed(finding.with_agent(known.agent))
        return False

    def get(self, finding_id: str) -> Finding | None:
        """The finding as it stands now, or None."""
        return self._by_id.get(finding_id)

    def all(self) -> tuple[Finding, ...]:
        """Every finding, in the order of arrival."""
        return tuple(self._by_id.values())

    def of(self, finding_ids: Iterable[str]) -> tuple[Finding, ...]:
        """Those that are known, in the order given."""
        return tuple(self._by_id[one] for one in finding_ids if one in self._by_id)

    def measured(self, waterfalls: Sequence[Waterfall]) -> None:
        """Lay measured costs on the findings of performance, those that come later included."""
        self._waterfalls = tuple(waterfalls)
        self._by_id = {key: self._costed(finding) for key, finding in self._by_id.items()}

    def _costed(self, finding: Finding) -> Finding:
        if finding.category != "performance" or not self._waterfalls:
            return finding
        return with_cost(finding, self._waterfalls)
