"""The rule repeated-read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from swarm.analysis.effects import effects_cache
from swarm.analysis.index import Function, Index
from swarm.analysis.source import parameters
from swarm.core.findings import Finding
from swarm.rules.keeping.kept_answers import Keeping, Kept, keep, worth_keeping
from swarm.rules.keeping.known_reads import url_path
from swarm.rules.keeping.slow_changing import (
    is_found_by_subject,
    is_live,
    is_only_added_to,
    is_read_without_writing,
    is_reference,
    names_of,
    writers_of,
)
from swarm.rules.rule import Example, Mend, Rule

SQL_TTL_S = 300
GET_TTL_S = 60
_DATABASE = """from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

app = FastAPI()
engine = create_async_engine("sqlite+aiosqlite:///shop.db")


class Base(DeclarativeBase):
    pass


class Tenant(Base):
    __tablename__ = "tenants"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]


@asynccontextmanager
async def session():
    async with AsyncSession(engine) as opened:
        yield opened


"""

# an error that an upstream answers must not be kept: a GET whose status nobody looks at may give one back
_CHECKED = re.compile(r"raise_for_status|\.status(_code)?\b|\.ok\b|\.is_(success|error)\b|urlopen")


class RepeatedRead(Rule):
    """A function asks the database or another service on every request for what hardly ever changes.

    Why: settings, flows, templates and lists of reference are read a thousand times between two changes; each read
    costs a round trip and a connection. Example: `await get_tenant_config(location_id)` in every webhook.

    The mend adds the module answer_cache.py (standard library; it uses Redis where REDIS_URL is set and the package
    is there) and one decorator line. Functions on a request's path that write the rows get one as well, which drops
    the answer after the write. Lifetimes: CACHE_TTL_<KIND>_S, 300 s for SQL and 60 s for GETs; ANSWER_CACHE=0
    turns all off. A write that does not go through the target's own functions is seen after that time.

    Never where the function does anything but read, takes objects or secrets, decides what may be done (checks,
    limits, permissions), reads the clock or chance, or reads what events are about (contacts, orders, messages,
    balances) or rows that requests only add to; nor where a request path writes the same rows in a way that does not
    tell which.
    """

    id = "repeated-read"
    category = "performance"
    severity = "medium"
    order = 70
    keeps = True
    title = "The same slow-changing data is read on every request"
    sources = ("https://docs.aws.amazon.com/whitepapers/latest/database-caching-strategies-using-redis/",)
    bad = (
        Example(
            _DATABASE
            + """async def get_tenant(tenant_id: str) -> dict:
    async with session() as opened:
        row = await opened.get(Tenant, tenant_id)
    return {"id": tenant_id, "name": row.name if row else "nobody"}


async def rename_tenant(tenant_id: str, name: str) -> None:
    async with session() as opened:
        await opened.execute(update(Tenant).where(Tenant.id == tenant_id).values(name=name))
        await opened.commit()


@app.post("/hook")
async def hook(tenant_id: str):
    return await get_tenant(tenant_id)


@app.put("/tenants/{tenant_id}")
async def rename(tenant_id: str, name: str):
    await rename_tenant(tenant_id, name)
    return await get_tenant(tenant_id)
""",
            _DATABASE.replace("\napp =", "\nfrom answer_cache import cached, invalidates\n\napp =", 1)
            + """@cached("tenant", ttl_s=300)
async def get_tenant(tenant_id: str) -> dict:
    async with session() as opened:
        row = await opened.get(Tenant, tenant_id)
    return {"id": tenant_id, "name": row.name if row else "nobody"}


@invalidates("tenant", "tenant_id")
async def rename_tenant(tenant_id: str, name: str) -> None:
    async with session() as opened:
        await opened.execute(update(Tenant).where(Tenant.id == tenant_id).values(name=name))
        await opened.commit()


@app.post("/hook")
async def hook(tenant_id: str):
    return await get_tenant(tenant_id)


@app.put("/tenants/{tenant_id}")
async def rename(tenant_id: str, name: str):
    await rename_tenant(tenant_id, name)
    return await get_tenant(tenant_id)
