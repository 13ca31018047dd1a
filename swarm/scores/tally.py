"""Credits to a score that skipping cannot raise: a weighted mean under caps. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from swarm.core.findings import Finding, Severity, severity_rank
from swarm.core.report import PlantedFault, Score, ScoreCheck
from swarm.scores.credit import Credit, Seen, credit_of
from swarm.scores.registry import ATTESTED, CHECKS, Area, Check, checks_of, registry_digest

CAPS: dict[Severity, float] = {"critical": 39.0, "high": 69.0, "medium": 89.0}
NO_CONTROL_CAP = 49.0
LEAST_RUN = 0.95
# ">95" is said only where every class of planted faults was caught
NOT_ALL_CAUGHT_CAP = 95.0


@dataclass(frozen=True, slots=True)
class Tally:
    """One side of a score; `earned` is what the checks give before any cap."""

    value: float
    earned: float
    caps: tuple[str, ...]
    run: float
    credits: Mapping[str, Credit]


def tally(checks: Sequence[Check], seen: Seen, *, others: Iterable[Finding] = (),
          planted: Sequence[PlantedFault] = ()) -> Tally:  # fmt: skip
    """The score of what was seen of one tree. `others` are open findings that no check of the list names."""
    credits = {check.id: credit_of(check, seen) for check in checks}
    applicable = [(check, credits[check.id]) for check in checks if credits[check.id].value is not None]
    whole = sum(check.weight for check, _ in applicable)
    earned = sum(check.weight * (credit.value or 0.0) for check, credit in applicable)
    run = sum(check.weight for check, credit in applicable if credit.ran)
    share = run / whole if whole else 0.0
    value = 100.0 * earned / whole if whole else 0.0
    caps: list[tuple[float, str]] = []
    worst = [(credit.open, check.id) for check, credit in applicable if credit.open in CAPS]
    worst += [(f.severity, f.rule) for f in others if f.severity in CAPS]
    if worst:
        severity, name = min(worst, key=lambda pair: severity_rank(pair[0]))
        if severity is not None:
            caps.append((CAPS[severity], f"{CAPS[severity]:.0f}: {severity} and open, {name}"))
    blind = [check.id for check, credit in applicable if credit.without_control]
    if blind:
        caps.append((NO_CONTROL_CAP, f"{NO_CONTROL_CAP:.0f}: probes without their positive control"))
    if share < LEAST_RUN:
        caps.append((100.0 * share, f"{_down(100.0 * share):g}: only so much of the weight was run"))
    missed = [fault.name for fault in planted if fault.caught < fault.planted or not fault.planted]
    if missed:
        caps.append(
            (NOT_ALL_CAUGHT_CAP, f"{NOT_ALL_CAUGHT_CAP:.0f}: planted faults not all caught: {', '.join(missed)}")
        )
    holding = tuple(words for cap, words in sorted(caps) if cap < value)
    return Tally(_down(min([value, *(cap for cap, _ in caps)])), _down(value), holding, share, credits)


def score_of(area: Area, before: Tally | None, after: Tally | None, *, planted: Sequence[PlantedFault] = (),
             reason: str = "") -> Score:  # fmt: skip
    """Both sides as the report has them."""
    if before is None and after is None:
        return Score(None, None, reason=reason, registry=registry_digest())
    checks = tuple(_row(check, before, after) for check in checks_of(area))
    return Score(
        before=before.value if before else None,
        after=after.value if after else None,
        checks=checks,
        reason=reason,
        registry=registry_digest(),
        caps_before=before.caps if before else (),
        caps_after=after.caps if after else (),
        earned_before=before.earned if before else None,
        earned_after=after.earned if after else None,
        run_before=before.run if before else None,
        run_after=after.run if after else None,
        planted=tuple(planted),
        attested=ATTESTED if area == "compliance" else (),
    )


def unnamed(findings: Iterable[Finding], area: Area) -> tuple[Finding, ...]:
    """Open findings of the area that no check's rules name: they count in the caps all the same."""
    named = {rule for check in CHECKS for rule in check.rules}
    return tuple(
        f for f in findings
        if f.category == area and f.file and f.rule not in named and f.status != "patched"
        and f.confidence in ("proven", "high")
    )  # fmt: skip


def _row(check: Check, before: Tally | None, after: Tally | None) -> ScoreCheck:
    one = before.credits[check.id] if before else None
    two = after.credits[check.id] if after else None
    said = two or one
    evidence = said.evidence if said else ""
    if one and two and one.state != two.state and one.state == "failed":
        evidence = f"{two.evidence} (before: {one.evidence})"
    return ScoreCheck(
        id=check.id,
        title=check.title,
        kind=check.kind,
        weight=check.weight,
        before=one.value if one else None,
        after=two.value if two else None,
        evidence=evidence,
        before_state=one.state if one else None,
        after_state=two.state if two else None,
    )


def _down(value: float) -> float:
    """To one digit, downwards: 94.96 is not 95."""
    return math.floor(value * 10 + 1e-9) / 10
