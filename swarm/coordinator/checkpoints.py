"""Phases that a run has finished, in its journal beside a digest of what went into them.

A resumed run takes a phase from there where the same goes in again; anything that cannot be read or that comes out
otherwise counts as not there, and the phase is done anew. Of patches only the lines that they write are kept. The
recording of the target's behaviour is in no journal (it holds the bodies of requests): a run that was cut off before
its proof was whole records again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swarm.analysis.source import SourceTree
from swarm.coordinator.baseline import Tested
from swarm.coordinator.benchmark import Results, Weighed
from swarm.coordinator.own_lines import with_code, without_code
from swarm.coordinator.state import Parts, RunRequest, RunState
from swarm.core.chat_codec import masked
from swarm.core.codec import decode, decode_as, encode
from swarm.core.errors import TargetError
from swarm.core.patches import Accepted, Effect, GateResult, JudgedPatch, Patch, Rejected
from swarm.core.report import AgentInfo, PlantedFault, TestCounts
from swarm.target.tree.digest import TreeDigest
from swarm.verify.candidate import Stack, Unbuilt, extend
from swarm.verify.fixes import Fix
from swarm.verify.judging import Judgement
from swarm.verify.testrun import TestRun
from swarm.verify.verifier import Proven

_NAMED = 3  # changed files that an error names


@dataclass(frozen=True, slots=True)
class ProvenPhase:
    """All that the proof leaves to the benchmark."""

    proven: Proven
    weighed: Weighed
    planted: tuple[PlantedFault, ...]


class Checkpoints:
    """Of one run; `reused` names the phases that were taken from the journal."""

    def __init__(self, request: RunRequest, parts: Parts) -> None:
        self._request, self._parts = request, parts
        kept = [record for record in parts.records if record.get("kind") == "checkpoint"]
        self._known = {str(record.get("phase")): record for record in kept}
        self._tree = ""
        self._source = SourceTree({}, {}, frozenset(), {}, "")
        self.reused: list[str] = []

    def same_tree(self, now: TreeDigest, source: SourceTree) -> None:
        """Keep what the target is now, or compare it with what it was. Raises TargetError where it is another."""
        self._source = source
        target = _digest(self._request.target.model_dump(mode="json"))
        self._tree = _digest([now.whole, target, self._parts.version])
        known = next((record for record in self._parts.records if record.get("kind") == "tree"), None)
        if known is None:
            self._parts.journal.append("tree", {"target": target, "files": dict(now.files)})
            return
        files = known.get("files")
        changed = now.changed(TreeDigest(files if isinstance(files, dict) else {}))
        if changed or known.get("target") != target:
            words = [*changed[:_NAMED], *([f"{len(changed) - _NAMED} more"] if len(changed) > _NAMED else [])]
            what = ", ".join(words) or f"targets.{self._request.target_name} in agents.yaml"
            raise TargetError(
                f"the target has changed since run {self._request.run_id} began ({what}): its journal is of what was "
                "there then.\nPut that back, or start anew with: swarm run"
            )

    def may_hold(self, phase: str) -> bool:
        """Whether the phase was finished, with whatever went into it."""
        return phase in self._known

    def keep_tested(self, tested: Tested) -> None:
        """The target's own tests are green."""
        tests = tested.tests
        value = {"tests": None if tests is None else {**encode(tests), "tail": ""}}
        self._keep("baseline", (), {**value, "notes": list(tested.notes)})

    def tested(self) -> Tested | None:
        """What `keep_tested` kept."""
        value = self._taken("baseline", ())
        try:
            if value is None:
                return None
            told = value["tests"]
            tests = None if told is None else TestRun(
                decode(TestCounts, told["counts"]), dict(told["outcomes"]), told["exit_code"], told["ended_by"],
                told["tail"], float(told["duration_s"] or 0.0),
            )  # fmt: skip
            return Tested(tests, tuple(value["notes"]))
        except (KeyError, TypeError, ValueError):
            return None

    def keep_weighed(self, planned: Sequence[Fix], weighed: Weighed, state: RunState, notes: Sequence[str]) -> None:
        """What the ladder said, and whom it refused."""
        value = {"weighed": _weighed_record(weighed), "patches": _judged_records(state.patches), "notes": list(notes)}
        self._keep("weigh", planned, value)

    def weighed(self, planned: Sequence[Fix], state: RunState) -> Weighed | None:
        """What `keep_weighed` kept; its refused patches and notes are laid into the state."""
        value = self._taken("weigh", planned)
        try:
            if value is None:
                return None
            weighed, patches = _weighed(value["weighed"], planned), _judged(value["patches"])
        except (KeyError, TypeError, ValueError):
            return None
        state.patches[:], state.notes[:] = patches, [*state.notes, *value["notes"]]
        self.reused.append("weigh")
        return weighed

    def keep_proven(
        self,
        planned: Sequence[Fix],
        done: ProvenPhase,
        state: RunState,
        notes: Sequence[str],
        agents: Sequence[AgentInfo],
    ) -> None:
        """What was proven. Nothing is kept where the benchmark may have to prove again.

        `agents` are as they were before the proof: those that wrote a patch anew have taken more turns since.
        """
        if not done.weighed.climbed and self._request.target.webhooks and done.proven.stack.fixes:
            return
        proven = done.proven
        self._keep("verify", planned, {
            "fixes": encode(proven.stack.fixes),
            "combined": _digest(encode(proven.stack.combined())),
            "judgement": encode(proven.judgement),
            "unbuilt": [{"fix": encode(one.fix), "reason": one.reason} for one in proven.unbuilt],
            "weighed": _weighed_record(done.weighed),
            "planted": encode(done.planted),
            "patches": _judged_records(state.patches),
            "agents": [encode(one) for one in state.agents if one not in agents],
            "notes": list(notes),
        })  # fmt: skip

    def proven(self, planned: Sequence[Fix], original: Stack, state: RunState) -> ProvenPhase | None:
        """What `keep_proven` kept, its stack written anew; the rest is laid into the state."""
        value = self._taken("verify", planned)
        try:
            if value is None:
                return None
            fixes: tuple[Fix, ...] = decode_as(tuple[Fix, ...], value["fixes"])
            stack, left_out = extend(original, fixes, self._parts.rules)
            if left_out or _digest(encode(stack.combined())) != value["combined"]:
                return None  # another swarm's rules, or a patch whose text the journal masks
            judgement = None if value["judgement"] is None else decode(Judgement, value["judgement"])
            unbuilt = tuple(Unbuilt(decode(Fix, one["fix"]), str(one["reason"])) for one in value["unbuilt"])
            weighed = _weighed(value["weighed"], (*planned, *fixes))
            planted: tuple[PlantedFault, ...] = decode_as(tuple[PlantedFault, ...], value["planted"])
            patches = _judged(value["patches"])
            revised = {one.name: one for one in decode_as(tuple[AgentInfo, ...], value["agents"])}
        except (KeyError, TypeError, ValueError):
            return None
        state.patches[:] = patches
        state.agents[:] = [revised.get(one.name, one) for one in state.agents]
        state.notes += value["notes"]
        self.reused += ["weigh", "verify"]
        return ProvenPhase(Proven(stack, judgement, (), unbuilt), weighed, planted)

    def _keep(self, phase: str, planned: Sequence[Fix], value: Mapping[str, Any]) -> None:
        kept = masked(without_code(value, self._source), self._parts.mask)
        record = {"phase": phase, "inputs": self._inputs(planned), "value": kept}
        self._parts.journal.append("checkpoint", record)

    def _taken(self, phase: str, planned: Sequence[Fix]) -> dict[str, Any] | None:
        record = self._known.get(phase, {})
        value = record.get("value")
        if not isinstance(value, dict) or record.get("inputs") != self._inputs(planned):
            return None
        try:
            found: dict[str, Any] = with_code(value, self._source)
        except (TypeError, ValueError):
            return None
        return found

    def _inputs(self, planned: Sequence[Fix]) -> str:
        return _digest([self._tree, encode(tuple(planned))])


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _weighed_record(weighed: Weighed) -> dict[str, Any]:
    return {
        "results": {key: {"gate": encode(gate), "effect": encode(effect)} for key, (gate, effect) in
                    weighed.results.items()},
        "kept": [fix.key for fix in weighed.kept],
        "climbed": weighed.climbed,
        "gates": {key: encode(gates) for key, gates in weighed.gates.items()},
    }  # fmt: skip


