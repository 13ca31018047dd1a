"""The rule repeated-read: which reads it finds, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rules.kept_answers.reading_code import PLAN, found

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
