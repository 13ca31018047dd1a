"""The rules repeated-read and repeated-question: on which code they fire, and what the mended code does."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.core.findings import Finding
from swarm.rules.registry import rule_by_id
from tests.rules.mending import find, loaded, mend, write

HOOK = """

@app.post("/hook")
async def hook(name: str):
    return {call}
"""
HEAD = """import random
import sqlite3
import time
from contextvars import ContextVar
from typing import Any

import aiosqlite
import asyncpg
import httpx
from fastapi import Depends, FastAPI, HTTPException, Request
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

app = FastAPI()
engine = create_engine("sqlite:///shop.db")
sessions = async_sessionmaker(create_async_engine("sqlite+aiosqlite:///shop.db"))
request_id: ContextVar[str] = ContextVar("request_id")
overrides: dict[str, str] = {}
client = httpx.AsyncClient(base_url="https://crm.example")


class Base(DeclarativeBase):
    pass


class Plan(Base):
    __tablename__ = "plans"

    name: Mapped[str] = mapped_column(primary_key=True)
    price: Mapped[float]


def override(name: str, value: str) -> None:
    overrides[name] = value


"""


def found(tmp_path: Path, body: str, call: str, rule_id: str = "repeated-read") -> list[Finding]:
    (tmp_path / "app.py").write_text(HEAD + body + HOOK.format(call=call))
    return find(tmp_path, rule_id)


READS = {
    "sqlite3": """def get_plan(name: str) -> dict[str, Any]:
    with sqlite3.connect("shop.db") as conn:
        conn.row_factory = sqlite3.Row
        row = conn.execute("SELECT name, price FROM plans WHERE name = ?", (name,)).fetchone()
    return dict(row) if row else {}
""",
    "aiosqlite": """async def get_plan(name: str) -> dict:
    async with aiosqlite.connect("shop.db") as conn:
        cursor = await conn.execute("SELECT price FROM plans WHERE name = ?", (name,))
        row = await cursor.fetchone()
    return {"name": name, "price": row[0] if row else None}
""",
    "asyncpg": """async def get_plan(name: str) -> dict:
    conn = await asyncpg.connect("postgresql://shop")
    try:
        row = await conn.fetchrow("SELECT price FROM plans WHERE name = $1", name)
    finally:
        await conn.close()
    return {"price": row["price"]}
""",
    "sqlalchemy orm": """async def get_plan(name: str) -> float:
    async with sessions() as session:
        return (await session.execute(select(Plan.price).where(Plan.name == name))).scalar_one()
""",
    "sqlalchemy core": """def get_plan(name):
    with engine.connect() as conn:
        row = conn.execute(text("SELECT price FROM plans WHERE name = :name"), {"name": name}).first()
    return {"price": row.price}
""",
    "a method": """class Plans:
    def __init__(self, region: str) -> None:
        self.region = region

    def get_plan(self, name: str) -> list[dict]:
        with Session(engine) as session:
            rows = session.scalars(select(Plan).where(Plan.name == self.region + name).order_by(Plan.price.desc()))
            return [{"name": row.name, "price": row.price} for row in rows.all()]


async def get_plan(name: str):
    return Plans("eu").get_plan(name)
""",
}


@pytest.mark.parametrize("shape", READS)
def test_reads_of_reference_data_are_found_whatever_reads_them(tmp_path: Path, shape: str) -> None:
    call = "await get_plan(name)" if "async def get_plan" in READS[shape] else "get_plan(name)"
    (finding,) = found(tmp_path, READS[shape], call)
    assert finding.mendable
    assert "plans" in finding.evidence


PLAN = """async def get_plan(name: str) -> dict:
    async with sessions() as session:
        plan = await session.get(Plan, name)
    {then}return {{"name": plan.name, "price": plan.price}}
