"""What keeps answers is one rung, and is measured once something is kept."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.rules.registry import all_rules
from swarm.verify.candidate import empty_stack
from swarm.verify.fixes import Fix
from swarm.verify.ladder import ORIGINAL, rungs, to_fill

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
