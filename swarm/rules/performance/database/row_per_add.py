"""Objects of one mapped class that a loop adds to a session one by one: a statement for every row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from swarm.analysis.databases.database_kinds import ASYNC_SESSIONS
from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.queries.added_rows import Adding, addings
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.writing.placing import import_edit
from swarm.rules.writing.splices import WIDTH, free_name, import_from, whole_lines


class RowPerAdd(Rule):
    """A loop adds one object a turn to a SQLAlchemy session, and the session is committed right behind it.

    Why: where rows are numbered by the database, as in SQLite, the flush sends an INSERT of its own for every
    object to learn its number, which nobody reads here. With an async driver each is a trip to a thread or over
    the network, and the write lock is held from the first to the last. Example: `for tag in tags:
    session.add(Tag(name=tag))` and then `await session.commit()`.

    The mend: one INSERT with all rows (`session.execute(insert(Tag), rows)`), in the same transaction and order;
    Python's defaults are filled in as before. A commit inside the loop moves behind it: then all rows are kept or
    none. Only for plain mapped classes: no `__init__`, events, validators, inheritance or relationships in play,
    and nothing else in the loop.
    """

    id = "row-per-add"
    category = "performance"
    severity = "low"
    order = 52
    title = "A statement for every row that a loop adds"
    sources = ("https://docs.sqlalchemy.org/en/20/orm/queryguide/dml.html#orm-bulk-insert-statements",)
    bad = (
        Example(
            """from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

app = FastAPI()


class Base(DeclarativeBase):
    pass


class Tag(Base):
    __tablename__ = "tags"
    id: Mapped[int] = mapped_column(primary_key=True)
    lead: Mapped[str]
    name: Mapped[str]


@app.post("/leads/{lead}")
async def tagged(session: AsyncSession, lead: str, tags: list[str]) -> None:
    for position, tag in enumerate(tags):
        session.add(Tag(lead=lead, name=f"{position} {tag}"))
    await session.commit()
""",
            """from fastapi import FastAPI
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

app = FastAPI()


class Base(DeclarativeBase):
    pass


class Tag(Base):
    __tablename__ = "tags"
    id: Mapped[int] = mapped_column(primary_key=True)
    lead: Mapped[str]
    name: Mapped[str]


@app.post("/leads/{lead}")
async def tagged(session: AsyncSession, lead: str, tags: list[str]) -> None:
    tags_rows = [{"lead": lead, "name": f"{position} {tag}"} for position, tag in enumerate(tags)]
    if tags_rows:
        await session.execute(insert(Tag), tags_rows)
    await session.commit()
""",
            "fastapi",
        ),
        Example(
            """from flask import Flask, request
from sqlalchemy import create_engine, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

app = Flask(__name__)
engine = create_engine("sqlite:///shop.db")


class Base(DeclarativeBase):
    pass


class Line(Base):
    __tablename__ = "order_lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str]
    count: Mapped[int]


@app.post("/orders")
def order():
    with Session(engine) as session, session.begin():
        for line in request.get_json()["lines"]:
            session.add(
                Line(sku=line["the_stock_keeping_unit"], count=line["the_number_of_pieces"])
            )
    return ""
""",
            """from flask import Flask, request
from sqlalchemy import create_engine, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

app = Flask(__name__)
engine = create_engine("sqlite:///shop.db")


class Base(DeclarativeBase):
    pass


class Line(Base):
    __tablename__ = "order_lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str]
    count: Mapped[int]


@app.post("/orders")
def order():
    with Session(engine) as session, session.begin():
        order_lines_rows = [
            {"sku": line["the_stock_keeping_unit"], "count": line["the_number_of_pieces"]}
            for line in request.get_json()["lines"]
        ]
        if order_lines_rows:
            session.execute(insert(Line), order_lines_rows)
    return ""
""",
            "flask",
        ),
        Example(
            """from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


class Base(DeclarativeBase):
    pass


class Seen(Base):
    __tablename__ = "seen"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

    def __init__(self, name: str) -> None:
        super().__init__(name=name.strip())


