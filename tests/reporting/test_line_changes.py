"""Patches that lie on top of each other, told by lines of the files that were scanned."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

import pytest

from swarm.core.patches import Accepted, FileChange, JudgedPatch, Patch
from swarm.core.report import Report
from swarm.reporting.catalogue import format_named
from swarm.reporting.line_changes import Replacement, in_originals, originals

FIRST = "import os\n\n\ndef one():\n    return 1\n\n\ndef two():\n    return 2\n"
SECOND = FIRST.replace("import os\n", "import os\nimport sys\n").replace("return 1", "return sys.maxsize")
THIRD = SECOND.replace("    return 2\n", "    return 22\n\n\ndef three():\n    return 3\n")


def patch(number: int, *changes: FileChange) -> Patch:
    return Patch(f"00{number}-rule-x", f"patch {number}", "rule", "security", (), "agent", "why", changes)


def applied(original: str, several: Iterable[Replacement]) -> str:
    lines = original.splitlines(keepends=True)
    for one in sorted(several, key=lambda r: r.line, reverse=True):
        lines[one.line - 1 : one.line - 1 + one.count] = [one.text]
    return "".join(lines)


def test_stacked_patches_are_told_in_the_file_that_was_scanned() -> None:
    patches = [patch(1, FileChange("a.py", FIRST, SECOND)), patch(2, FileChange("a.py", SECOND, THIRD))]
    before_all = originals(patches)
    assert before_all == {"a.py": FIRST}
    told = [in_originals(one, before_all) for one in patches]
    assert told[0] is not None and told[1] is not None
    assert applied(FIRST, told[0][0].replacements) == SECOND
    assert applied(FIRST, [*told[0][0].replacements, *told[1][0].replacements]) == THIRD
    assert told[1][0].replacements[0].line == 9, "the line of the original, not that of the patched file"


def test_what_changes_an_earlier_patchs_lines_cannot_be_told() -> None:
    again = patch(2, FileChange("a.py", SECOND, SECOND.replace("sys.maxsize", "0")))
    before_all = originals([patch(1, FileChange("a.py", FIRST, SECOND)), again])
    assert in_originals(again, before_all) is None
    assert in_originals(patch(3, FileChange("a.py", FIRST, None)), before_all) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [("", "a\n"), ("a\n", ""), ("a\nb", "a\nc"), ("a\nb\n", "b\n"), ("a\n", "z\na\ny\n"), ("a\né🙂\n", "a\nb\n")],
)
def test_edges_of_files(before: str, after: str) -> None:
    one = patch(1, FileChange("a.py", before, after))
    told = in_originals(one, originals([one]))
    assert told is not None
    assert applied(before, told[0].replacements) == after


def test_sarif_carries_the_fix_of_a_mended_finding(report: Report) -> None:
    added = FileChange("guard.py", None, "GUARD = True\n")
    made = replace(patch(1, FileChange("a.py", FIRST, SECOND), added), findings=(report.findings[0].id,))
    findings = (replace(report.findings[0], status="patched", patch=made.id), *report.findings[1:])
    judged = replace(report, findings=findings, patches=(JudgedPatch(made, Accepted(())),))
    results = json.loads(format_named("sarif").render(judged))["runs"][0]["results"]
    (mended,) = [result for result in results if result.get("fixes")]
    assert mended["partialFingerprints"] == {"swarmFinding/v1": findings[0].id}
    (fix,) = mended["fixes"]
    own, new = fix["artifactChanges"]
    assert own["artifactLocation"] == {"uri": "a.py", "uriBaseId": "TARGET"}
    assert own["replacements"][0] == {
        "deletedRegion": {"startLine": 2, "startColumn": 1, "endLine": 2, "endColumn": 1},
        "insertedContent": {"text": "import sys\n"},
    }
    assert new["replacements"][0]["insertedContent"]["text"] == "GUARD = True\n"
