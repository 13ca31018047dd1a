"""What the gate `gone` asks of patches that a model wrote: the problem is gone, not only its name."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.core.patches import FileChange, GateResult
from swarm.rules.registry import all_rules
from swarm.rules.scan import scan
from swarm.verify.candidate import empty_stack, extend
from swarm.verify.fixes import Fix
from swarm.verify.gates import gone

APP = """\
import requests
from flask import Flask

app = Flask(__name__)
session = requests.Session()


@app.get("/stock")
def stock():
    return session.get("https://stock.example.com/all").json()
"""
RULES: dict[str, Any] = {rule.id: rule for rule in all_rules()}
CALL = 'session.get("https://stock.example.com/all")'


def judged(root: Path, new: str, rule: str = "missing-timeout") -> GateResult:
    (root / "app.py").write_text(APP)
    original = empty_stack(build_index(SourceTree.load(root)))
    answered = tuple(f.id for f in scan(original.index) if f.rule == rule) or ("0123456789",)
    edits = (FileChange("app.py", APP, APP.replace(CALL, new)),)
    fix = Fix(rule, "api", "app.py", answered, "api", "An edit", "Why", edits, "claude-x")
    stack, unbuilt = extend(original, [fix], RULES)
    assert not unbuilt
    (root / "app.py").write_text(stack.patches[0].changes[0].after or "")
    trial: Any = SimpleNamespace(stack=stack, judged=stack.patches, below=original, copy=SimpleNamespace(path=root))
    lab: Any = SimpleNamespace(original=original, folder=lambda name: root / name)
    return gone.check(lab, trial)


def test_a_problem_that_is_gone(tmp_path: Path):
    result = judged(tmp_path, f"{CALL[:-1]}, timeout=5)")
    assert (result.passed, result.detail) == (True, "1 findings are gone, no grave new one")


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (f"{CALL[:-1]}, params={{}})", "still found"),
        ('session.get("https://stock.example.com/all", stream=False)', "still found"),
        (f"{CALL} or {CALL.replace('all', 'rest')}.json() or session.get('/x')", "still found"),
        (f"{CALL[:-1]}, timeout=5, verify=False)", "brings a new finding"),
        (f"{CALL[:-1]}, timeout=5, cert='/tmp/own.pem')", "brings a new finding"),
    ],
)
def test_a_problem_with_another_name_or_in_exchange_for_another(tmp_path: Path, new: str, words: str):
    result = judged(tmp_path, new)
    assert result.passed is False and words in result.detail


def test_what_no_rule_can_look_for_is_said_to_be_so(tmp_path: Path):
    result = judged(tmp_path, f"{CALL[:-1]}, timeout=5)", rule="reviewed")
    assert result.passed is None and "no rule can look" in result.detail