async def save(session: AsyncSession, names: list[str]) -> None:
    for name in names:
        session.add(Seen(name=name))
    await session.commit()


async def hook(request):
    await save(request.state.session, await request.json())
    return JSONResponse({})


app = Starlette(routes=[Route("/hook", hook, methods=["POST"])])
""",
            None,
            "starlette",
        ),
    )
    good = (
        """from fastapi import FastAPI
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

app = FastAPI()


class Base(DeclarativeBase):
    pass


class Tag(Base):
    __tablename__ = "tags"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


@app.post("/tags")
async def tags(session: AsyncSession, names: list[str]):
    await session.execute(insert(Tag), [{"name": name} for name in names])
    kept = []
    for name in names:
        tag = Tag(name=name)
        session.add(tag)
        kept.append(tag)
    await session.commit()
    return [tag.id for tag in kept]
""",
        """import aiosqlite
from fastapi import FastAPI

app = FastAPI()


@app.post("/tags")
async def tags(seen: set, names: list[str]):
    for name in names:
        seen.add(str(name))
""",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every loop on a request's path that does nothing but add objects that nobody looks at again."""
        for function in index.functions_on_path:
            for adding in addings(index, function):
                yield self._finding(adding)

    def _finding(self, adding: Adding) -> Finding:
        return self.finding(
            adding.function.module, adding.loop,
            evidence=f"{adding.function.qualname} adds {adding.model.dotted.rsplit('.', 1)[-1]} rows one by one",
            recommendation="Insert all rows of the loop with one statement",
            anchor=f"{adding.function.qualname}:{unparsed(adding.call)}",
            mendable=adding.is_plain,
        )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A list of rows and one INSERT in place of each loop."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        insert, imported = import_from(module, "sqlalchemy", "insert")
        if imported is not None and (insert in module.globals or insert in module.imports):
            return None  # the name is another thing's here
        statement = "from sqlalchemy import insert"
        edits = [import_edit(index.tree, module, statement)] if imported is not None else []
        for function in index.functions:
            for adding in addings(index, function) if function.module is module else ():
                edits += [_rewrite(index, adding, insert)] if adding.loop.lineno in lines and adding.is_plain else []
        return Mend(
            "Insert the rows of a loop with one statement",
            "One INSERT takes all rows where each had its own; their order, defaults and transaction stay.",
            (edited(module, edits),),
        )


def _rewrite(index: Index, adding: Adding, insert: str) -> Edit:
    module, loop = adding.function.module, adding.loop
    indent = module.indent(loop)
    rows = free_name(module, f"{adding.model.table}_rows")
    pairs = ", ".join(f'"{keyword.arg}": {module.segment(keyword.value)}' for keyword in adding.call.keywords)
    over = f"for {module.segment(loop.target)} in {module.segment(loop.iter)}"
    short = f"{rows} = [{{{pairs}}} {over}]"
    item, step = f"{{{pairs}}}", "    "
    if len(indent) + len(short) <= WIDTH and "\n" not in short:
        lines = [short]
    elif len(indent) + len(step) + len(item) <= WIDTH and "\n" not in item:
        lines = [f"{rows} = [", f"{step}{item}", f"{step}{over}", "]"]
    else:
        each = [f'{step * 2}"{k.arg}": {module.segment(k.value)},' for k in adding.call.keywords]
        lines = [f"{rows} = [", f"{step}{{", *each, f"{step}}}", f"{step}{over}", "]"]
    kind = index.kinds.of(module, adding.owner) or ""
    awaiting = "await " if kind in ASYNC_SESSIONS else ""
    owner, made = module.segment(adding.owner), module.segment(adding.call.func)
    lines += [f"if {rows}:", f"{step}{awaiting}{owner}.execute({insert}({made}), {rows})"]
    if adding.commit is not None:
        lines.append(module.segment(adding.commit))
    return Edit(*whole_lines(module, loop), "".join(f"{indent}{line}\n" for line in lines))
