"""Every format on the complete report, on an empty one and on a hostile one."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from swarm.config.load import load_agents
from swarm.core.errors import UsageError
from swarm.core.findings import FlowStep
from swarm.core.metrics import Ratio, Summary
from swarm.core.report import Capacity, ErrorRates, ReplayOutcome, Report, Score
from swarm.reporting.catalogue import all_formats, format_named
from swarm.reporting.formats import html, patterns, reusable
from swarm.reporting.verdict import before_after_rows, verdict_of

NAMES = ("benchmarks", "gitlab", "html", "json", "junit", "md", "patterns", "reusable", "sarif")


def bare(report: Report) -> Report:
    """A run that measured nothing and found nothing."""
    return Report(run=report.run)


def test_formats_are_found() -> None:
    assert tuple(f.name for f in all_formats()) == NAMES
    with pytest.raises(UsageError, match="did you mean 'html'"):
        format_named("htlm")


@pytest.mark.parametrize("name", NAMES)
def test_golden(name: str, report: Report, golden: Callable[[str, str], None]) -> None:
    item = format_named(name)
    text = item.render(report)
    if name == "html":  # the style and the charts may change without a test's say; their words may not
        text = "\n".join(_words(text)) + "\n"
    golden(item.filename + (".txt" if name == "html" else ""), text)


def test_a_score_that_is_held_down_tells_what_its_checks_earned(report: Report) -> None:
    held = Score(39.0, 39.0, caps_after=("39: critical and open, W01",), earned_before=41.0, earned_after=78.5)
    [row] = [row for row in before_after_rows(replace(report, security_score=held)) if row.label == "security score"]
    assert (row.before, row.after) == ("39 of 100", "39 of 100")
    assert row.change == "held down by what is open; the checks alone: 41 → 78.5"


@pytest.mark.parametrize("name", NAMES)
def test_renders_what_was_not_measured(name: str, report: Report) -> None:
    text = format_named(name).render(bare(report))
    assert text.endswith("\n")
    assert "None" not in text.replace("None.", "") and "nan" not in text.split()


@pytest.mark.parametrize("name", NAMES)
def test_hostile_text_stays_text(name: str, hostile: Report) -> None:
    text = format_named(name).render(hostile)
    text.encode("utf-8")
    assert "\x1b" not in text and "\x00" not in text
    assert "\u202e" not in text or name in ("json", "benchmarks")  # data, kept as it was
    if name in ("json", "benchmarks", "gitlab", "sarif"):
        json.loads(text)
    if name == "junit":
        ElementTree.fromstring(text)


def test_hostile_html_has_one_script_and_no_handlers(hostile: Report) -> None:
    page = _Page()
    page.feed(html.render(hostile))
    page.close()
    assert page.tags.count("script") == 1
    assert "img" not in page.tags
    assert not [name for name in page.attributes if name.startswith("on")]


def test_hostile_markdown_has_no_markup(hostile: Report) -> None:
    text = format_named("md").render(hostile)
    outside = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", text.replace("\\`", ""))  # nothing in code is markup
    assert "alert(1)" in outside
    assert "<script" not in outside and "<img" not in outside and " @all" not in outside
    tables = [line for line in text.splitlines() if line.startswith("| ")]
    widths = {line.count(" | ") for line in tables if "alert(1)" in line}
    assert widths and all(line.endswith(" |") for line in tables)


@pytest.mark.parametrize("kind", ["report", "hostile", "bare"])
def test_html_is_well_formed_and_offline(kind: str, report: Report, hostile: Report) -> None:
    text = html.render({"report": report, "hostile": hostile, "bare": bare(report)}[kind])
    assert len(text.encode()) < 400_000
    page = _Page()
    page.feed(text)
    page.close()
    assert page.open == []
    assert page.ids == sorted(set(page.ids), key=page.ids.index) or kind == "hostile"
    for value in page.links:
        assert value.startswith(("#", "patches/", "rejected/")), value
    assert "@import" not in text and "url(" not in text


def test_html_stays_small_where_the_run_was_large(report: Report) -> None:
    line = "value = 'some text in the middle of a long file'\n"
    judged = report.patches[0]
    change = replace(judged.patch.changes[0], before=line * 10, after=line * 4000)
    many = tuple(replace(judged, patch=replace(judged.patch, id=f"{n:03d}-x", changes=(change,))) for n in range(60))
    findings = tuple(replace(report.findings[0], evidence="x" * 4000, anchor=str(n)) for n in range(3000))
    text = html.render(replace(report, patches=many, findings=findings))
    assert len(text.encode()) < 400_000
    assert "more lines in the file above" in text and "more in report.json" in text


def test_verdict_of_broken_tests_is_bad(report: Report) -> None:
    proof = report.verification
    assert proof.tests_after is not None
    worse = replace(report, verification=replace(proof, tests_after=replace(proof.tests_after, failed=2)))
    assert format_named("md").render(worse).startswith("# ❌ 2 tests newly failing")
    assert 'class="hero bad"' in html.render(worse)


def test_verdict_puts_what_broke_before_speed(report: Report) -> None:
    proof = replace(report.verification, replay=ReplayOutcome(24, 23, ("request 7",)))
    differs = verdict_of(replace(report, verification=proof))
    assert (differs.tone, differs.headline[:30]) == ("bad", "1 of 24 replayed requests answ")
    failing = verdict_of(replace(report, errors=ErrorRates(0.01, 0.09)))
    assert (failing.tone, failing.headline) == ("bad", "Failed requests rose from 1 % to 9 %.")
    assert verdict_of(replace(report, errors=ErrorRates(0.01, 0.015))).tone == "good"


def test_one_failed_request_more_in_a_short_load_may_be_chance(report: Report) -> None:
    first = report.benchmarks[0]
    assert first.before and first.after
    few = replace(first, before=replace(first.before, n=32), after=replace(first.after, n=31))
    short = replace(report, benchmarks=(few, *report.benchmarks[1:]))
    assert verdict_of(replace(short, errors=ErrorRates(0.0, 1 / 32))).tone == "good"
    ten = replace(few, after=replace(first.after, n=22))
    many = replace(report, benchmarks=(ten, *report.benchmarks[1:]), errors=ErrorRates(0.0, 10 / 32))
    assert verdict_of(many).headline == "Failed requests rose from 0 % to 31.2 %."


def test_verdict_of_a_change_within_noise_claims_nothing(report: Report) -> None:
    noise = replace(report, benchmarks=report.benchmarks[1:])
    assert verdict_of(noise).headline == "No measurable change of health latency at p95."
    slower = replace(report.benchmarks[0], ratio_p95=Ratio(1.3, (1.2, 1.4)))
    worse = verdict_of(replace(report, benchmarks=(slower,)))
    assert (worse.tone, worse.headline) == ("bad", "Webhook latency rose by 30 % at p95.")


def test_json_holds_no_nan(report: Report) -> None:
    broken = Summary(3, math.nan, 1.0, 2.0, math.inf, 3.0, 3.0)
    text = format_named("json").render(replace(report, benchmarks=(replace(report.benchmarks[0], before=broken),)))
    before = json.loads(text, parse_constant=_refuse)["benchmarks"][0]["before"]
    assert before["mean"] is None and before["p95"] is None and before["p50"] == 1


def test_json_keeps_text_that_looks_like_a_list(report: Report) -> None:
    text = "[\n  1,\n  2\n]"
    shown = format_named("json").render(replace(report, load_note=text))
    assert json.loads(shown)["load_note"] == text


def test_sarif_levels_and_fingerprints(report: Report) -> None:
    run = json.loads(format_named("sarif").render(report))["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert result["level"] in ("error", "warning", "note")
        assert result["partialFingerprints"]["swarmFinding/v1"]
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    compare = next(rule for rule in rules if rule["id"] == "unsafe-compare")
    assert "external/cwe/cwe-208" in compare["properties"]["tags"]
    assert compare["fullDescription"]["text"] and compare["help"]["text"]


def test_sarif_shows_the_way_of_data(report: Report) -> None:
    steps = (FlowStep("app.py", 3, "name = request.args['name']"), FlowStep("data/store.py", 9, "execute(query)"))
    findings = (replace(report.findings[0], flow=steps), *report.findings[1:])
    results = json.loads(format_named("sarif").render(replace(report, findings=findings)))["runs"][0]["results"]
    told = [result["codeFlows"][0]["threadFlows"][0]["locations"] for result in results if "codeFlows" in result]
    places = [step["location"]["physicalLocation"] for step in told[0]]
    assert [(p["artifactLocation"]["uri"], p["region"]["startLine"]) for p in places] == [
        ("app.py", 3),
        ("data/store.py", 9),
    ]
    assert len(told) == 1


def test_gitlab_fingerprints_are_unique(report: Report) -> None:
    twice = replace(report, findings=(*report.findings, report.findings[0]))
    items = json.loads(format_named("gitlab").render(twice))
    assert len({item["fingerprint"] for item in items}) == len(items) == len(twice.findings)


def test_junit_counts_what_it_holds(report: Report) -> None:
    root = ElementTree.fromstring(format_named("junit").render(report))
    for suite in root:
        assert int(suite.attrib["tests"]) == len(suite)
        assert int(suite.attrib["failures"]) == len(suite.findall("testcase/failure"))
        assert int(suite.attrib["skipped"]) == len(suite.findall("testcase/skipped"))


@pytest.mark.parametrize("kind", ["report", "hostile", "bare"])
def test_reusable_swarm_loads(kind: str, report: Report, hostile: Report, tmp_path: Path) -> None:
    path = tmp_path / "agents.reusable.yaml"
    text = reusable.render({"report": report, "hostile": hostile, "bare": bare(report)}[kind])
    yaml.safe_load(text)
    if kind == "report":
        path.write_text(text, encoding="utf-8")
        swarm = load_agents(path).swarms["webhook_swarm"]
        assert swarm.pattern == "parallel"
        assert list(swarm.specialists) == [a.name for a in report.agents if a.role == "specialist"]
        wanted = ["webhook_processing_time < 500ms", "database_write_time < 10ms"]
        assert swarm.specialists["performance_optimizer"].target_metrics == wanted
        assert swarm.specialists["api_optimizer"].tools == ["Read", "API-Testing"]


def test_reusable_swarm_gives_up_a_pattern_that_gained_nothing(report: Report) -> None:
    slow = replace(report, time=replace(report.time, wall_s=38.0))
    assert yaml.safe_load(reusable.render(slow))["webhook_swarm"]["pattern"] == "sequential"


def test_patterns_name_the_gate_that_stopped_a_rule(report: Report) -> None:
    text = patterns.render(report)
    assert "speed-up 2.8×" in text
    assert "No patch of `n-plus-one` was accepted (1 try, stopped by replay)" in text


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} in JSON")


_VOID = {"meta", "br", "input", "img", "link", "hr"}


class _Page(HTMLParser):
    """Tags that must close in order, ids, and every attribute that could load or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing at {self.getpos()}"

    def _note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.append(name)
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "xlink:href", "action"):
                self.links.append(value or "")


def _words(page: str) -> list[str]:
    """What a reader sees, without charts, style and script."""
    lines: list[str] = []
    skip = 0

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            nonlocal skip
            skip += tag in ("svg", "style", "script")

        def handle_endtag(self, tag: str) -> None:
            nonlocal skip
            skip -= tag in ("svg", "style", "script")

        def handle_data(self, data: str) -> None:
            if not skip and data.strip():
                lines.append(" ".join(data.split()))

    Reader().feed(page)
    return lines


@pytest.mark.parametrize(
    ("after", "words"), [(20.0, "no change"), (40.0, "one step of the ramp, may be noise"), (80.0, "")]
)
def test_a_capacity_one_step_away_is_no_news(report: Report, after: float, words: str) -> None:
    rows = before_after_rows(replace(report, capacity=Capacity(20.0, after, "steps of ×2")))
    assert [row.change for row in rows if row.label == "capacity"] == [words]
