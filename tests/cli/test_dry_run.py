"""`swarm run --dry-run`: a bound without a key or a call, by the prices that hold, never 0 for what is unknown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from swarm.cli.dry_run import bound_lines, dry_run, earlier_lines
from swarm.cli.learning import runs_of
from swarm.cli.run_folders import run_folders
from swarm.cli.words import Words
from swarm.config.choice import choose
from swarm.core.chat import Usage
from swarm.models.prices import Prices, load_prices
from swarm.reporting.formats.json import render as to_json
from swarm.runtime import RunWords, make_request
from tests.reporting.sample import sample_report

AGENTS = """\
version: 1
small:
  coordinator: lead
  model: sonnet
  specialists:
    looker: {tools: [Read], max_turns: 3}
    prober: {model: MODEL, tools: [Read, Security-Scanners], max_turns: 5}
targets:
  here: {path: ., start: "true"}
"""
WORDS = RunWords(provider="anthropic")


def told(tmp_path: Path, model: str = "opus", words: RunWords = WORDS, prices: Prices | None = None) -> list[str]:
    (tmp_path / "agents.yaml").write_text(AGENTS.replace("MODEL", model))
    choice = choose(None, tmp_path / "agents.yaml", None)
    return bound_lines(make_request(choice, words, "r", "anthropic", ""), choice, prices or load_prices())


def dollars(line: str) -> float:
    return float(line.rpartition("$")[2].replace(",", ""))


def test_each_agent_and_the_sum_by_the_price_table(tmp_path: Path) -> None:
    lines = told(tmp_path)
    rows = {line.split()[0]: line for line in lines if "claude-" in line}
    assert set(rows) == {"looker", "prober", "lead"}
    assert "claude-opus-5-5" in rows["prober"] and "claude-sonnet-5-5" in rows["lead"]
    (total,) = [line for line in lines if line.startswith("In all: ")]
    assert dollars(total) == pytest.approx(sum(map(dollars, rows.values())), abs=0.03)
    # no turn of three could cost more than this, and all three cost no less than their output
    most = 3 * (load_prices().cost_usd("sonnet", Usage(0, 8192, 0, 1_000_000)) or 0)
    assert 3 * 8192 * 10 / 1e6 < dollars(rows["looker"]) < most


def test_dearer_prices_of_the_users_make_a_higher_bound(tmp_path: Path) -> None:
    own = tmp_path / "prices.yaml"
    rates = "input: 20, output: 100, cache_write_5m: 25, cache_write_1h: 40, cache_read: 1"
    own.write_text(f"models: {{claude-sonnet-5-5: {{{rates}}}}}\n")
    row = next(line for line in told(tmp_path) if "looker" in line)
    dear = next(line for line in told(tmp_path, prices=load_prices(own)) if "looker" in line)
    assert dollars(dear) == pytest.approx(10 * dollars(row), rel=0.01)


def test_a_model_without_a_price_makes_the_whole_unknown_and_never_nothing(tmp_path: Path) -> None:
    lines = told(tmp_path, "qwen3:8b")
    assert next(line for line in lines if "prober" in line).endswith("cost unknown")
    assert "In all: cost unknown" in lines
    assert any("SWARM_PRICES" in line and "qwen3:8b" in line for line in lines)
    assert not any("$0.00" in line for line in lines)


def test_patterns_and_only_and_budgets_are_minded(tmp_path: Path) -> None:
    single = told(tmp_path, words=replace(WORDS, pattern="single"))
    assert [line.split()[0] for line in single if "claude-" in line] == ["generalist", "lead"]
    assert next(line for line in single if "generalist" in line).split()[2] == "8"
    assert [
        line.split()[0] for line in told(tmp_path, words=replace(WORDS, only=("looker",))) if "claude-" in line
    ] == [
        "looker",
        "lead",
    ]
    assert any("budget of $3 ends it" in line for line in told(tmp_path, words=replace(WORDS, budget_usd=3.0)))
    assert any("No budget is set" in line for line in told(tmp_path))


def test_it_needs_no_key_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "SWARM_PRICES"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "agents.yaml").write_text(AGENTS.replace("MODEL", "opus"))
    out = tmp_path / "reports"
    for provider, words in (("anthropic", "In all: $"), ("auto", "costs $0")):
        own = RunWords(provider=provider)
        said = Words(None, tmp_path / "agents.yaml", None, out, (), False, False, False, own)
        assert dry_run(said) == 0
        assert words in capsys.readouterr().out
    assert not out.exists() and [path.name for path in tmp_path.iterdir()] == ["agents.yaml"]


def test_what_runs_have_cost_so_far_is_told(tmp_path: Path) -> None:
    agent = sample_report().agents[0]

    def ran(name: str, usd: float | None, provider: str = "anthropic (a key is set)") -> None:
        report = sample_report()
        run = replace(report.run, id=name, target="here", swarm="small", provider=provider)
        text = to_json(replace(report, run=run, agents=(replace(agent, cost_usd=usd),)))
        (tmp_path / "reports" / name).mkdir(parents=True)
        (tmp_path / "reports" / name / "report.json").write_text(text, encoding="utf-8")

    def lines() -> list[str]:
        return earlier_lines(runs_of(run_folders(tmp_path / "reports"), "here", "small"))

    ran("20260101-000000-here-a", 0.0, "offline (no key)")
    ran("20260102-000000-here-b", None)
    assert lines() == []
    ran("20260103-000000-here-c", 0.125)
    assert lines() == ["What it took so far: $0.1250 (1 run in the reports)"]
    ran("20260104-000000-here-d", 2.5)
    assert lines() == ["What it took so far: $0.1250 to $2.50 (2 runs in the reports)"]
    assert earlier_lines(runs_of(run_folders(tmp_path / "reports"), "there", "small")) == []
