"""JUnit XML: targets, proof, patches and findings as test cases, for any CI's test view."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from swarm.core.patches import Rejected
from swarm.core.report import Report
from swarm.reporting.escape import clean, one_line
from swarm.reporting.numbers import plain
from swarm.reporting.verdict import newly_failing

NAME = "junit"
FILENAME = "junit.xml"

# What XML 1.0 cannot hold, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
Outcome = tuple[str, str, str] | None  # (tag, message, text)
Case = tuple[str, str, Outcome]  # (class name, name, outcome)


def render(report: Report) -> str:
    """One suite each; a finding left open fails, a patch that was rejected is skipped with its reason."""
    root = ElementTree.Element("testsuites", name=_text(f"swarm {report.run.target}"))
    suites = {"targets": _targets(report), "verification": _verification(report), "patches": _patches(report),
              "findings": _findings(report)}  # fmt: skip
    for name, cases in suites.items():
        outcomes = [outcome[0] if outcome else "" for _, _, outcome in cases]
        suite = ElementTree.SubElement(
            root, "testsuite", name=f"swarm.{name}", tests=str(len(cases)), errors="0", time="0",
            failures=str(outcomes.count("failure")), skipped=str(outcomes.count("skipped")),
            timestamp=_text(report.run.finished),
        )  # fmt: skip
        for class_name, title, outcome in cases:
            case = ElementTree.SubElement(suite, "testcase", classname=_text(class_name), name=_text(title), time="0")
            if outcome:
                ElementTree.SubElement(case, outcome[0], message=_text(outcome[1])).text = _text(outcome[2])
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _text(value: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", clean(value))


def _targets(report: Report) -> list[Case]:
    cases: list[Case] = []
    for target in report.targets:
        outcome: Outcome = None
        if target.met is None:
            outcome = ("skipped", f"not measured: {target.reason}", "")
        elif not target.met:
            outcome = ("failure", f"measured {plain(target.after)}, was {plain(target.before)}", target.reason)
        cases.append((f"targets.{target.specialist}", target.expression, outcome))
    return cases


def _verification(report: Report) -> list[Case]:
    proof = report.verification
    broken = newly_failing(proof.tests_before, proof.tests_after)
    tests: Outcome = ("failure", f"{broken} newly failing", "") if broken else None
    if proof.tests_after is None:
        tests = ("skipped", "the target's tests were not run", "")
    replay: Outcome = ("skipped", "nothing was replayed", "")
    if proof.replay is not None:
        wrong = proof.replay.requests - proof.replay.identical
        text = "\n".join(proof.replay.differences)
        replay = ("failure", f"{wrong} of {proof.replay.requests} requests differ", text) if wrong else None
    return [("verification", "the target's tests", tests), ("verification", "replay", replay)]


def _patches(report: Report) -> list[Case]:
    cases: list[Case] = []
    for judged in report.patches:
        verdict = judged.verdict
        outcome: Outcome = None
        if isinstance(verdict, Rejected):
            outcome = ("skipped", f"rejected by {verdict.gate}: {one_line(verdict.reason)}", "")
        cases.append((f"patches.{judged.patch.rule}", f"{judged.patch.id}: {judged.patch.title}", outcome))
    return cases


def _findings(report: Report) -> list[Case]:
    cases: list[Case] = []
    for finding in report.findings:
        where = f"{finding.file}:{finding.line}" if finding.file else "the running service"
        outcome: Outcome = None
        if finding.status != "patched":
            text = f"{where}\n{finding.evidence}\n\n{finding.recommendation}"
            outcome = ("failure", f"{finding.severity}: {one_line(finding.title)}", text)
        name = f"{one_line(finding.title)} ({where}) [{finding.id}]"
        cases.append((f"findings.{finding.category}.{finding.rule}", name, outcome))
    return cases
