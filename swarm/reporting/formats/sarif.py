"""SARIF 2.1.0: findings for code scanning, with rules, help, CWE tags, stable fingerprints, flows and fixes."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from swarm.core.findings import Finding, FlowStep, severity_rank
from swarm.core.patches import Accepted
from swarm.core.report import Report
from swarm.reporting.escape import clean, one_line
from swarm.reporting.line_changes import FileReplacements, in_originals, originals

NAME = "sarif"
FILENAME = "findings.sarif"
MOST_RESULTS = 5_000  # what code scanning takes of one run

_LEVEL = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
_SECURITY_SEVERITY = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "3.0", "info": "1.0"}
_PRECISION = {"proven": "very-high", "high": "high", "medium": "medium", "low": "low"}


def render(report: Report) -> str:
    """One run with every finding, the worst first where there are more than code scanning takes."""
    findings = sorted(report.findings, key=lambda f: severity_rank(f.severity))[:MOST_RESULTS]
    rules = sorted({f.rule for f in findings})
    fixes = _fixes(report)
    driver: dict[str, Any] = {
        "name": "swarm",
        "rules": [_rule(rule, [f for f in findings if f.rule == rule]) for rule in rules],
    }
    if report.run.swarm_version:
        driver["version"] = report.run.swarm_version
    run = {
        "tool": {"driver": driver},
        "columnKind": "utf16CodeUnits",
        "originalUriBaseIds": {"TARGET": {"description": {"text": "The target's path"}}},
        "invocations": [_invocation(report)],
        "automationDetails": {"id": f"swarm/{one_line(report.run.target)}/{one_line(report.run.id)}"},
        "results": [_result(f, rules.index(f.rule), report, fixes.get(f.patch or "")) for f in findings],
    }
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _invocation(report: Report) -> dict[str, Any]:
    invocation: dict[str, Any] = {"executionSuccessful": report.run.status != "failed"}
    stamps = {"startTimeUtc": report.run.started, "endTimeUtc": report.run.finished}
    for key, stamp in stamps.items():
        utc = stamp.replace("+00:00", "Z")
        if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", utc):
            invocation[key] = utc
    return invocation


def _rule(rule: str, findings: Sequence[Finding]) -> dict[str, Any]:
    first = findings[0]
    cwe = sorted({name for f in findings for name in f.cwe})
    tags = sorted({f.category for f in findings}) + [t for t in map(_cwe_tag, cwe) if t]
    sources = [one_line(s) for s in dict.fromkeys(s for f in findings for s in f.sources)]
    help_text = clean(first.recommendation) or "See the finding's evidence."
    listed = "".join(f"\n- {source}" for source in sources)
    properties: dict[str, Any] = {"tags": tags, "precision": _PRECISION[first.confidence]}
    if "security" in tags or "compliance" in tags:
        properties["security-severity"] = _SECURITY_SEVERITY[first.severity]
    return {
        "id": one_line(rule),
        "name": "".join(part.capitalize() for part in re.split(r"\W+", rule)) or "Rule",
        "shortDescription": {"text": one_line(first.title, 200) or rule},
        "fullDescription": {"text": one_line(f"{first.title}. {first.recommendation}", 900) or rule},
        "help": {"text": help_text + (f"\n\nSources:{listed}" if sources else "")},
        "defaultConfiguration": {"level": _LEVEL[first.severity]},
        "properties": properties,
    }


def _cwe_tag(name: str) -> str:
    digits = re.search(r"\d+", name)
    return f"external/cwe/cwe-{int(digits[0]):03d}" if digits else ""


def _result(finding: Finding, rule_index: int, report: Report, fix: dict[str, Any] | None) -> dict[str, Any]:
    evidence = clean(finding.evidence).strip()
    text = one_line(finding.title) or finding.rule
    result: dict[str, Any] = {
        "ruleId": one_line(finding.rule),
        "ruleIndex": rule_index,
        "level": _LEVEL[finding.severity],
        "message": {"text": f"{text}\n\n{evidence[:2000]}" if evidence else text},
        "partialFingerprints": {"swarmFinding/v1": finding.id},
        "properties": {"confidence": finding.confidence, "status": finding.status, "agent": one_line(finding.agent),
                       "patch": one_line(finding.patch or "") or None},
    }  # fmt: skip
    by = next((p.patch.by for p in report.patches if p.patch.id == finding.patch and p.patch.model), "")
    more = {"patchBy": one_line(by), "disputedBy": one_line(finding.disputed_by)}
    result["properties"] |= {name: value for name, value in more.items() if value}
    if finding.file:
        location: dict[str, Any] = {
            "artifactLocation": {"uri": quote(clean(finding.file).lstrip("/")), "uriBaseId": "TARGET"}
        }
        if finding.line > 0:
            location["region"] = {"startLine": finding.line, "endLine": max(finding.line, finding.end_line)}
        result["locations"] = [{"physicalLocation": location}]
    if fix is not None:
        result["fixes"] = [fix]
    if finding.flow:
        result["codeFlows"] = [{"threadFlows": [{"locations": [_flow_location(step) for step in finding.flow]}]}]
    return result


def _fixes(report: Report) -> dict[str, dict[str, Any]]:
    """The accepted patches as fixes, by id: those whose changes can be told in the files as they were scanned."""
    accepted = [judged.patch for judged in report.patches if isinstance(judged.verdict, Accepted)]
    before_all = originals(accepted)
    found = {}
    for patch in accepted:
        files = in_originals(patch, before_all)
        if files:
            changes = [_artifact_change(one, before_all.get(one.path, "")) for one in files]
            found[patch.id] = {"description": {"text": one_line(patch.title)}, "artifactChanges": changes}
    return found


def _artifact_change(changed: FileReplacements, original: str) -> dict[str, Any]:
    lines = original.splitlines()
    replacements = []
    for one in changed.replacements:
        text, end, column = one.text, one.line + one.count, 1
        if one.count and end > len(lines):  # to the end of the file: there is no line behind it to name
            end, column = len(lines), len(lines[-1].encode("utf-16-le")) // 2 + 1
            text = text.removesuffix("\n") if original.endswith("\n") else text
        region = {"startLine": one.line, "startColumn": 1, "endLine": end, "endColumn": column}
        replacements.append({"deletedRegion": region, "insertedContent": {"text": text}})
    place = {"uri": quote(clean(changed.path).lstrip("/")), "uriBaseId": "TARGET"}
    return {"artifactLocation": place, "replacements": replacements}


def _flow_location(step: FlowStep) -> dict[str, Any]:
    """One step of the way of data, which code scanning shows beside the finding."""
    place = {
        "artifactLocation": {"uri": quote(clean(step.file).lstrip("/")), "uriBaseId": "TARGET"},
        "region": {"startLine": max(1, step.line)},
    }
    return {"location": {"physicalLocation": place, "message": {"text": one_line(step.text, 200) or "data"}}}