"""


@pytest.mark.parametrize(
    "body",
    [
        PLAN.format(then="").replace("name: str", "name: str, session_token: str = ''"),
        PLAN.format(then="").replace("name: str", "name: str, request: Request = None"),
        PLAN.format(then="").replace("name: str", "name: str = Depends(override)"),
        PLAN.format(then="").replace("name: str", "*name: str"),
        PLAN.format(then="").replace("-> dict", "-> Plan"),
        PLAN.format(then="").replace("async def", "@app.get('/plans/{name}')\nasync def"),
        PLAN.format(then="").replace("get_plan", "check_plan"),
        PLAN.format(then="").replace("get_plan", "is_plan"),
        PLAN.format(then="").replace("get_plan", "latest_plan"),
        PLAN.format(then="")
        .replace("Plan, name", "Plan, name, with_for_update=True")
        .replace("session.get(", "session.scalar(select(Plan).with_for_update()) or ("),
        PLAN.format(then="plan.price = time.time()\n    "),
        PLAN.format(then="print(plan)\n    "),
        PLAN.format(then="await client.post('/seen', json={'plan': name})\n    "),
        PLAN.format(then="name = name + str(time.time())\n    "),
        PLAN.format(then="name = name + str(random.random())\n    "),
        PLAN.format(then="name = request_id.get()\n    "),
        PLAN.format(then="name = overrides.get(name, name)\n    "),
        PLAN.format(then="overrides[name] = 'read'\n    "),
        PLAN.format(then="if plan is None:\n        raise HTTPException(403)\n    "),
        PLAN.format(then="unknown_function(name)\n    "),
        PLAN.format(then="await session.commit()\n    "),
        PLAN.format(then="").replace(
            "session.get(Plan, name)", "session.scalar(select(Plan).where(Plan.x < func.now()))"
        ),
    ],
)
def test_whatever_does_or_knows_more_is_left_alone(tmp_path: Path, body: str) -> None:
    name = body.partition("def ")[2].partition("(")[0]
    assert found(tmp_path, body, f"await {name}(name)") == []


def test_the_same_function_without_all_that_is_found(tmp_path: Path) -> None:
    assert len(found(tmp_path, PLAN.format(then=""), "await get_plan(name)")) == 1


@pytest.mark.parametrize(
    "write_by",
    [
        # no parameter tells which; not committed by itself; anything may be written
        "def set_price(plan: str) -> None:\n    with engine.begin() as c:\n"
        '        c.execute(text("UPDATE plans SET price = 1"))',
        "def set_price(name: str, session: Session) -> None:\n"
        '    session.execute(text("UPDATE plans SET price = 1"))',
        "def set_price(name: str, table: str) -> None:\n    with engine.begin() as c:\n"
        '        c.execute(text(f"UPDATE {table} SET price = 1"))',
    ],
)
def test_no_cache_where_a_write_does_not_tell_what_it_makes_wrong(tmp_path: Path, write_by: str) -> None:
    change = '\n\n@app.put("/plans")\ndef change(name: str):\n    set_price(name)\n'
    body = f"{PLAN.format(then='')}\n\n{write_by}\n"
    assert found(tmp_path, body + change, "await get_plan(name)") == []
    assert len(found(tmp_path, body, "await get_plan(name)")) == 1, "one that no request runs does not count"


def test_no_cache_where_every_reader_writes(tmp_path: Path) -> None:
    write_by = (
        "def set_price(name: str) -> None:\n    with engine.begin() as c:\n"
        '        c.execute(text("UPDATE plans SET x"))'
    )
    body = f"{PLAN.format(then='')}\n\n{write_by}\n"
    assert found(tmp_path, body, "[set_price(name), await get_plan(name)]") == []


GET = """async def get_templates({parameters}) -> list:
    answer = await client.get({path})
    answer.raise_for_status()
    return answer.json()["items"]
"""


@pytest.mark.parametrize(
    ("path", "parameters", "count"),
    [
        ('"/v2/templates"', "", 1),
        ('f"/locations/{location}/customFields"', "location: str", 1),
        ('f"/contacts/{contact_id}/fields"', "contact_id: str", 0),
        ('"/templates/latest"', "", 0),
        ('f"/{path}"', "path: str", 0),
        ('"/plans/templates"', "", 0),  # the target writes to /plans
    ],
)
def test_gets_of_settings_alone(tmp_path: Path, path: str, parameters: str, count: int) -> None:
    write_by = 'async def rename(name: str) -> None:\n    await client.put(f"/plans/{name}", json={})\n\n\n'
    given = "name" if parameters else ""
    body = write_by + GET.format(path=path, parameters=parameters)
    assert len(found(tmp_path, body, f"await get_templates({given})")) == count


ASK = """async def ask(prompt: str, size: int = 100) -> str:
    body = {{"model": "m", "max_tokens": size, "messages": [{{"role": "user", "content": prompt}}]}}
    {then}answer = await client.post("/v1/chat/completions", json=body)
    answer.raise_for_status()
    return answer.json()["choices"][0]["message"]["content"]
"""


@pytest.mark.parametrize(
    ("then", "count"),
    [
        ("", 1),
        ('body["temperature"] = 0\n    ', 1),
        ('body["temperature"] = 0.7\n    ', 0),
        ('body["temperature"] = size\n    ', 0),
        ('body["tools"] = [{"name": "mail"}]\n    ', 0),
        ('body["stream"] = True\n    ', 0),
        ('body["stream"] = False\n    ', 1),
        ("body.update(overrides)\n    ", 0),
        ("overrides[prompt] = 'asked'\n    ", 0),
        ("prompt = f'{prompt} {time.time()}'\n    ", 0),
    ],
)
def test_questions_with_one_answer_alone(tmp_path: Path, then: str, count: int) -> None:
    assert len(found(tmp_path, ASK.format(then=then), "await ask(name)", "repeated-question")) == count


def test_a_question_by_a_providers_package(tmp_path: Path) -> None:
    body = """import anthropic

claude = anthropic.AsyncAnthropic()


async def ask(prompt: str) -> str:
    told = await claude.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": prompt}])
    return told.content[0].text
"""
    assert [f.mendable for f in found(tmp_path, body, "await ask(name)", "repeated-question")] == [True]
    assert not found(tmp_path, body.replace("max_tokens=9", "tools=TOOLS"), "await ask(name)", "repeated-question")


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
