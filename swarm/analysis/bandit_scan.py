"""bandit's findings as ours: run as a library, its usual noise left out, joined with our own on the same lines."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from swarm.core.findings import Confidence, Finding, Severity

_SEVERITIES: dict[str, Severity] = {"HIGH": "high", "MEDIUM": "medium", "LOW": "low"}
_CONFIDENCES: dict[str, Confidence] = {"HIGH": "high", "MEDIUM": "medium", "LOW": "low"}

# assert in code (B101), all interfaces (B104: a container's server needs them), strings whose name sounds like a
# password's (B105 to B107: "Bearer", "token"; secret-in-code looks closer), `except: pass` and `continue` around
# whatever (B110, B112: clean-up, a value that keeps its default; swallowed-exception looks closer), random for other
# things than keys (B311), and imports whose mere presence is reported (B4xx).
_LEFT_OUT = {"B101", "B104", "B105", "B106", "B107", "B110", "B112", "B311"}
_LEFT_OUT_PREFIX = "B4"

# Our rule that speaks of the same thing, where the CWE alone does not say so.
_SAME_AS: dict[str, tuple[str, ...]] = {
    "B113": ("missing-timeout", "no-timeout"),
    "B201": ("debug-enabled",),
    "B501": ("tls-check-off",),
    "B608": ("sql-from-strings",),
}


def bandit_findings(root: Path, files: Iterable[str]) -> tuple[Finding, ...]:
    """What bandit says about these Python files (paths relative to `root`, with `/`); tests are left out.

    Low severity with low confidence is left out too. bandit prints and changes nothing. Raises nothing for files
    that it cannot parse: the source index names those.
    """
    chosen = sorted({file for file in files if file.endswith(".py") and not _is_test(file)})
    if not chosen:
        return ()
    from bandit.core import config, manager  # slow to import, and only needed here
    from bandit.core.extension_loader import MANAGER

    logger = logging.getLogger("bandit")
    was_disabled, logger.disabled = logger.disabled, True
    children = [logging.getLogger(name) for name in ("bandit.core.manager", "bandit.core.node_visitor",
                                                    "bandit.core.tester", "bandit.core.test_set",
                                                    "bandit.core.extension_loader", "bandit.core.utils")]  # fmt: skip
    before = [child.disabled for child in children]
    for child in children:
        child.disabled = True
    try:
        left_out = [*_LEFT_OUT, *(test for test in MANAGER.blacklist_by_id if test.startswith(_LEFT_OUT_PREFIX))]
        scan = manager.BanditManager(config.BanditConfig(), "file", quiet=True, profile={"exclude": left_out})
        # bandit reads every file a second time for comments that silence it: few have any
        marked = {file for file in chosen if _may_be_silenced(root / file)}
        for is_marked in (True, False):
            scan.ignore_nosec = not is_marked
            scan.files_list = [str(root / file) for file in chosen if (file in marked) == is_marked]
            scan.run_tests()
        issues = sorted(scan.get_issue_list(), key=lambda issue: str(issue.fname))
    finally:
        logger.disabled = was_disabled
        for child, disabled in zip(children, before, strict=True):
            child.disabled = disabled
    findings = [_finding(issue.as_dict(with_code=False), root) for issue in issues]
    return tuple(finding for finding in findings if finding is not None)


def _may_be_silenced(path: Path) -> bool:
    try:
        return b"nosec" in path.read_bytes().lower()
    except OSError:
        return True  # bandit tells of it


def _is_test(file: str) -> bool:
    path = PurePosixPath(file)
    name = path.name
    return (
        name.startswith("test_")
        or name.endswith("_test.py")
        or name == "conftest.py"
        or any(part in ("tests", "test", "testing") for part in path.parts[:-1])
    )


def _finding(issue: dict[str, object], root: Path) -> Finding | None:
    test = str(issue["test_id"])
    severity, confidence = str(issue["issue_severity"]), str(issue["issue_confidence"])
    if test in _LEFT_OUT or test.startswith(_LEFT_OUT_PREFIX) or (severity, confidence) == ("LOW", "LOW"):
        return None
    if severity not in _SEVERITIES or confidence not in _CONFIDENCES:
        return None
    line = int(str(issue["line_number"]))
    span = issue.get("line_range")
    lines = [int(number) for number in span] if isinstance(span, list) and span else [line]
    cwe = issue.get("issue_cwe")
    number = cwe.get("id") if isinstance(cwe, dict) else None
    file = Path(str(issue["filename"]))
    relative = file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix()
    text = str(issue["issue_text"]).strip()
    is_by_name = str(issue["test_name"]) == "blacklist"  # every use of a name, whatever is done with it
    return Finding(
        rule=f"bandit-{test}",
        category="security",
        severity="low" if is_by_name else _SEVERITIES[severity],
        confidence=_CONFIDENCES[confidence],
        title=_first_words(text) if is_by_name else f"{str(issue['test_name']).replace('_', ' ')}",
        file=relative,
        line=line,
        end_line=max(line, lines[-1]),
        evidence=text,
        recommendation=f"See {issue['more_info']}" if issue.get("more_info") else "See bandit's documentation",
        cwe=(f"CWE-{number}",) if number else (),
        sources=(f"bandit {test}",),
    )


def _first_words(text: str) -> str:
    """The first clause of bandit's words: its own name for such tests, "blacklist", tells nobody anything."""
    clause = text.split(". ")[0].split(", possible")[0].rstrip(".")
    return clause if len(clause) <= 100 else clause[:99].rsplit(" ", 1)[0] + "…"


def join(own: Sequence[Finding], others: Sequence[Finding]) -> tuple[Finding, ...]:
    """Our findings and bandit's: one of bandit's that says what one of ours says on the same lines becomes a source
    of ours (its `sources` gets "bandit Bxxx")."""
    joined = list(own)
    left: list[Finding] = []
    for other in others:
        place = next((number for number, mine in enumerate(joined) if _same(mine, other)), None)
        if place is None:
            left.append(other)
            continue
        mine = joined[place]
        new = tuple(source for source in other.sources if source not in mine.sources)
        joined[place] = replace(mine, sources=(*mine.sources, *new))
    return (*joined, *left)


def _same(mine: Finding, other: Finding) -> bool:
    if mine.file != other.file or mine.end_line < other.line or other.end_line < mine.line:
        return False
    test = other.rule.removeprefix("bandit-")
    return mine.rule in _SAME_AS.get(test, ()) or bool(set(mine.cwe) & set(other.cwe))
