"""SQLAlchemy in the analysis: kinds of sessions, declared tables, statements, who owns a session."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from swarm.analysis.databases.models import models_of
from swarm.analysis.effects import Effects, effects_cache
from swarm.analysis.index import Index, build_index
from swarm.analysis.source import SourceTree

MODELS = """from sqlalchemy import Column, ForeignKey, Index, Integer, MetaData, String, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Dated:
    made_at: Mapped[str] = mapped_column(String(30), index=True)


class Lead(Dated, Base):
    __tablename__ = "leads"
    __table_args__ = (Index("ix_lead_city", "city", "made_at"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    city: Mapped[str] = mapped_column(String(80))
    score: Mapped[int] = mapped_column(default=0)
    notes: Mapped[list["Note"]] = relationship(back_populates="lead", lazy="selectin")

    def touch(self):
        self.score += 1


class Note(Base):
    __tablename__ = "notes"
    id = Column(Integer, primary_key=True)
    lead_id = Column("lead", ForeignKey("leads.id"))
    lead = relationship("Lead")


tags = Table("tags", MetaData(), Column("name", String, unique=True), Column("lead_id", Integer))
"""
STORAGE = """from contextlib import asynccontextmanager
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

engine = create_async_engine("sqlite+aiosqlite:///x.db")
SessionLocal = async_sessionmaker(engine, expire_on_commit=False)
_shared = None


def open_session():
    own = create_async_engine("sqlite+aiosqlite:///x.db")
    return async_sessionmaker(own)()


@asynccontextmanager
async def scope():
    async with SessionLocal() as opened:
        yield opened


async def get_db() -> AsyncIterator[AsyncSession]:
    async with SessionLocal() as opened:
        yield opened


def shared_session():
    return _one


_one = SessionLocal()
Db = Annotated[AsyncSession, Depends(get_db)]
"""
HEAD = """from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from models import Lead, Note, tags
from storage import Db, SessionLocal, engine, get_db, open_session, scope, shared_session


"""


def read(root: Path, body: str, head: str = HEAD) -> Index:
    for name, text in {"models.py": MODELS, "storage.py": STORAGE, "app.py": head + body}.items():
        (root / name).write_text(text, encoding="utf-8")
    return build_index(SourceTree.load(root))


def effects(root: Path, body: str, head: str = HEAD) -> Effects:
    index = read(root, body, head)
    (function,) = (f for f in index.functions if f.module.path == "app.py" and f.name == "work")
    return effects_cache(index).of(function)


@pytest.mark.parametrize(
    "opening",
    [
        "async def work():\n    async with SessionLocal() as s:\n        use(s)\n",
        "async def work():\n    async with SessionLocal.begin() as s:\n        use(s)\n",
        "async def work():\n    async with AsyncSession(engine) as s:\n        use(s)\n",
        "async def work():\n    s = open_session()\n    use(s)\n",
        "async def work():\n    async with open_session() as s:\n        use(s)\n",
        "async def work():\n    async with scope() as s:\n        use(s)\n",
        "async def work():\n    async for s in get_db():\n        use(s)\n",
        "async def work(s: Db):\n    use(s)\n",
        "async def work(s: AsyncSession | None = None):\n    use(s)\n",
        "async def work(s=Depends(get_db)):\n    use(s)\n",
        "class Store:\n    def __init__(self, s: AsyncSession):\n        self.s = s\n    async def work(self):\n"
        "        use(self.s)\n",
        "class Store:\n    def __init__(self):\n        self.make = SessionLocal\n    async def work(self):\n"
        "        async with self.make() as s:\n            use(s)\n",
    ],
)
def test_sessions_are_known_however_they_come(tmp_path: Path, opening: str) -> None:
    index = read(tmp_path, opening, HEAD + "from fastapi import Depends\n")
    module = index.tree.modules["app.py"]
    (call,) = (node for node in module.nodes(ast.Call) if ast.unparse(node.func) == "use")
    assert index.kinds.of(module, call.args[0]) == "sqlalchemy.ext.asyncio.AsyncSession"


def test_a_sync_sessionmaker_gives_sync_sessions_and_its_class_is_minded(tmp_path: Path) -> None:
    index = read(
        tmp_path,
        "def work():\n    with Sync() as a, Async() as b, one.connect() as c, engine.connect() as d:\n"
        "        use(a, b, c, d)\n",
        HEAD + "from sqlalchemy import create_engine\nfrom sqlalchemy.orm import sessionmaker\n"
        "one = create_engine('sqlite://')\nSync = sessionmaker(bind=one)\n"
        "Async = sessionmaker(engine, class_=AsyncSession)\n",
    )
    module = index.tree.modules["app.py"]
    (call,) = (node for node in module.nodes(ast.Call) if ast.unparse(node.func) == "use")
    assert [index.kinds.of(module, argument) for argument in call.args] == [
        "sqlalchemy.orm.Session", "sqlalchemy.ext.asyncio.AsyncSession",
        "sqlalchemy.Connection", "sqlalchemy.ext.asyncio.AsyncConnection",
    ]  # fmt: skip


def test_declared_tables_with_columns_keys_and_relationships(tmp_path: Path) -> None:
    models = models_of(read(tmp_path, ""))
    assert {dotted: model.table for dotted, model in models.by_dotted.items()} == {
        "models.Lead": "leads", "models.Note": "notes", "models.tags": "tags",
    }  # fmt: skip
    lead, note, tags = (models.by_dotted[f"models.{name}"] for name in ("Lead", "Note", "tags"))
    assert {name for name, column in lead.columns.items() if column.indexed} == {"id", "city", "made_at"}
    assert set(lead.columns) == {"id", "email", "city", "score", "made_at"}
    assert (note.columns["lead_id"].name, note.columns["lead_id"].foreign_key) == ("lead", "leads.id")
    assert (lead.relations["notes"].target, lead.relations["notes"].eager) == ("models.Note", True)
    assert note.relations["lead"].target == "models.Lead"
    assert tags.columns["name"].unique and not tags.columns["lead_id"].indexed


def test_sqlmodel_and_flask_tables_have_their_own_names(tmp_path: Path) -> None:
    index = read(
        tmp_path,
        "class Hero(SQLModel, table=True):\n    id: int | None = Field(default=None, primary_key=True)\n"
        "    name: str\n"
        "class HeroIn(SQLModel):\n    name: str\n"
        "class OrderLine(db.Model):\n    sku = db.Column(db.String(9), index=True)\n"
        "def work():\n    OrderLine.query.filter_by(sku='a').delete()\n    db.session.add(OrderLine())\n",
        "from flask_sqlalchemy import SQLAlchemy\nfrom sqlmodel import Field, SQLModel\ndb = SQLAlchemy()\n",
    )
    models = models_of(index).by_dotted
    assert {dotted: model.table for dotted, model in models.items() if dotted.startswith("app.")} == {
        "app.Hero": "hero", "app.OrderLine": "order_line",
    }  # fmt: skip
    assert set(models["app.Hero"].columns) == {"id", "name"}
    (work,) = (function for function in index.functions if function.name == "work")
    found = effects_cache(index).of(work)
    assert [(sql.verb, set(sql.tables)) for sql in found.sql] == [
        ("DELETE", {"order_line"}), ("INSERT", {"order_line"}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "verb", "tables"),
    [
        ("await s.execute(select(Lead).where(Lead.id == 1))", "SELECT", {"leads", "notes"}),
        ("await s.scalar(select(func.count()).select_from(Note))", "SELECT", {"notes"}),
        ("await s.scalars(select(Note.id).join(Note.lead))", "SELECT", {"notes", "leads"}),
        ("await s.execute(insert(Note).values(id=1).returning(Note.id))", "INSERT", {"notes"}),
        ("await s.execute(update(Note).where(Note.id.in_(select(tags.c.lead_id))))", "UPDATE", {"notes", "tags"}),
        ("await s.execute(upsert(Note).values(id=1).on_conflict_do_nothing())", "INSERT", {"notes"}),
        ("await s.execute(delete(Note))", "DELETE", {"notes"}),
        ("await s.execute(tags.insert().values(name='a'))", "INSERT", {"tags"}),
        ("await s.execute(select(Note).with_for_update())", "SELECT FOR UPDATE", {"notes"}),
        ("await s.execute(text('SELECT 1 FROM app.leads JOIN notes ON 1'))", "SELECT", {"leads", "notes"}),
        ("await s.execute(text(f'DELETE FROM {x}'))", "DELETE", set()),
        ("await s.get(Note, 1)", "SELECT", {"notes"}),
        ("s.add(Note(id=2))", "INSERT", {"notes"}),
        ("s.add_all([Note(), Lead()])", "INSERT", {"leads", "notes"}),
        ("await s.flush()", "FLUSH", set()),
        ("await s.execute(stmt)", "SELECT", {"leads", "notes"}),
        ("await s.execute(built())", "UPDATE", {"notes"}),
    ],
)
def test_statements_tell_verb_and_tables(tmp_path: Path, line: str, verb: str, tables: set[str]) -> None:
    body = (
        "def built():\n    return update(Note).values(id=3)\n\n"
        "async def work(x):\n    async with SessionLocal() as s:\n        stmt = select(Lead)\n"
        f"        stmt = stmt.where(Lead.id > 1)\n        {line}\n"
    )
    found = effects(tmp_path, body)
    (sql,) = found.sql
    assert (sql.verb, set(sql.tables), sql.writes) == (verb, tables, verb != "SELECT")
    assert sql.unknown_tables is (line.startswith("await s.execute(text(f"))
    assert not found.unknown_database and not found.borrows_database


@pytest.mark.parametrize(
    ("line", "unknown"),
    [
        ("await s.execute(given)", True),
        ("await s.execute(select(given))", False),
        ("given.session.flush()", True),
        ("given.flush()", None),
    ],
)
def test_what_is_not_known_is_said(tmp_path: Path, line: str, unknown: bool | None) -> None:
    found = effects(tmp_path, f"async def work(given):\n    async with SessionLocal() as s:\n        {line}\n")
    assert found.unknown_database is bool(unknown)
    assert unknown is not False or [sql.unknown_tables for sql in found.sql] == [True]


def test_objects_of_a_session_are_known_and_their_changes_too(tmp_path: Path) -> None:
    found = effects(
        tmp_path,
        "async def work(key):\n    async with SessionLocal() as s:\n"
        "        lead = (await s.execute(select(Lead).where(Lead.id == key))).scalar_one_or_none()\n"
        "        lead.score = 5\n"
        "        for note in (await s.scalars(select(Note))).all():\n            note.id = 3\n"
        "        await s.commit()\n",
    )
    assert found.dirties == {"leads", "notes"}
    assert found.tables_written == {"leads", "notes"} and len(found.commits) == 1


def test_methods_of_loaded_objects_join_the_call_graph(tmp_path: Path) -> None:
    index = read(tmp_path, "async def work(key, s: Db):\n    lead = await s.get(Lead, key)\n    lead.touch()\n")
    (work,) = (function for function in index.functions if function.name == "work")
    assert {function.qualname for function in index.reaches(work)} == {"work", "Lead.touch"}
    assert {table for _, each in effects_cache(index).reached(work) for table in each.dirties} == {"leads"}


@pytest.mark.parametrize(
    ("body", "borrowed"),
    [
        ("async def work():\n    async with SessionLocal() as s:\n        await s.get(Lead, 1)\n", False),
        ("async def work():\n    async with scope() as s:\n        await s.get(Lead, 1)\n", False),
        ("async def work():\n    s = open_session()\n    await s.get(Lead, 1)\n", False),
        ("async def work():\n    async with engine.connect() as c:\n        await c.execute(select(Lead))\n", False),
        ("async def work(s: AsyncSession):\n    await s.get(Lead, 1)\n", True),
        ("async def work():\n    s = shared_session()\n    await s.get(Lead, 1)\n", True),
        ("class R:\n    def __init__(self, s: AsyncSession):\n        self.s = s\n    async def work(self):\n"
         "        await self.s.get(Lead, 1)\n", True),
    ],
)  # fmt: skip
def test_a_session_of_ones_own_is_told_from_a_shared_one(tmp_path: Path, body: str, borrowed: bool) -> None:
    assert effects(tmp_path, body).borrows_database is borrowed


def test_drivers_of_postgresql_are_known(tmp_path: Path) -> None:
    found = effects(
        tmp_path,
        "async def work(pool: asyncpg.Pool, bag):\n    async with pool.acquire() as c:\n"
        "        await c.fetchrow('SELECT * FROM leads WHERE id = $1', 1)\n"
        "    with psycopg.connect('x') as p, p.cursor() as cursor:\n"
        "        cursor.execute('UPDATE notes SET id = 1')\n    bag.fetch('not a statement')\n",
        "import asyncpg\nimport psycopg\n",
    )
    assert [(sql.verb, set(sql.tables)) for sql in found.sql] == [("SELECT", {"leads"}), ("UPDATE", {"notes"})]
    assert found.unknown_database  # the bag
