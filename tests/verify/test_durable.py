"""Work behind the answer: the rule's own mend is proven, and mends that lose events are refused."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio

from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.core.patches import FileChange, GateResult
from swarm.rules.registry import all_rules
from swarm.target.replay.observation import Exchange, Recording
from swarm.target.running.sandbox import choose_sandbox
from swarm.target.tree.copies import make_copy
from swarm.target.tree.place import resolve_place
from swarm.target.tree.pristine import Pristine
from swarm.verify.candidate import empty_stack, extend
from swarm.verify.fixes import Fix
from swarm.verify.gates import durable, replay
from swarm.verify.lab import Lab
from swarm.verify.live import probe_live, running
from tests.recording import record_baseline
from tests.verify import early_service as early

pytestmark = pytest.mark.long

RULE = "work-before-answer"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    tmp_path = tmp_path_factory.mktemp("early")
    target = early.write_service(tmp_path / "service")
    place = resolve_place("desk", target, tmp_path / "service")
    copy = make_copy(place, tmp_path / "copy")
    recording: asyncio.Future[Recording] = asyncio.get_running_loop().create_future()
    recording.set_result(await record_baseline(place, copy, target, requests=2, seed=7, tmp=tmp_path / "record"))
    return Lab(
        place=place,
        target=target,
        payload_root=place.path,
        sandbox=choose_sandbox(),
        scratch=tmp_path / "lab",
        rules={rule.id: rule for rule in all_rules()},
        original=empty_stack(build_index(SourceTree.load(copy.path))),
        tests_before=None,
        tape=recording.result().tape,
        recording=recording,
        probes_before=(),
        start_log_before="",
        emit=lambda _: None,
        pristine=Pristine(place, tmp_path / "pristine"),
        requests=2,
    )


def own_fix(lab: Lab) -> Fix:
    [finding] = [f for f in lab.rules[RULE].find(lab.original.index) if f.mendable]
    return Fix(RULE, "performance", finding.file, (finding.id,), "a tester")


def edit(new: str) -> Fix:
    change = FileChange("desk/app.py", early.APP, early.APP.replace(early.AWAITED, new))
    return Fix("free-form", "performance", "desk/app.py", ("1",), "a tester", "An edit", "Tempting", (change,))


async def judge(lab: Lab, fix: Fix) -> tuple[GateResult, GateResult]:
    """What the gates `replay` and `durable` say of a fix."""
    stack, left_out = extend(lab.original, [fix], lab.rules)
    assert left_out == ()
    trial = lab.trial(stack, stack.patches)
    undisturbed: list[Exchange] = []
    replayed, _ = await replay.check(lab, trial, undisturbed.extend)
    if not replayed.passed:
        return replayed, GateResult("durable", None, "the replay failed already")
    return replayed, await durable.check(lab, trial, undisturbed)


async def test_the_rules_mend_loses_nothing(lab: Lab) -> None:
    replayed, kept = await judge(lab, own_fix(lab))
    assert replayed.passed, replayed.detail
    assert kept.passed, kept.detail
    assert kept.detail.startswith("2 events were worked on though the service was ended")


async def test_a_task_in_memory_is_refused_though_it_keeps_what_failed(lab: Lab) -> None:
    replayed, kept = await judge(lab, edit(early.TASK_WITH_OUTBOX))
    assert replayed.passed, replayed.detail
    assert kept.passed is False
    assert "after kill -9 right behind its answer POST ledger/entries never came" in kept.detail


@pytest.mark.parametrize("mend", [early.TASK, early.BACKGROUND], ids=["create_task", "BackgroundTask"])
async def test_a_failed_event_that_is_kept_nowhere_is_a_difference(lab: Lab, mend: str) -> None:
    replayed, kept = await judge(lab, edit(mend))
    assert replayed.passed is False
    assert "status 502 became 200" in replayed.detail
    assert kept.passed is None


async def test_a_patch_that_answers_as_late_as_before_has_nothing_to_prove(lab: Lab) -> None:
    replayed, kept = await judge(lab, edit(early.AWAITED + "        print('done')\n"))
    assert replayed.passed, replayed.detail
    assert kept.passed is None


@pytest.mark.parametrize(
    ("mend", "outcome"),
    [
        (early.AWAITED, "passed"),
        (early.TASK_WITH_OUTBOX, "failed"),
        (early.AWAITED.replace("await dispatch(data)", "json.dumps(data)"), "skipped"),
    ],
    ids=["done before the answer", "create_task", "nothing done"],
)
async def test_the_probe_kills_the_service_by_itself(lab: Lab, mend: str, outcome: str) -> None:
    stack, _ = extend(lab.original, [edit(mend)], lab.rules)
    trial = lab.trial(stack, stack.patches)
    async with running(lab, trial.copy, "killed") as live:
        (result,) = await probe_live(lab, live, stack.index, ("W26",))
    assert result.outcome == outcome, result.evidence
    if outcome == "failed":
        assert "POST ledger/entries never came" in result.evidence


@pytest.mark.parametrize(
    ("mend", "outcomes"),
    [
        (None, {"W15": "passed", "W21": "passed"}),
        (early.AWAITED, {"W15": "failed", "W21": "failed"}),
        (early.TASK, {"W15": "passed", "W21": "failed"}),
    ],
    ids=["the rule's mend", "work before the answer", "create_task"],
)
async def test_probes_trouble_the_upstreams(lab: Lab, mend: str | None, outcomes: dict[str, str]) -> None:
    stack, _ = extend(lab.original, [own_fix(lab) if mend is None else edit(mend)], lab.rules)
    trial = lab.trial(stack, stack.patches)
    async with running(lab, trial.copy, "troubled") as live:
        results = await probe_live(lab, live, stack.index, ("W15", "W21"))
    assert {result.probe: result.outcome for result in results} == outcomes, [r.evidence for r in results]
