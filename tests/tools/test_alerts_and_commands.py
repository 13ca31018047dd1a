from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from swarm.core.errors import ToolFailed
from swarm.core.report import Waterfall
from swarm.tools.once import Once
from swarm.tools.tool import capped
from swarm.tools.writing.draft_alerts import DraftAlerts, DraftAlertsArguments
from tests.fakes import FakeSandbox, workbench


async def test_drafts_come_from_the_model_or_from_what_was_measured(tmp_path: Path):
    bench = workbench(tmp_path)
    bench.given_waterfalls = tuple(
        Waterfall("POST /h", status, duration_ms, ()) for status, duration_ms in ((200, 400.0), (500, 9000.0))
    )
    await DraftAlerts().run(DraftAlertsArguments(), bench)
    drafts = {draft.name: draft for draft in bench.alerts}
    assert drafts["WebhookLatencyHigh"].threshold == 600.0
    assert drafts["WebhookErrorRateHigh"].metric == "error_rate"
    own = {"name": "WebhookLatencyHigh", "metric": "webhook_processing_time", "threshold": 450}
    await DraftAlerts().run(DraftAlertsArguments.model_validate({"alerts": [own]}), bench)
    assert len(bench.alerts) == 2
    assert {draft.name: draft for draft in bench.alerts}["WebhookLatencyHigh"].threshold == 450
    wrong = {"alerts": [{**own, "metric": "webhook_latancy"}]}
    with pytest.raises(ToolFailed, match="did you mean 'webhook_latency'"):
        await DraftAlerts().run(DraftAlertsArguments.model_validate(wrong), bench)


async def test_a_command_runs_on_a_copy_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from swarm.tools.running.run_command import RunCommand, RunCommandArguments

    sandbox = FakeSandbox("out" * 9000, exit_code=1)
    bench = workbench(tmp_path, sandbox=sandbox)
    own = SimpleNamespace(workspace=tmp_path / "own", path=tmp_path / "own", cwd=tmp_path / "own")

    async def command_copy() -> SimpleNamespace:
        return own

    monkeypatch.setattr(bench, "command_copy", command_copy)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do-not-pass-on")
    answer = await RunCommand().run(RunCommandArguments(argv=["pytest", "-q"]), bench)
    data = json.loads(answer.text)
    assert data["exit_code"] == 1 and "left out" in data["output"]
    ((argv, cwd, env),) = sandbox.asked
    assert (argv, cwd) == (("pytest", "-q"), own.cwd)
    assert "do-not-pass-on" not in env.values()


def test_a_cap_keeps_the_beginning_and_the_end_and_says_what_is_missing():
    text = capped("a" * 500 + "b" * 500, 100)
    assert text.startswith("a" * 75) and text.endswith("b" * 25) and "900 characters left out" in text
    assert capped("short", 100) == "short"


async def test_once_makes_a_value_once_and_forgets_failures():
    once: Once[int] = Once()
    made: list[int] = []

    async def fail() -> int:
        raise ToolFailed("no")

    async def make() -> int:
        made.append(1)
        return 7

    with pytest.raises(ToolFailed):
        await once.get(fail)
    import asyncio

    assert await asyncio.gather(*(once.get(make) for _ in range(5))) == [7] * 5
    assert len(made) == 1
