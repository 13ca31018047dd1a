"""A whole run with a Claude by script: patches of its own pass the gates that the rules' mends pass, or go back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swarm.core.patches import GATES
from swarm.reporting.reading import read_report
from tests.cli.conftest import Cli
from tests.cli.tiny import report_of, write_service
from tests.scripted_claude import Call, ScriptedClaude, Seen, patch
from tests.strict_server import StrictServer

pytestmark = pytest.mark.long

APP = """
import argparse
import os

import requests
from flask import Flask, jsonify, request

app = Flask(__name__)
session = requests.Session()


def label(left):
    if left == 0:
        return "none"
    if left == 1:
        return "one"
    return "several"


@app.post("/hook")
def hook():
    event = request.get_json()
    stock = session.get(f"{os.environ['STOCK_URL']}/stock/{event['sku']}")
    stock.raise_for_status()
    left = stock.json()["left"]
    return jsonify(sku=event["sku"], left=left, label=label(left))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    app.run(host="127.0.0.1", port=parser.parse_args().port, threaded=True)
"""
GET = "session.get(f\"{os.environ['STOCK_URL']}/stock/{event['sku']}\")"
LABELS = APP[APP.index("    if left == 0") : APP.index("\n\n\n@app.post")]
PROBLEM = {
    "title": "The labels are spread over branches", "category": "api", "severity": "low", "file": "app.py",
    "line": 11, "evidence": "if left == 0", "recommendation": "Keep them in one table.",
}  # fmt: skip
WRONG = '    return {0: "none", 1: "single"}.get(left, "many")'
RIGHT = '    return {0: "none", 1: "one"}.get(left, "several")'


TIMED = f"{GET[:-1]}, timeout=(3, 10))"
WHY = "What callers get stays as it was, in fewer words."


def edit(old: str, new: str) -> dict[str, str]:
    return {"file": "app.py", "old": old, "new": new}


def own(seen: Seen) -> list[Call]:
    """A timeout of its own in place of the rule's, and a problem that no rule knows, answered wrongly at first."""
    timeouts = [one for one, finding in seen.findings().items() if finding["rule"] == "missing-timeout"]
    labels = {"title": "Keep the labels in one table", "why": WHY, "edits": [edit(LABELS, WRONG)]}
    return [
        *(patch(one, "app.py", GET, TIMED, "Wait ten seconds at most") for one in timeouts),
        ("propose_edit", {"problem": PROBLEM, **labels}),
    ]


def again(seen: Seen) -> dict[str, Any]:
    """What is written after the gate's reason and a look at how the service stands now."""
    assert "refused your patch" in seen.first
    if "`applies`" in seen.first:
        assert "with_retries(lambda: session.get(" in seen.results("read_file")[0]
        return {"patch": {"title": "Wait ten seconds at most", "why": WHY, "edits": [edit(GET, TIMED)]}}
    assert "`replay`" in seen.first and "single" in seen.first
    return {"patch": {"title": "Keep the labels in one table", "why": WHY, "edits": [edit(LABELS, RIGHT)]}}


def test_own_patches_pass_the_gates_or_go_back(
    cli: Cli, tmp_path: Path, shortened: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_service(tmp_path, app=APP)
    claude = ScriptedClaude(own, again, fixes=lambda finding: finding["rule"] == "missing-retry")
    with StrictServer(director=claude).serving() as server:
        for name, value in server.environ().items():
            monkeypatch.setenv(name, value)
        done = cli("run", "--quiet", "--only", "api")
    assert (done.code, done.err) == (0, "")
    assert server.mistakes == []

    report = report_of(tmp_path / "reports")
    assert report["run"]["status"] == "complete", report["run"]["notes"]
    written = [one for one in report["patches"] if one["model"]]
    verdicts = {(one["rule"], one["title"]): one for one in written if one["verdict"] == "accepted"}
    assert set(verdicts) == {
        ("missing-timeout", "Wait ten seconds at most"),
        ("reviewed", "Keep the labels in one table"),
    }
    assert all(one["model"] == "claude-sonnet-5-5" and one["author"] == "api" for one in written)
    refused = [one for one in written if one["verdict"] == "rejected"]
    assert {(one["rule"], one["rejected_by"]) for one in refused} == {
        ("missing-timeout", "applies"), ("reviewed", "replay"),
    }  # fmt: skip
    ids = [one["id"] for one in report["patches"]]
    assert len(set(ids)) == len(ids)
    assert all(one["id"].endswith("-try2") for one in verdicts.values())
    gates = {
        gate["name"]: gate["passed"] for gate in verdicts["missing-timeout", "Wait ten seconds at most"]["gates"]
    }
    assert [name for name, passed in gates.items() if passed is None] == ["tests", "durable"]
    assert all(passed is not False for passed in gates.values()) and len(gates) == len(GATES)
    reviewed = {g["name"]: g for g in verdicts["reviewed", "Keep the labels in one table"]["gates"]}
    assert "1 that a model found by reading cannot be looked for" in reviewed["gone"]["detail"]
    statuses = {one["rule"]: one["status"] for one in report["findings"]}
    assert statuses["missing-timeout"] == statuses["reviewed"] == "patched"

    (agent,) = [one for one in report["agents"] if one["name"] == "api"]
    turns = [body for body in server.requests if "submit_plan" not in Seen(body).tools]
    assert agent["turns"] == len(turns) == 7 and agent["input_tokens"] == 900 * len(
        turns
    )  # the revision is counted too

    folder = next(path for path in (tmp_path / "reports").iterdir() if path.name != "latest")
    for one in verdicts.values():
        words = (folder / one["file"]).read_text()
        assert "Swarm-Written-By: claude-sonnet-5-5" in words
    assert "written by claude-sonnet-5-5" in (folder / "report.md").read_text()
    assert "written by claude-sonnet-5-5" in (folder / "report.html").read_text()
    results = json.loads((folder / "findings.sarif").read_text())["runs"][0]["results"]
    assert any(r["properties"].get("patchBy") == "api (written by claude-sonnet-5-5)" for r in results)
    assert [p.patch.model for p in read_report((folder / "report.json").read_text()).patches] == [
        one["model"] for one in report["patches"]
    ]
    assert cli("apply").code == 0
    text = (tmp_path / "app.py").read_text()
    assert "timeout=(3, 10)" in text and RIGHT in text
    assert cli("rollback").code == 0
    assert (tmp_path / "app.py").read_text() == APP.lstrip("\n")