""",
            "fastapi",
        ),
        Example(
            """import os

import requests
from flask import Flask, request

app = Flask(__name__)


class Crm:
    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.base = os.environ["CRM_URL"]

    def pipelines(self) -> list:
        answer = requests.get(f"{self.base}/pipelines", params={"tenant": self.tenant}, timeout=3)
        answer.raise_for_status()
        return answer.json()["pipelines"]

    def rename(self, deal: str, name: str) -> None:
        requests.put(f"{self.base}/deals/{deal}", json={"name": name}, timeout=3)


@app.post("/hook")
def hook():
    crm = Crm(request.json["tenant"])
    crm.rename(request.json["deal"], crm.pipelines()[0]["name"])
    return {"ok": True}
""",
            """import os

import requests
from flask import Flask, request

from answer_cache import cached

app = Flask(__name__)


class Crm:
    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.base = os.environ["CRM_URL"]

    @cached("pipelines", ttl_s=60, by=("base", "tenant"))
    def pipelines(self) -> list:
        answer = requests.get(f"{self.base}/pipelines", params={"tenant": self.tenant}, timeout=3)
        answer.raise_for_status()
        return answer.json()["pipelines"]

    def rename(self, deal: str, name: str) -> None:
        requests.put(f"{self.base}/deals/{deal}", json={"name": name}, timeout=3)


@app.post("/hook")
def hook():
    crm = Crm(request.json["tenant"])
    crm.rename(request.json["deal"], crm.pipelines()[0]["name"])
    return {"ok": True}
""",
            "flask",
        ),
        Example(  # an error's answer would be kept
            """import requests
from flask import Flask

app = Flask(__name__)


def get_tax_rules(country):
    return requests.get(f"https://erp.example/tax/{country}", timeout=3).json()


@app.post("/hook")
def hook():
    return get_tax_rules("US")
""",
            None,
            "flask",
        ),
    )
    good = (
        # a record of what happened
        """import sqlite3

from fastapi import FastAPI

app = FastAPI()


def connect():
    return sqlite3.connect("fleet.db")


def save_fault(vehicle: int, code: str) -> None:
    conn = connect()
    conn.execute("INSERT INTO faults (vehicle, code) VALUES (?, ?)", (vehicle, code))
    conn.commit()


def faults_of(vehicle: int) -> list:
    return [row[0] for row in connect().execute("SELECT code FROM faults WHERE vehicle = ?", (vehicle,)).fetchall()]


@app.post("/faults/{vehicle}")
def hook(vehicle: int, code: str):
    save_fault(vehicle, code)
    return {}


@app.get("/faults/{vehicle}")
def faults(vehicle: int):
    return faults_of(vehicle)
""",
        # what events are about; what decides; what the same request writes; objects; the clock
        """import sqlite3
import time

from fastapi import FastAPI, Request

app = FastAPI()


def connect():
    return sqlite3.connect("shop.db")


def get_order(order_id: str) -> dict:
    return dict(connect().execute("SELECT * FROM orders WHERE id = ?", (order_id,)).fetchone())


def is_enabled(plan: str) -> bool:
    return bool(connect().execute("SELECT enabled FROM plans WHERE name = ?", (plan,)).fetchone()[0])


def get_rates(region: str) -> dict:
    return dict(connect().execute("SELECT * FROM rates WHERE region = ? AND day = date('now')", (region,)).fetchone())


def get_prices(region: str) -> dict:
    rows = connect().execute("SELECT name, price FROM prices WHERE region = ?", (region,)).fetchall()
    return {"at": time.time(), "rows": rows}


def get_layout(request: Request) -> dict:
    name = request.headers["host"]
    return dict(connect().execute("SELECT * FROM layouts WHERE name = ?", (name,)).fetchone())


def get_colours(theme: str) -> dict:
    return dict(connect().execute("SELECT * FROM colours WHERE theme = ?", (theme,)).fetchone())


def mix(first: str, second: str) -> None:
    conn = connect()
    conn.execute("UPDATE colours SET value = ? WHERE name = ?", (first, second))
    conn.commit()


