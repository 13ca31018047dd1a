"""What keeps answers is one rung, and is measured once something is kept."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.core.errors import TargetError
from swarm.rules.registry import all_rules
from swarm.verify.candidate import empty_stack
from swarm.verify.fixes import Fix
from swarm.verify.ladder import ORIGINAL, raised, rungs, to_fill
from swarm.verify.standing import Tree

ASKS = """import sqlite3

import httpx
from fastapi import FastAPI

app = FastAPI()


async def flow(name: str) -> dict:
    async with httpx.AsyncClient() as client:
        told = await client.get(f"https://a.example/pipelines/{name}", timeout=3)
    told.raise_for_status()
    return told.json()


async def ask(prompt: str) -> str:
    async with httpx.AsyncClient() as client:
        body = {"model": "m", "messages": [{"role": "user", "content": prompt}]}
        told = await client.post("https://b.example/v1/messages", json=body, timeout=3)
    return told.json()["content"][0]["text"]


@app.post("/hook")
async def hook(name: str):
    return {"flow": await flow(name), "text": await ask(name)}
"""


def test_the_ladder_fills_from_below_the_first_rung_that_keeps_something(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(ASKS)
    index = build_index(SourceTree.load(tmp_path))
    rules = {rule.id: rule for rule in all_rules()}
    names = ("client-per-call", "repeated-question", "repeated-read")
    found = {name: [f for f in rules[name].find(index) if f.mendable] for name in names}
    fixes = [Fix(name, "performance", "app.py", tuple(f.id for f in found[name]), "") for name in names]
    lab = cast("Any", SimpleNamespace(original=empty_stack(index), rules=rules))

    steps = rungs(lab, fixes)
    assert [[fix.rule for fix in rung.fixes] for rung in steps] == [[names[0]], [names[1], names[2]]]
    assert to_fill(steps, rules) == ["rung 1", "rung 2"]
    assert to_fill(rungs(lab, fixes[1:]), rules) == [ORIGINAL, "rung 1"]
    assert to_fill(rungs(lab, fixes[:1]), rules) == []


class _Starting:
    """Stands in for `Standing`: keeps which trees were asked for, and how many of these came to an end."""

    def __init__(self, lab: Any, fails: bool = False) -> None:
        self.lab, self.fails, self.asked = lab, fails, list[str]()
        self.over = 0

    async def run(self, trees: dict[str, Tree]) -> None:
        (name,) = trees
        self.asked.append(name)
        try:
            await asyncio.sleep(0.01)
            if self.fails and name == "rung 1":
                raise TargetError("does not start")
        finally:
            self.over += 1


@pytest.mark.parametrize("fails", [False, True])
async def test_trees_start_as_they_are_written_and_none_is_left_behind(tmp_path: Path, fails: bool) -> None:
    (tmp_path / "app.py").write_text(ASKS)
    index = build_index(SourceTree.load(tmp_path))
    rules = {rule.id: rule for rule in all_rules()}
    names = ("client-per-call", "repeated-question")
    found = {name: [f for f in rules[name].find(index) if f.mendable] for name in names}
    fixes = [Fix(name, "performance", "app.py", tuple(f.id for f in found[name]), "") for name in names]
    nothing = Fix("missing-timeout", "performance", "app.py", ("0123456789",), "")
    standing = _Starting(SimpleNamespace(original=empty_stack(index), rules=rules), fails)
    raising = raised(cast("Any", standing), [fixes[0], nothing, fixes[1]])
    if fails:
        with pytest.raises(TargetError):
            await raising
    else:
        steps = await raising
        assert [rung.name for rung in steps] == ["rung 1", "rung 2"]  # what gives no patch makes no tree
        assert standing.asked == [ORIGINAL, "rung 1", "rung 2"]
    assert standing.over == len(standing.asked)
