"""Services that were mended to keep answers, run in process: they read once and see their own writes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.rules.registry import rule_by_id
from tests.rules.kept_answers.reading_code import ASK, HEAD, HOOK, PLAN, found
from tests.rules.mending import loaded, mend, write

SHOP = {
    "src/shop/__init__.py": "",
    "src/shop/main.py": """from fastapi import FastAPI

from .data.plans import get_plan, raise_price
from .data.fees import get_fee

app = FastAPI()


@app.post("/hook")
def hook(plan: str):
    return {"plan": get_plan(plan), "fee": get_fee(plan)}


@app.put("/plans/{name}")
def change(name: str):
    raise_price(name)
    return get_plan(name)
""",
    "src/shop/data/__init__.py": "",
    "src/shop/data/plans.py": """import os
import sqlite3

from functools import lru_cache as cached


@cached
def path():
    return os.environ["SHOP_DB"]


def get_plan(name: str) -> dict:
    with sqlite3.connect(os.environ["SHOP_DB"]) as conn:
        row = conn.execute("SELECT price FROM plans WHERE name = ?", (name,)).fetchone()
    return {"name": name, "price": row[0] if row else 0}


def raise_price(name: str) -> None:
    with sqlite3.connect(os.environ["SHOP_DB"]) as conn:
        conn.execute("UPDATE plans SET price = price + 1 WHERE name = ?", (name,))
        conn.commit()
""",
    "src/shop/data/fees.py": """import os
import sqlite3


def get_fee(plan: str) -> dict:
    with sqlite3.connect(os.environ["SHOP_DB"]) as conn:
        rows = conn.execute("SELECT name, share FROM fees WHERE plan = ?", (plan,)).fetchall()
    return {name: share for name, share in rows}
""",
}


def test_the_mended_service_reads_once_and_sees_its_own_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, SHOP)
    mend(tmp_path, "repeated-read")
    plans = (tmp_path / "src/shop/data/plans.py").read_text()
    assert "from shop.answer_cache import cached as answers_cached, invalidates" in plans
    assert '@answers_cached("plan", ttl_s=300)\ndef get_plan' in plans
    assert '@invalidates("plan", "name")\ndef raise_price' in plans
    assert '@cached("fee", ttl_s=300)' in (tmp_path / "src/shop/data/fees.py").read_text()
    assert [path.name for path in (tmp_path / "src/shop").glob("answer_cache*")] == ["answer_cache.py"]

    database = tmp_path / "shop.db"
    monkeypatch.setenv("SHOP_DB", str(database))
    monkeypatch.setenv("ANSWER_CACHE_PATH", str(tmp_path / "answer_cache.writes"))
    conn = sqlite3.connect(database)
    conn.executescript(
        "CREATE TABLE plans (name, price); CREATE TABLE fees (plan, name, share);"
        "INSERT INTO plans VALUES ('pro', 10); INSERT INTO fees VALUES ('pro', 'card', 0.1);"
    )
    with loaded(tmp_path / "src", "shop.main") as service:
        client = TestClient(service.app)
        expected = {"plan": {"name": "pro", "price": 10}, "fee": {"card": 0.1}}
        assert client.post("/hook", params={"plan": "pro"}).json() == expected
        conn.execute("UPDATE plans SET price = 99")  # behind the service's back
        conn.commit()
        assert client.post("/hook", params={"plan": "pro"}).json() == expected
        assert client.put("/plans/pro").json() == {"name": "pro", "price": 100}
        assert client.post("/hook", params={"plan": "pro"}).json()["plan"]["price"] == 100
        monkeypatch.setenv("ANSWER_CACHE", "0")
        conn.execute("UPDATE plans SET price = 1")
        conn.commit()
        assert client.post("/hook", params={"plan": "pro"}).json()["plan"]["price"] == 1


def test_both_rules_share_one_module_and_one_import(tmp_path: Path) -> None:
    write(tmp_path, {"app.py": HEAD + PLAN.format(then="") + "\n\n" + ASK.format(then="") + HOOK.format(
        call="[await get_plan(name), await ask(name)]")})  # fmt: skip
    mend(tmp_path, "repeated-read", "repeated-question")
    text = (tmp_path / "app.py").read_text()
    assert text.count("answer_cache import") == 1
    assert '@cached("plan", ttl_s=300)\nasync def get_plan' in text
    assert '@cached("ask", ttl_s=1800)\nasync def ask' in text
    assert len(list(tmp_path.glob("answer_cache*.py"))) == 1


def test_the_module_that_is_added_is_no_ones_problem(tmp_path: Path) -> None:
    """No rule finds anything in it, and none takes it for metrics, limits or the like."""
    write(tmp_path, {"app.py": HEAD + PLAN.format(then="") + HOOK.format(call="await get_plan(name)")})
    before = rules_found(tmp_path)
    mend(tmp_path, "repeated-read")
    assert rules_found(tmp_path) == before - {("repeated-read", "app.py")}


def rules_found(root: Path) -> set[tuple[str, str]]:
    from swarm.rules.scan import scan

    return {(finding.rule, finding.file) for finding in scan(build_index(SourceTree.load(root)))}


def test_only_the_innermost_reader_of_several_is_decorated(tmp_path: Path) -> None:
    body = (
        PLAN.format(then="")
        + """

async def get_offer(name: str) -> dict:
    return {"offer": await get_plan(name)}


async def get_terms(name: str) -> dict:
    async with sessions() as session:
        other = await session.get(Plan, "basic")
    return {"plan": await get_inner(name), "basic": other.price}


async def get_inner(name: str) -> dict:
    async with sessions() as session:
        plan = await session.get(Plan, name)
    return {"price": plan.price}
"""
    )
    names = {f.anchor for f in found(tmp_path, body, "[await get_offer(name), await get_terms(name)]")}
    assert names == {"get_plan", "get_terms"}, (
        "get_offer reads nothing itself; get_inner is called by get_terms alone"
    )


def test_rules_keep_their_place_in_the_stack() -> None:
    assert [getattr(rule_by_id(name), "order", None) for name in ("repeated-read", "repeated-question")] == [70, 70]
