"""A score that skipping cannot raise: credits, caps, planted faults, and the list's digest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from swarm.core.findings import Finding
from swarm.core.report import PlantedFault
from swarm.probes.probe import Outcome, ProbeResult
from swarm.probes.run import NO_CONTROL
from swarm.scores.credit import Seen, credit_of
from swarm.scores.registry import CHECKS, DETECTORS, Check, checks_of, registry_digest
from swarm.scores.tally import score_of, tally, unnamed

SECURITY = checks_of("security")
PROBES = [probe for check in SECURITY for probe in check.probes]


def result(probe: str, outcome: Outcome = "passed", evidence: str = "seen") -> ProbeResult:
    return ProbeResult(probe, outcome, evidence, "t")


def finding(rule: str, severity: str = "high", evidence: str = "", category: str = "security") -> Finding:
    return Finding(rule, category, severity, "high", "t", "a.py", 3, 3, evidence, "")  # type: ignore[arg-type]


def check(name: str) -> Check:
    return next(check for check in CHECKS if check.id == name)


ALL_PASS = Seen(tuple(result(probe) for probe in PROBES), ())


def test_everything_proven_is_held_back_only_by_what_code_alone_can_show() -> None:
    one = tally(SECURITY, ALL_PASS)
    lost = sum(c.weight * (1 - c.detector) for c in SECURITY if c.kind == "static")
    assert one.value == pytest.approx(100 * (1 - lost / sum(c.weight for c in SECURITY)), abs=0.1)
    assert one.credits["S10"].state == "proven"
    assert one.caps == ()


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("outcome", ["skipped", "missing", "failed"])
def test_no_probe_that_is_left_out_or_fails_raises_the_score(probe: str, outcome: str) -> None:
    whole = tally(SECURITY, ALL_PASS).value
    rest = [r for r in ALL_PASS.probes if r.probe != probe]
    if outcome != "missing":
        rest.append(result(probe, outcome))  # type: ignore[arg-type]
    assert tally(SECURITY, replace(ALL_PASS, probes=rest)).value <= whole - (0.5 if probe != "W16-docs" else 0)


def test_skipping_after_a_failure_gains_less_than_passing_and_never_hides_under_a_missing_scan() -> None:
    assert tally(SECURITY, replace(ALL_PASS, findings=None)).value < tally(SECURITY, ALL_PASS).value


@pytest.mark.parametrize(("probe", "cap"), [("W01", 39.0), ("W07", 69.0), ("W10", 89.0)])
def test_what_is_open_caps_the_score(probe: str, cap: float) -> None:
    seen = replace(
        ALL_PASS, probes=[replace(r, outcome="failed") if r.probe == probe else r for r in ALL_PASS.probes]
    )
    one = tally([check for check in SECURITY if check.kind == "live"], seen)
    assert one.value == cap
    assert probe in one.caps[0]


def test_what_the_checks_earn_is_told_beside_the_cap() -> None:
    rest = [r for r in ALL_PASS.probes if r.probe != "W01"]
    held = tally(SECURITY, Seen((*rest, result("W01", "failed")), ()))
    assert held.value == 39
    assert 39 < held.earned < tally(SECURITY, ALL_PASS).value
    both = score_of("security", held, held)
    assert (both.earned_before, both.earned_after) == (held.earned, held.earned)


def test_a_probe_may_lower_its_severity() -> None:
    failed = replace(result("W02", "failed"), severity="medium")
    assert credit_of(check("W02"), Seen([failed])).open == "medium"


def test_without_a_positive_control_49_is_the_most() -> None:
    seen = Seen(tuple(result(probe, "skipped", f"{NO_CONTROL}: 401") for probe in PROBES), ())
    assert tally(SECURITY, seen).value < 49
    only_one = [replace(r, outcome="skipped", evidence=f"{NO_CONTROL}: 401") if r.probe == "W22" else r
                for r in ALL_PASS.probes]  # fmt: skip
    assert tally(SECURITY, replace(ALL_PASS, probes=only_one)).value == 49


def test_what_was_run_caps_at_its_share() -> None:
    left = [r for r in ALL_PASS.probes if r.probe not in ("W18", "W20")]
    one = tally(SECURITY, replace(ALL_PASS, probes=left))
    whole = sum(c.weight for c in SECURITY)
    assert one.run == pytest.approx((whole - 20) / whole)
    assert one.value <= 100 * one.run


def test_not_applicable_must_be_shown() -> None:
    silent = Seen((), ())
    assert credit_of(check("W20"), silent).value == 0.0
    shown = Seen([result("W20", "inapplicable", "no address in any payload")], ())
    assert credit_of(check("W20"), shown).value is None
    assert credit_of(check("S04"), Seen((), (), {"S04": "no such call"})).state == "not applicable"


def test_code_alone_earns_what_its_detector_is_worth_and_at_most_0_7_where_a_probe_exists() -> None:
    one = credit_of(check("C01"), Seen([result("C01", "skipped", "no JSON payload")], ()))
    assert (one.value, one.state) == (0.7, "not run")
    assert credit_of(check("S01"), Seen((), ())).value == pytest.approx(check("S01").detector)
    assert check("W12").detector == 0.7 < DETECTORS["sql"]
    assert credit_of(check("W12"), Seen((), ())).value == 0.7
    assert credit_of(check("W14"), Seen((), ())).value == 0.0  # no rule looks


def test_an_open_finding_outweighs_a_probe_that_passed() -> None:
    one = credit_of(check("W12"), Seen([result("W12")], [finding("sql-from-strings", "critical")]))
    assert (one.value, one.open) == (0.0, "critical")
    patched = replace(finding("sql-from-strings", "critical"), status="patched")
    assert credit_of(check("W12"), Seen([result("W12"), result("W12-text")], [patched])).value == 1.0


def test_a_suppressed_finding_earns_nothing() -> None:
    quiet = finding("secret-in-code", "info", "x (a comment there calls it deliberate)")
    one = credit_of(check("S02"), Seen((), [quiet]))
    assert (one.value, one.state, one.open) == (0.0, "failed", None)


def test_a_blind_detector_marks_itself_down() -> None:
    whole, blind = ALL_PASS, replace(ALL_PASS, caught={"signature": 1 / 3})
    assert credit_of(check("W01"), blind).value == pytest.approx(1 / 3)
    assert tally(SECURITY, blind).value < tally(SECURITY, whole).value


def test_more_than_95_is_not_said_where_a_planted_fault_was_missed() -> None:
    live = tuple(c for c in SECURITY if c.kind == "live")
    assert tally(live, ALL_PASS, planted=[PlantedFault("sql", 3, 3)]).value == 100
    for fault in (PlantedFault("sql", 3, 2), PlantedFault("sql", 0, 0)):
        assert tally(live, ALL_PASS, planted=[fault]).value <= 95


def test_findings_that_no_check_names_count_in_the_caps() -> None:
    strange = finding("bandit-B999", "high")
    assert unnamed([strange, finding("secret-in-code"), finding("x", category="api")], "security") == (strange,)
    assert tally(SECURITY, ALL_PASS, others=[strange]).value == 69


def test_the_digest_changes_with_the_list() -> None:
    assert registry_digest() == registry_digest(CHECKS)
    assert registry_digest(CHECKS[1:]) != registry_digest()
    assert registry_digest((replace(CHECKS[0], severity="low"), *CHECKS[1:])) != registry_digest()


def test_the_list_is_whole() -> None:
    names = [c.id for c in CHECKS]
    assert len(set(names)) == len(names)
    assert {f"W{n:02d}" for n in range(1, 28)} | {f"C{n:02d}" for n in range(1, 18)} <= set(names)


def test_both_sides_and_why_stand_in_the_score() -> None:
    probes = [result("W01", "failed", "answered 200"), *ALL_PASS.probes[1:]]
    before = tally(SECURITY, replace(ALL_PASS, probes=probes))
    score = score_of("security", before, tally(SECURITY, ALL_PASS))
    row = score.checks[0]
    assert (row.id, row.before, row.after) == ("W01", 0.0, 1.0)
    assert "answered 200" in row.evidence
    assert score.before == 39
    assert score.caps_before and score.registry == registry_digest()
