"""Relationships that a loop loads: the same objects as before, in a few queries, over each way to ask for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.rules.mending import find, loaded, mend, write

pytest.importorskip("sqlalchemy")

APP = """from flask import Flask, jsonify
from sqlalchemy import ForeignKey, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

app = Flask(__name__)
engine = create_engine("sqlite:///@PATH@")


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    invoices: Mapped[list["Invoice"]] = relationship(back_populates="account"@LAZY@)


class Invoice(Base):
    __tablename__ = "invoices"
    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    account: Mapped[Account | None] = relationship(back_populates="invoices")


def few(session):
    return session.scalars(select(Account).order_by(Account.id)).all()


@app.post("/hook")
def hook():
    told = []
    with Session(engine) as session:
        @BODY@
    return jsonify(told)
"""
BODIES = {
    "a select": """for account in session.scalars(select(Account).order_by(Account.id)).all():
            told.append([account.name, len(account.invoices)])""",
    "a query": """found = session.query(Account).order_by(Account.id).all()
        told += [[account.name, [invoice.id for invoice in account.invoices]] for account in found]""",
    "a chain on several lines": """found = (
            session.query(Account)
            .order_by(Account.id)
            .all()
        )
        told += [[account.name, len(account.invoices)] for account in found]""",
    "a statement under a name": """statement = select(Invoice).order_by(Invoice.id)
        for invoice in session.execute(statement).scalars():
            if invoice.account is not None:
                told.append(invoice.account.name)""",
}


def _answer(root: Path) -> tuple[Any, int]:
    """What the route answers, and how many statements it ran."""
    import sqlalchemy

    with loaded(root, "app") as app:
        app.Base.metadata.drop_all(app.engine)
        app.Base.metadata.create_all(app.engine)
        with app.Session(app.engine) as session:
            session.add_all([app.Account(id=n, name=f"a{n}") for n in range(1, 41)])
            session.add_all([app.Invoice(id=n, account_id=n % 41 or None) for n in range(1, 101)])
            session.commit()
        ran: list[str] = []
        sqlalchemy.event.listen(app.engine, "before_cursor_execute", lambda *given: ran.append(str(given[2])))
        answered = app.app.test_client().post("/hook").get_json()
        app.engine.dispose()
        return answered, len(ran)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_few_queries_give_the_same_objects(tmp_path: Path, body: str) -> None:
    text = APP.replace("@PATH@", f"{tmp_path}/a.db").replace("@BODY@", body).replace("@LAZY@", "")
    write(tmp_path, {"app.py": text})
    before, many = _answer(tmp_path)
    mend(tmp_path, "query-per-row")
    after, few = _answer(tmp_path)
    assert after == before and len(before) >= 40
    assert many == 41 and few == 2


@pytest.mark.parametrize(
    ("body", "lazy"),
    [
        (BODIES["a query"], ', lazy="selectin"'),
        (BODIES["a query"], ', lazy="dynamic"'),
        (BODIES["a query"].replace("(Account)", "(Account).options(selectinload(Account.invoices))"), ""),
    ],
)
def test_what_is_loaded_another_way_is_left(tmp_path: Path, body: str, lazy: str) -> None:
    write(tmp_path, {"app.py": APP.replace("@PATH@", "a.db").replace("@BODY@", body).replace("@LAZY@", lazy)})
    assert find(tmp_path, "query-per-row") == []


def test_a_query_in_another_function_is_told_and_left(tmp_path: Path) -> None:
    body = "told += [account.invoices for account in few(session)]"
    write(tmp_path, {"app.py": APP.replace("@PATH@", "a.db").replace("@BODY@", body).replace("@LAZY@", "")})
    assert [finding.mendable for finding in find(tmp_path, "query-per-row")] == [False]