def _weighed(record: Mapping[str, Any], planned: Sequence[Fix]) -> Weighed:
    by_key = {fix.key: fix for fix in planned}
    results: Results = {
        key: (decode(GateResult, one["gate"]), _effect(one["effect"])) for key, one in record["results"].items()
    }
    gates = {key: tuple(decode(GateResult, one) for one in told) for key, told in record["gates"].items()}
    return Weighed(results, tuple(by_key[key] for key in record["kept"]), bool(record["climbed"]), gates)


def _judged_records(patches: Sequence[JudgedPatch]) -> list[dict[str, Any]]:
    return [
        {
            "patch": encode(one.patch),
            "gate": one.verdict.gate if isinstance(one.verdict, Rejected) else None,
            "reason": one.verdict.reason if isinstance(one.verdict, Rejected) else "",
            "gates": encode(one.verdict.gates),
            "effect": encode(one.verdict.effect),
        }
        for one in patches
    ]


def _judged(records: Sequence[Mapping[str, Any]]) -> list[JudgedPatch]:
    found = []
    for one in records:
        gates, effect = tuple(decode(GateResult, gate) for gate in one["gates"]), _effect(one["effect"])
        verdict = Rejected(one["gate"], one["reason"], gates, effect) if one["gate"] else Accepted(gates, effect)
        found.append(JudgedPatch(decode(Patch, one["patch"]), verdict))
    return found


def _effect(data: Any) -> Effect | None:
    return None if data is None else decode(Effect, data)
