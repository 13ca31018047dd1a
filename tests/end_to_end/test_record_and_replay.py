"""A run with recorded model traffic is played again without network or key, to the same findings and patches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli import tiny
from tests.cli.conftest import Cli
from tests.cli.tiny import report_of, write_service
from tests.scripted_claude import Call, ScriptedClaude, Seen, patch
from tests.strict_server import Refuse, Step, StrictServer

pytestmark = pytest.mark.long

SECRET = "hook-secret-of-the-target"
AGENTS = tiny.AGENTS.replace("    path: .\n", f"    path: .\n    env: {{HOOK_SECRET: {SECRET}}}\n")
GET = "requests.get(f\"{os.environ['STOCK_URL']}/stock/{event['sku']}\")"
SECRETS = (SECRET, "test-key")


def own(seen: Seen) -> list[Call]:
    ids = [one for one, finding in seen.findings().items() if finding["rule"] == "missing-timeout"]
    return [patch(one, "app.py", GET, f"{GET[:-1]}, timeout=7)", "Wait seven seconds at most") for one in ids]


class Shaky(ScriptedClaude):
    """Its second turn is refused at first, and it tells secrets that it cannot know."""

    refused = False

    def __call__(self, body: dict[str, Any]) -> Step:
        if Seen(body).turn == 1 and not self.refused:
            self.refused = True
            return Refuse(529, "overloaded_error", {"retry-after": "0"})
        return super().__call__(body)


def told(report: dict[str, Any]) -> dict[str, Any]:
    """What must be the same."""
    return {
        "findings": [(f["id"], f["status"], f["patch"], f["disputed_by"]) for f in report["findings"]],
        "patches": [(p["id"], p["verdict"], p["rejected_by"], p["model"], p["changes"]) for p in report["patches"]],
        "agents": [(a["name"], a["model"], a["turns"], a["input_tokens"], a["cost_usd"]) for a in report["agents"]],
        "texts": report["texts"],
    }


def test_a_recorded_run_is_played_again(
    cli: Cli, tmp_path: Path, shortened: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_service(tmp_path, agents=AGENTS)
    with StrictServer(director=Shaky(own, fixes=lambda finding: False)).serving() as server:
        for name, value in server.environ().items():
            monkeypatch.setenv(name, value)
        first = cli("run", "--quiet", "--only", "api", "--record", "kept", "--out", "one")
        for name in server.environ():
            monkeypatch.delenv(name)
    assert (first.code, first.err) == (0, "")
    recorded = report_of(tmp_path / "one")
    assert [(p["verdict"], p["model"]) for p in recorded["patches"]] == [("accepted", "claude-sonnet-5-5")]
    text = (tmp_path / "kept" / "recording.jsonl").read_text()
    assert all(secret not in text for secret in SECRETS)
    assert '"failed"' in text and "529" in text

    again = cli("run", "--quiet", "--only", "api", "--replay", "kept", "--out", "two")
    assert (again.code, again.err) == (0, "")
    played = report_of(tmp_path / "two")
    assert told(played) == told(recorded)
    assert "replayed from" in played["run"]["provider"]
    assert played["agents"][0]["cost_usd"] > 0  # what it cost then

    other = cli("run", "--pattern", "single", "--replay", "kept", "--out", "three")
    assert (other.code, other.err.count("\n")) == (2, 1) and "it is of another run: pattern" in other.err
    assert not (tmp_path / "three").exists() or not list((tmp_path / "three").glob("*/journal.jsonl"))
    calls = [json.loads(line) for line in text.splitlines()]
    cut = [one for one in calls if one.get("agent") != "coordinator"]
    (tmp_path / "kept" / "recording.jsonl").write_text("".join(json.dumps(one) + "\n" for one in cut))
    short = cli("run", "--quiet", "--only", "api", "--replay", "kept", "--out", "four")
    assert short.code == 4
    assert short.err.count("\n") == 1 and "no answer is recorded for coordinator" in short.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--replay", "nowhere"], "there is no recording.jsonl; make one with --record"),
        (["--record", "r", "--replay", "r"], "leave one of them out"),
        (["--record", "r"], "--record keeps a model's turns, and this run would have none"),
        (["--record", "r", "--provider", "offline"], "would have none"),
        (["--replay", "r", "--provider", "offline"], "leave one of them out"),
    ],
)
def test_words_that_cannot_be(cli: Cli, tmp_path: Path, words: list[str], said: str) -> None:
    write_service(tmp_path, agents=AGENTS)
    done = cli("run", *words)
    assert (done.code, done.err.count("\n")) == (2, 1), done.err
    assert said in done.err
    assert not (tmp_path / "r").exists()
