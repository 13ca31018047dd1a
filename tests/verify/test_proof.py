"""The gates on a real service: a good patch passes, and each tempting but wrong one meets the gate made for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest
import pytest_asyncio

from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.core.events import Event
from swarm.core.findings import Category
from swarm.core.patches import FileChange, Rejected
from swarm.probes.run import all_probes
from swarm.rules.registry import all_rules
from swarm.target.replay.observation import Recording
from swarm.target.running.sandbox import choose_sandbox
from swarm.target.tree.copies import make_copy
from swarm.target.tree.place import resolve_place
from swarm.target.tree.pristine import Pristine
from swarm.verify.candidate import empty_stack
from swarm.verify.ends import TRACED_AFTER, TRACED_BEFORE, measure_ends
from swarm.verify.fixes import Fix
from swarm.verify.lab import Lab
from swarm.verify.ladder import climb, rungs
from swarm.verify.live import probe_live, running
from swarm.verify.standing import Standing
from swarm.verify.testrun import run_tests
from swarm.verify.verifier import prove
from tests.recording import record_baseline
from tests.verify.small_service import APP, PRICING, write_service

pytestmark = pytest.mark.long

READS = '    who = await person(data["name"])\n    rate = await rates()\n'
POST = (
    '    booked = await client.post(f"{LEDGER}/entries", json={"order": data["id"], "total": total})\n'
    "    booked.raise_for_status()\n"
)
PUT = (
    '    told = await client.put(f"{LEDGER}/balances/{data[\'name\']}", json={"total": total})\n'
    "    told.raise_for_status()\n"
)
GATHERED = READS.replace(READS, '    who, rate = await asyncio.gather(person(data["name"]), rates())\n')


def edit(old: str, new: str, *, file: str = "app.py", source: str = APP, category: Category = "api") -> Fix:
    """A free-form fix that replaces one piece of a file."""
    assert source.count(old) == 1, "the piece must stand exactly once"
    change = FileChange(file, source, source.replace(old, new))
    return Fix(
        "free-form", category, file, (f"{abs(hash(new)) % 10**8}",), "a tester", "An edit", "Tempting", (change,)
    )


GOOD = edit(READS, GATHERED + "", category="performance")
GOOD = replace(
    GOOD,
    edits=(FileChange("app.py", APP, "import asyncio\n" + APP.replace(READS, GATHERED)),),
)
WRONG = {
    "writes reordered": (edit(POST + PUT, PUT + POST), "replay"),
    "writes overlapped": (
        edit(
            POST + PUT,
            "    import asyncio\n"
            "    booked, told = await asyncio.gather(\n"
            '        client.post(f"{LEDGER}/entries", json={"order": data["id"], "total": total}),\n'
            '        client.put(f"{LEDGER}/balances/{data[\'name\']}", json={"total": total}),\n'
            "    )\n"
            "    booked.raise_for_status()\n    told.raise_for_status()\n",
        ),
        "replay",
    ),
    "an error swallowed": (edit("    told.raise_for_status()\n", "    pass\n"), "replay"),
    "a row dropped": (edit("    connection.commit()\n", ""), "replay"),
    "a check dropped": (
        edit("    if not signed(body, header):\n", "    if header and not signed(body, header):\n"),
        "probes",
    ),
    "tests broken": (
        edit("9 // 10", "8 // 10", file="pricing.py", source=PRICING),
        "tests",
    ),
    "does not parse": (edit("def signed(body, header):", "def signed(body, header:"), "parses"),
    "does not start": (edit("app = FastAPI()", "app = FastAPI(debug=None, routes=5)"), "starts"),
    "a test touched": (
        Fix(
            "free-form", "api", "tests/test_pricing.py", ("1",), "a tester", "An edit", "Tempting",
            (FileChange("tests/test_new.py", None, "def test_it():\n    pass\n"),),
        ),
        "protects",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def unprobed(tmp_path_factory: pytest.TempPathFactory, events: list[Event]) -> Lab:
    """What the gates know but for the probes: those are not asked where there is nothing to compare with."""
    tmp_path = tmp_path_factory.mktemp("proof")
    target = write_service(tmp_path / "service")
    place = resolve_place("orders", target, tmp_path / "service")
    copy = make_copy(place, tmp_path / "copy")
    sandbox = choose_sandbox()
    tests = await run_tests(place, copy, target, sandbox, tmp_path / "tests")
    assert tests is not None
    assert tests.green, tests.tail
    recording: asyncio.Future[Recording] = asyncio.get_running_loop().create_future()
    recording.set_result(await record_baseline(place, copy, target, requests=3, seed=7, tmp=tmp_path / "record"))
    return Lab(
        place=place,
        target=target,
        payload_root=place.path,
        sandbox=sandbox,
        scratch=tmp_path / "lab",
        rules={rule.id: rule for rule in all_rules()},
        original=empty_stack(build_index(SourceTree.load(copy.path))),
        tests_before=tests,
        tape=recording.result().tape,
        recording=recording,
        probes_before=(),
        start_log_before="",
        emit=events.append,
        pristine=Pristine(place, tmp_path / "pristine"),
        requests=3,
    )


@pytest.fixture(scope="module")
def few_probes() -> Iterator[None]:
    """The probes of signatures alone: whole sessions on patched trees are part of the tests of whole runs."""
    asked = tuple(probe for probe in all_probes() if ".signatures." in type(probe).__module__)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("swarm.probes.run.all_probes", lambda: asked)
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(unprobed: Lab, few_probes: None) -> Lab:
    async with running(unprobed, unprobed.fresh_copy("before"), "before") as live:
        probes = await probe_live(unprobed, live, unprobed.original.index)
        log = live.server.log_text()
    return replace(unprobed, probes_before=probes, start_log_before=log)


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_patch_meets_its_gate(unprobed: Lab, lab: Lab, name: str) -> None:
    fix, gate = WRONG[name]
    proven = await prove(lab if gate == "probes" else unprobed, [fix])
    verdict = proven.rejected[0].verdict
    assert isinstance(verdict, Rejected)
    assert verdict.gate == gate, verdict.reason
    assert verdict.reason
    assert proven.stack.patches == ()


async def test_the_batch_is_bisected_and_the_good_ones_kept(lab: Lab) -> None:
    docstring = edit(
        "def price(count, rate):\n",
        'def price(count, rate):\n    """Whole cents."""\n',
        file="pricing.py",
        source=PRICING,
    )
    proven = await prove(lab, [docstring, WRONG["writes reordered"][0]])
    assert [fix.key for fix in proven.stack.fixes] == [docstring.key]
    assert len(proven.rejected) == 1
    assert proven.judgement is not None
    assert {gate.name for gate in proven.judgement.gates} >= {"tests", "starts", "replay", "probes", "gone"}


@pytest.mark.alone
async def test_a_gain_is_accepted_and_a_loss_is_not(unprobed: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarm.verify.ends.WARM_AT_MOST_S", 1.0)  # this service keeps nothing
    lab = unprobed
    slow = edit(
        "    connection = connect()\n", "    import time\n    time.sleep(0.05)\n    connection = connect()\n",
        category="performance",
    )  # fmt: skip
    proven = await prove(lab, [GOOD])
    assert [fix.key for fix in proven.stack.fixes] == [GOOD.key], proven.rejected
    async with Standing(lab) as standing:
        gain, loss = await climb(standing, rungs(lab, [GOOD, slow]))
        if not gain.result.passed:  # a busy machine hides it: once more
            gain, loss = await climb(standing, rungs(lab, [GOOD, slow]))
        ends = await measure_ends(standing, proven.stack)
    assert gain.result.passed, gain.result.detail
    assert gain.effect is not None
    assert gain.effect.ratio < 0.9
    for comparison in (ends.loaded.comparison, ends.whole.comparison):
        assert comparison.ratio_p50 is not None
        assert comparison.ratio_p50.value < 0.9
    assert [len(one.calls) for one in ends.whole.after] == [4] * len(ends.whole.after)
    assert all(side.work is not None and side.work.lost == 0 for side in ends.sides)
    assert ends.sides[1].work is not None and ends.sides[1].work.writes_seen == 2 * ends.sides[1].work.requests
    assert ends.sides[1].cache.reason == "the service serves no metrics"
    assert len(ends.whole.waterfalls_before) == TRACED_BEFORE
    assert len(ends.whole.waterfalls_after) == TRACED_AFTER
    assert loss.result.passed is False
