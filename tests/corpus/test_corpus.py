"""Small handlers with and without a problem, in three styles: rules find nearly all, and flag no twin.

A file is named by its rule. `=== bad fastapi` begins a handler with the problem, `=== twin flask` one that looks like
it and has none; the frame of the framework is put around each.

`held/` and `second/` have whole modules in styles that the others lack. `held/` was written before the rules' code was
read: when they met it first, they found 55 of the 133 problems (41 %) and flagged 2 of the 78 twins; then they were
mended by what that showed. `second/` was written after that, by who had mended them: of its 29 problems the rules as
they were before found 11 (38 %), the mended ones 19 at first sight (66 %), and no twin was flagged. What they find now is
no measure of what they find in a stranger's code; those first figures are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.rules.registry import rule_by_id

HERE = Path(__file__).parent
FOLDERS = ("performance", "api")
RECALL = 0.95
HELD_RECALL = 0.93
FRAMES = {
    "fastapi": ("from fastapi import APIRouter, Depends, FastAPI, Request\n\napp = FastAPI()\n", ""),
    "flask": ("from flask import Flask, request\n\napp = Flask(__name__)\n", ""),
    "whole": ("", ""),
    "starlette": (
        "from starlette.applications import Starlette\nfrom starlette.responses import JSONResponse\n"
        "from starlette.routing import Route\n",
        '\n\napp = Starlette(routes=[Route("/hook", hook, methods=["POST"])])\n',
    ),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One handler."""

    rule: str
    kind: str
    style: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.rule} {self.kind} {self.style}"


def _cases() -> list[Case]:
    found = []
    for folder in FOLDERS:
        for path in sorted((HERE / folder).glob("*.txt")):
            parts = re.split(r"^=== (bad|twin) (\w+)\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
            for kind, style, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
                before, after = FRAMES[style]
                found.append(Case(path.stem, kind, style, f"{before}\n{body.strip()}\n{after}"))
    return found


def _held(folder: str) -> list[Case]:
    found = []
    for path in sorted((HERE / folder).glob("*.txt")):
        parts = re.split(r"^=== (bad|twin) whole\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for number, (kind, body) in enumerate(zip(parts[1::2], parts[2::2], strict=True)):
            found.append(Case(path.stem, kind, f"{folder} {number}", body))
    return found


CASES = _cases()
HELD = [*_held("held"), *_held("second")]


def _is_found(case: Case, folder: Path) -> bool:
    (folder / "app.py").write_text(case.text, encoding="utf-8")
    rule = rule_by_id(case.rule)
    assert rule is not None, f"no rule {case.rule}"
    return bool(list(rule.find(build_index(SourceTree.load(folder)))))


def _is_python(case: Case) -> bool:
    try:
        compile(case.text, case.name, "exec")
    except SyntaxError:
        return False
    return True


def test_every_handler_is_python() -> None:
    assert [case.name for case in [*CASES, *HELD] if not _is_python(case)] == []


def test_nearly_all_problems_are_found(tmp_path: Path) -> None:
    bad = [case for case in CASES if case.kind == "bad"]
    missed = [case.name for case in bad if not _is_found(case, tmp_path)]
    assert len(missed) <= (1 - RECALL) * len(bad), missed


def test_no_twin_is_flagged(tmp_path: Path) -> None:
    flagged = [case.name for case in CASES if case.kind == "twin" and _is_found(case, tmp_path)]
    assert not flagged


def test_each_rule_has_twins_and_three_styles() -> None:
    for rule in {case.rule for case in CASES}:
        mine = [case for case in CASES if case.rule == rule]
        bad = [case for case in mine if case.kind == "bad"]
        assert len(bad) >= 3, rule
        assert len(mine) - len(bad) >= 3, rule
        assert len({case.style for case in bad}) >= 2, rule


def test_of_handlers_that_were_met_later_most_are_found(tmp_path: Path) -> None:
    bad = [case for case in HELD if case.kind == "bad"]
    missed = [case.name for case in bad if not _is_found(case, tmp_path)]
    assert len(bad) > 100
    assert len(missed) <= (1 - HELD_RECALL) * len(bad), missed


def test_of_their_twins_none_is_flagged(tmp_path: Path) -> None:
    flagged = [case.name for case in HELD if case.kind == "twin" and _is_found(case, tmp_path)]
    assert not flagged