@app.post("/hook/{order_id}")
def hook(order_id: str, request: Request):
    mix("red", "blue")
    found = [get_order(order_id), get_rates("eu"), get_prices("eu"), get_layout(request), get_colours("dark")]
    return found if is_enabled("pro") else []
""",
        """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(base_url="https://crm.example")


async def get_contact(contact_id: str) -> dict:
    return (await client.get(f"/contacts/{contact_id}")).json()


async def get_fields(contact_id: str) -> dict:
    return (await client.get(f"/contacts/{contact_id}/customFields")).json()


async def update(contact_id: str, name: str) -> None:
    await client.put(f"/contacts/{contact_id}", json={"name": name})


@app.post("/hook/{contact_id}")
async def hook(contact_id: str):
    await update(contact_id, "x")
    return [await get_contact(contact_id), await get_fields(contact_id)]
""",
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """Every function that is asked again and again for what hardly changes."""
        for keeping in _keepings(index):
            yield self._finding(index, keeping)

    def _finding(self, index: Index, keeping: Keeping) -> Finding:
        function, reads = keeping.kept.function, keeping.kept.reads
        tables = sorted({table for _, statement in reads.sql for table in statement.tables})
        paths = sorted({url_path(index, asking.module, request.call) or "?" for asking, request in reads.gets})
        what = ", ".join([*tables, *(f"GET {path}" for path in paths)])
        return self.finding(
            function.module, function.node,
            evidence=f"{function.qualname} reads {what} again for every request, whatever it read before",
            recommendation="Keep the answer for a while, and drop it where it is changed",
            anchor=function.qualname,
            mendable=not keeping.kept.only_told
            and all(_CHECKED.search(asking.module.segment(asking.node)) for asking, _ in reads.gets),
            severity="low" if keeping.kept.only_told else None,
        )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Keep the answers of the findings' functions."""
        module = index.tree.modules[findings[0].file]
        wanted = {finding.anchor for finding in findings}
        chosen = [
            keeping for keeping in _keepings(index)
            if keeping.kept.function.module is module and keeping.kept.function.qualname in wanted
        ]  # fmt: skip
        if not chosen:
            return None
        return keep(
            index, module, chosen,
            "Keep what hardly changes instead of reading it on every request",
            "The data is read far more often than it changes. Answers are kept for a while, by their arguments, and "
            "dropped where this service changes them; what others change is seen after the lifetime. "
            "CACHE_TTL_<KIND>_S sets it, ANSWER_CACHE=0 turns it off.",
        )  # fmt: skip


def _keepings(index: Index) -> Iterator[Keeping]:
    for kept in worth_keeping(index, lambda kept: _suits(index, kept)):
        tables = frozenset(table for _, statement in kept.reads.sql for table in statement.tables)
        writing = tuple(dict.fromkeys(writer.function for writer in writers_of(index, tables))) if tables else ()
        yield Keeping(kept, GET_TTL_S if kept.reads.gets else SQL_TTL_S, writing)


def _suits(index: Index, kept: Kept) -> bool:
    reads = kept.reads
    if reads.questions or is_live(names_of(kept.function)) or not is_reference(index, kept.function, reads):
        return False
    tables = frozenset(table for _, statement in reads.sql for table in statement.tables)
    if not tables:
        return True
    if is_live(tables) or any(is_found_by_subject(statement) for _, statement in reads.sql):
        return False
    writing = writers_of(index, tables)
    if any(writer.tables is None or not _tells(index, writer.function, kept) for writer in writing):
        return False
    if any(is_only_added_to(index, table) for table in tables):
        return False
    return is_read_without_writing(index, kept.function, [writer.function for writer in writing])


def _tells(index: Index, writer: Function, kept: Kept) -> bool:
    """Whether a function that writes tells which answer it makes wrong, and has committed when it ends."""
    if kept.by or any(route.function is writer for route in index.routes):
        return False
    names = {argument.arg for argument in parameters(writer.node)}
    if not set(kept.names) <= names:
        return False
    effects = effects_cache(index).of(writer)
    begins = (call for call in index.calls(writer) if getattr(call.func, "attr", "") == "begin")
    return bool(effects.commits) or any(True for _ in begins)
