"""Examples of the rule unindexed-column."""

from __future__ import annotations

from swarm.rules.rule import Example

BAD = (
    Example(
        """from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine("sqlite+aiosqlite:///shop.db")


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int]
    state: Mapped[str]


@asynccontextmanager
async def lifespan(app):
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/items/{order}")
async def items(order: int):
    async with AsyncSession(engine) as session:
        return (await session.scalars(select(Item.id).where(Item.state == "new", Item.order_id == order))).all()
""",
        '''from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import CreateIndex

engine = create_async_engine("sqlite+aiosqlite:///shop.db")


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(index=True)
    state: Mapped[str]


def _create_indexes(connection: Connection) -> None:
    """`create_all` leaves tables as they are that exist already; indexes which the models gained are made here."""
    for table in Base.metadata.sorted_tables:
        for index in table.indexes:
            connection.execute(CreateIndex(index, if_not_exists=True))


@asynccontextmanager
async def lifespan(app):
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.run_sync(_create_indexes)
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/items/{order}")
async def items(order: int):
    async with AsyncSession(engine) as session:
        return (await session.scalars(select(Item.id).where(Item.state == "new", Item.order_id == order))).all()
''',
        "fastapi",
    ),
    Example(
        """from flask import Flask
from sqlalchemy import Integer, String, create_engine, select
from sqlalchemy.orm import Session, declarative_base, mapped_column

app = Flask(__name__)
engine = create_engine("sqlite:///shop.db")
Base = declarative_base()


class Item(Base):
    __tablename__ = "items"
    id = mapped_column(Integer, primary_key=True)
    sku = mapped_column(String(20))


@app.get("/items/<sku>")
def items(sku):
    with Session(engine) as session:
        return session.scalars(select(Item.id).filter_by(sku=sku)).all()
""",
        None,
        "flask",
    ),
)
GOOD = (
    """from flask import Flask
from sqlalchemy import create_engine, or_, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

app = Flask(__name__)
engine = create_engine("sqlite:///shop.db")


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(index=True)
    order_id: Mapped[int]
    status: Mapped[str]


Base.metadata.create_all(engine)


@app.get("/items/<sku>")
def items(sku):
    with Session(engine) as session:
        session.scalars(select(Item).where(Item.sku == sku, Item.order_id == 1))
        session.scalars(select(Item).where(or_(Item.order_id == 1, Item.sku == sku)))
        session.scalars(select(Item).where(Item.status == "new"))
        return session.scalars(select(Item.id)).all()


def report():
    with Session(engine) as session:
        return session.scalars(select(Item.id).where(Item.order_id == 1)).all()
""",
)
