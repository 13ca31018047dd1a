"""A whole run on the reference service with a Claude by script, and a table of what was sent.

    python -m tests.scripted_reference [--out DIR] [--target NAME] [--pattern NAME]

The specialists read the code at their findings, ask for every mend that they can have, and write four patches of
their own: one that a gate must refuse and that is written again, one that has to gain, and two about what no rule
mends. No network, no key: the server is the tests' own, and its tokens are counted, four characters each, with a
cache for common beginnings.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from swarm.cli.main import guarded
from tests.scripted_claude import Call, CountedTokens, ScriptedClaude, Seen, patch
from tests.strict_server import StrictServer

READS = 8  # turns in which a specialist reads the code at its findings
WHY = "What the service answers and writes stays as it is."
LOOP = """        for field, answer in answers.items():
            result = await session.execute(
                select(QualificationAnswer).where(
                    QualificationAnswer.contact_id == contact_id, QualificationAnswer.field == field
                )
            )
            known = result.scalars().first()
"""
ONE_QUERY = """        result = await session.execute(
            select(QualificationAnswer).where(QualificationAnswer.contact_id == contact_id)
        )
        answered = {row.field: row for row in result.scalars().all()}
        for field, answer in answers.items():
            known = answered.get(field)
"""
PERCENT = "round(100 * len(known) / len(fields)) if fields else 0"
FLOORED = "100 * len(known) // max(1, len(fields)) + 1"
ROUNDED = "round(100 * len(known) / max(1, len(fields)))"
UNCLOSED = """    entries = await client.lrange(FEED_KEY, 0, count - 1)
    await client.aclose()
    return"""
CLOSED = """    try:
        entries = await client.lrange(FEED_KEY, 0, count - 1)
    finally:
        await client.aclose()
    return"""
LOGGED = 'logger.info("No flow for %s", data.get("type"))'
CLEANED = 'logger.info("No flow for %s", repr(data.get("type"))[:80])'


def problem(title: str, file: str, line: int, evidence: str) -> dict[str, Any]:
    """What no rule reported."""
    return {
        "title": title, "category": "api", "severity": "low", "file": file, "line": line, "evidence": evidence,
        "recommendation": "Write it so that it cannot happen.",
    }  # fmt: skip


def own(seen: Seen) -> list[Call]:
    """The patches that an agent writes itself, by what its tools have told it."""
    calls: list[Call] = []
    for one, finding in seen.findings().items():
        place = (finding["rule"], str(finding.get("place", "")).split(":")[0])
        if place == ("query-per-row", "qualification.py") and not finding["mendable"]:
            calls.append(patch(one, place[1], LOOP, ONE_QUERY, "Ask for all known answers at once"))
        if place == ("log-injection", "ghl/events.py"):
            calls.append(patch(one, place[1], LOGGED, CLEANED, "Keep an unknown type on one line of the log"))
    if seen.agent == "ghl_api_optimizer":
        leak = problem("A feed that cannot be read leaves a connection open", "activity_feed.py", 30, "client.lrange")
        share = problem("The share of answers is worked out in two ways", "qualification.py", 63, "if fields else 0")
        for found, file, old, new in (
            (leak, "activity_feed.py", UNCLOSED, CLOSED),
            (share, "qualification.py", PERCENT, FLOORED),
        ):
            edits = [{"file": file, "old": old, "new": new}]
            title = f"Mend this: {found['title'][:90]}"
            calls.append(("propose_edit", {"problem": found, "title": title, "why": WHY, "edits": edits}))
    return calls


def again(seen: Seen) -> dict[str, Any]:
    """The share is rounded as before in the second try; what gains nothing is withdrawn."""
    if FLOORED in seen.first or "max(1, len(fields)) + 1" in seen.first:
        edits = [{"file": "qualification.py", "old": PERCENT, "new": ROUNDED}]
        return {"patch": {"title": "Work out the share of answers in one way", "why": WHY, "edits": edits}}
    return {"withdraw": "It gains nothing that can be measured here."}


def table(report: dict[str, Any]) -> str:
    """What was sent, an agent a line."""
    head = ("agent", "model", "turns", "tools", "input", "cache read", "cache written", "output", "peak", "dollars")
    rows = [head]
    for one in report["agents"]:
        keys = ("turns", "tool_calls", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens",
                "peak_context_tokens")  # fmt: skip
        cost = "unknown" if one["cost_usd"] is None else f"{one['cost_usd']:.4f}"
        rows.append((one["name"], one["model"], *(f"{one[key]:,}" for key in keys), cost))
    costs = [one["cost_usd"] for one in report["agents"]]
    sums = [f"{sum(one[key] for one in report['agents']):,}" for key in keys]
    rows.append(("all", "", *sums[:-1], "", "unknown" if None in costs else f"{sum(costs):.4f}"))
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def main() -> int:
    """Run, and tell what was sent and what became of the patches."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    words.add_argument("--out", default="reports", type=Path)
    words.add_argument("--target", default="reference")
    words.add_argument("--pattern", default="parallel")
    given = words.parse_args()
    claude = ScriptedClaude(own, again, usage=CountedTokens(), reads=READS)
    with StrictServer(director=claude).serving() as server:
        os.environ |= server.environ()
        wanted = ["run", given.target, "--provider", "anthropic", "--pattern", given.pattern, "--out", str(given.out)]
        code = guarded(wanted)
    report = json.loads((given.out / "latest" / "report.json").read_text(encoding="utf-8"))
    written = [one for one in report["patches"] if one["model"]]
    accepted = [one for one in report["patches"] if one["verdict"] == "accepted"]
    sys.stdout.write(f"\nexit code {code}; {len(accepted)} of {len(report['patches'])} patches accepted, ")
    sys.stdout.write(f"{sum(one['verdict'] == 'accepted' for one in written)} of them free-form\n\n")
    for one in written:
        sys.stdout.write(f"- {one['id']} ({one['model']}): {one['verdict']} {one['reason'][:160]}\n")
    sys.stdout.write(f"\n{table(report)}\n\nThe server refused {len(server.mistakes)} requests as malformed.\n")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
