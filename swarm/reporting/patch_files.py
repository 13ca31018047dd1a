"""Patches as files: mailbox messages that `git am` takes one by one, the series, one combined diff.

A message goes out as 8bit text that `git apply` reads too. Where a file has CRLF line ends, `git am` would strip
them from plain text, so that message alone is quoted-printable; `combined.patch` stays plain for `git apply`.
"""

from __future__ import annotations

import quopri
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.header import Header
from email.utils import format_datetime

from swarm.core.patches import Accepted, FileChange, JudgedPatch, Rejected
from swarm.core.report import Report
from swarm.reporting.escape import clean, code, markdown, one_line
from swarm.reporting.numbers import change, interval, quantity

# What git's mailinfo would take for the end of a message, a header in the body, or the next message.
_MEANS_SOMETHING = re.compile(r"^(?:---|diff -|Index: |From[ :]|>+From |Date:|Subject:|\[PATCH)", re.IGNORECASE)
_ADDRESS = "swarm@localhost"


def patch_files(report: Report) -> dict[str, str]:
    """Every patch file of a run by its path in the run's folder."""
    taken = [p for p in report.patches if isinstance(p.verdict, Accepted)]
    files = {f"patches/{p.patch.id}.patch": message(p, n, len(taken), report) for n, p in enumerate(taken, 1)}
    files["patches/series"] = "".join(f"{p.patch.id}.patch\n" for p in taken)
    files["combined.patch"] = combined_diff(taken)
    lost = [p for p in report.patches if isinstance(p.verdict, Rejected)]
    files.update({f"rejected/{p.patch.id}.patch": message(p, 1, 1, report) for p in lost})
    if lost:
        files["rejected/README.md"] = _reasons(lost)
    return files


def message(judged: JudgedPatch, number: int, total: int, report: Report) -> str:
    """One patch as a mailbox message."""
    patch = judged.patch
    diff = patch.diff()
    place = f" {number}/{total}" if total > 1 else ""
    text = _escaped(_message_text(judged, report)) + "---\n\n" + diff
    text += f"-- \nswarm {report.run.swarm_version}".rstrip() + "\n"
    encoding = "8bit"
    if "\r\n" in diff:
        encoding = "quoted-printable"
        text = _quoted_printable(text)
    headers = [
        "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001",
        f"From: {_header(patch.author or 'swarm')} <{_ADDRESS}>",
        f"Date: {_date(report.run.finished or report.run.started)}",
        f"Subject: {_header(f'[PATCH{place}] {one_line(patch.title, 120) or patch.id}')}",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=UTF-8",
        f"Content-Transfer-Encoding: {encoding}",
    ]
    return "\n".join(headers) + "\n\n" + text


def _quoted_printable(text: str) -> str:
    """Each carriage return as =0D: the standard encoder takes one before a newline for a part of the line's end."""
    lines = []
    for line in text.split("\n"):
        returned = line.endswith("\r")
        encoded = quopri.encodestring(line.removesuffix("\r").encode()).decode("ascii")
        lines.append(encoded + ("=\n=0D" if returned else ""))
    return "\n".join(lines)


def combined_diff(patches: Sequence[JudgedPatch]) -> str:
    """What all of them do together: each file from its first state to its last, as one plain diff."""
    first: dict[str, str | None] = {}
    last: dict[str, str | None] = {}
    for judged in patches:
        for item in judged.patch.changes:
            first.setdefault(item.path, item.before)
            last[item.path] = item.after
    return "".join(FileChange(path, first[path], last[path]).diff() for path in sorted(first))


def _message_text(judged: JudgedPatch, report: Report) -> str:
    patch, verdict = judged.patch, judged.verdict
    parts = [clean(patch.rationale).strip()]
    if isinstance(verdict, Rejected):
        parts.insert(0, f"REJECTED by the gate '{verdict.gate}': {one_line(verdict.reason)}")
    lines = [
        f"- {g.name}: {_outcome(g.passed)}{', ' + one_line(g.detail, 160) if g.detail else ''}" for g in verdict.gates
    ]
    if lines:
        parts.append("Gates:\n" + "\n".join(lines))
    if verdict.effect is not None:
        e = verdict.effect
        figures = f"{quantity(e.before, '')} to {quantity(e.after, '')} ({change(e.ratio)}, ratio {e.ratio:.2f}"
        parts.append(f"Measured: {one_line(e.metric)} {figures}, 95 % interval {interval(*e.ci95)})")
    trailers = [f"Swarm-Patch: {one_line(patch.id)}", f"Swarm-Rule: {one_line(patch.rule)}"]
    if patch.model:
        trailers.append(f"Swarm-Written-By: {one_line(patch.model)}")
    trailers += [f"Swarm-Finding: {one_line(finding)}" for finding in patch.findings]
    trailers.append(f"Swarm-Run: {one_line(report.run.id)}")
    parts.append("\n".join(trailers))
    return "\n\n".join(part for part in parts if part) + "\n"


def _escaped(text: str) -> str:
    """A message that git reads as a message to its last line."""
    return "".join(f" {line}" if _MEANS_SOMETHING.match(line) else line for line in text.splitlines(keepends=True))


def _outcome(passed: bool | None) -> str:
    return "not applicable" if passed is None else "passed" if passed else "failed"


def _header(text: str) -> str:
    """A header's value: as it is where ASCII, else by RFC 2047, folded."""
    line = re.sub(r"[<>\"]", "", one_line(text))
    if line.isascii():
        return line
    return Header(line, "utf-8", maxlinelen=76).encode(linesep="\n")


def _date(stamp: str) -> str:
    """RFC 5322; an ISO stamp that cannot be read becomes the epoch, so that every file stays valid."""
    try:
        moment = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    except ValueError:
        moment = datetime.fromtimestamp(0, UTC)
    return format_datetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _reasons(lost: Sequence[JudgedPatch]) -> str:
    lines = [
        "# Patches that did not pass",
        "",
        "Each was tried on a copy and failed a gate; none is applied by `swarm apply`.",
        "",
    ]
    for judged in lost:
        if isinstance(judged.verdict, Rejected):
            where = f"{judged.patch.id}.patch"
            lines.append(f"- {code(where)}: gate {code(judged.verdict.gate)}: {markdown(judged.verdict.reason)}")
    return "\n".join(lines) + "\n"
