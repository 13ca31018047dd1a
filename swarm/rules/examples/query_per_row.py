"""Examples of the rule query-per-row."""

from __future__ import annotations

from swarm.rules.rule import Example

BAD = (
    Example(
        """from fastapi import FastAPI
from sqlalchemy import ForeignKey, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

app = FastAPI()
Sessions = async_sessionmaker(create_async_engine("sqlite+aiosqlite:///shop.db"))


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)


class Item(Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    sku: Mapped[str]


@app.get("/orders")
async def orders():
    async with Sessions() as session:
        found = (await session.scalars(select(Order))).all()
        out = []
        for order in found:
            rows = await session.execute(
                select(Item.sku).where(Item.order_id == order.id).order_by(Item.sku)
            )
            skus = rows.scalars().all()
            out.append({"id": order.id, "skus": skus})
    return out
""",
        """from fastapi import FastAPI
from sqlalchemy import ForeignKey, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

app = FastAPI()
Sessions = async_sessionmaker(create_async_engine("sqlite+aiosqlite:///shop.db"))


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)


class Item(Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    sku: Mapped[str]


@app.get("/orders")
async def orders():
    async with Sessions() as session:
        found = (await session.scalars(select(Order))).all()
        out = []
        items_by_order_id = {}
        order_ids = list(dict.fromkeys([order.id for order in found]))
        for start in range(0, len(order_ids), 500):
            fetched = await session.execute(
                select(Item.sku, Item.order_id)
                .where(Item.order_id.in_(order_ids[start : start + 500]))
                .order_by(Item.sku)
            )
            for value, key in fetched:
                items_by_order_id.setdefault(key, []).append(value)
        for order in found:
            skus = list(items_by_order_id.get(order.id, []))
            out.append({"id": order.id, "skus": skus})
    return out
""",
        "fastapi",
    ),
    Example(
        """from flask import Flask
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

app = Flask(__name__)
engine = create_engine("sqlite:///shop.db")


class Base(DeclarativeBase):
    pass


class Person(Base):
    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True)
    team: Mapped[int]


class Team(Base):
    __tablename__ = "teams"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


@app.get("/people")
def people():
    out = []
    with Session(engine) as session:
        everybody = session.execute(select(Person).where(Person.id < 50)).scalars().all()
        for person in everybody:
            team = session.execute(select(Team).filter_by(id=person.team)).scalar_one_or_none()
            out.append(team.name if team else None)
    return out
""",
        """from flask import Flask
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

app = Flask(__name__)
engine = create_engine("sqlite:///shop.db")


class Base(DeclarativeBase):
    pass


class Person(Base):
    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True)
    team: Mapped[int]


class Team(Base):
    __tablename__ = "teams"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


@app.get("/people")
def people():
    out = []
    with Session(engine) as session:
        everybody = session.execute(select(Person).where(Person.id < 50)).scalars().all()
        teams_by_id = {}
        person_teams = list(dict.fromkeys([person.team for person in everybody]))
        for start in range(0, len(person_teams), 500):
            fetched = session.execute(
                select(Team).where(Team.id.in_(person_teams[start : start + 500]))
            )
            for value in fetched.scalars():
                teams_by_id.setdefault(value.id, []).append(value)
        for person in everybody:
            team = next(iter(teams_by_id.get(person.team, [])), None)
            out.append(team.name if team else None)
    return out
""",
        "flask",
    ),
    Example(
        """from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


class Base(DeclarativeBase):
    pass


class Answer(Base):
    __tablename__ = "answers"
    id: Mapped[int] = mapped_column(primary_key=True)
    field: Mapped[str]


async def save(session: AsyncSession, answers: dict):
    for field, text in answers.items():
        known = (await session.scalars(select(Answer).where(Answer.field == field))).first()
        if known is None:
            session.add(Answer(field=field))


async def hook(request):
    await save(request.state.session, await request.json())
    return JSONResponse({})


app = Starlette(routes=[Route("/hook", hook, methods=["POST"])])
""",
        None,
        "starlette",
    ),
    Example(  # a relationship that each object loads by itself
        """from flask import Flask, jsonify
from sqlalchemy import ForeignKey, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

app = Flask(__name__)
engine = create_engine("postgresql:///billing")


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Invoice(Base):
    __tablename__ = "invoices"
    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    account: Mapped[Account] = relationship()


@app.post("/names")
def names():
    with Session(engine) as session:
        invoices = session.scalars(select(Invoice).where(Invoice.id > 9)).all()
        return jsonify([invoice.account.name for invoice in invoices])
""",
        """from flask import Flask, jsonify
from sqlalchemy import ForeignKey, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

app = Flask(__name__)
engine = create_engine("postgresql:///billing")


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Invoice(Base):
    __tablename__ = "invoices"
    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    account: Mapped[Account] = relationship()


@app.post("/names")
def names():
    with Session(engine) as session:
        invoices = session.scalars(select(Invoice).options(selectinload(Invoice.account)).where(Invoice.id > 9)).all()
        return jsonify([invoice.account.name for invoice in invoices])
""",
        "flask",
    ),
)
GOOD = (
    """from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

app = FastAPI()


class Base(DeclarativeBase):
    pass


class Job(Base):
    __tablename__ = "jobs"
    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str]


@app.post("/jobs")
async def jobs(session: AsyncSession, keys: list[int]):
    for start in range(0, len(keys), 100):
        await session.scalars(select(Job).where(Job.id.in_(keys[start : start + 100])))
    for model, column in {Job: Job.state, Job.__table__: Job.id}.items():
        await session.scalars(select(model).where(column == keys[0]))
    for part in [keys[:10], keys[10:]]:
        await session.scalars(select(Job).where(Job.id.in_(part)))
    for _ in range(3):
        if await session.scalar(select(Job.state).where(Job.id == keys[0])) == "done":
            break
""",
    """from flask import Flask, jsonify
from sqlalchemy import ForeignKey, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, joinedload, mapped_column, relationship

app = Flask(__name__)
engine = create_engine("postgresql:///billing")


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Invoice(Base):
    __tablename__ = "invoices"
    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    account: Mapped[Account] = relationship()


@app.post("/names")
def names():
    with Session(engine) as session:
        found = session.scalars(select(Invoice).options(joinedload(Invoice.account)).where(Invoice.id > 9))
        return jsonify([invoice.account.name for invoice in found])
""",
)
