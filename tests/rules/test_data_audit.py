"""The module that no-data-audit adds, run for real around a FastAPI and a Flask service."""

from __future__ import annotations

import ast
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.rules.compliance.no_data_audit import NoDataAudit

MODELS = """
from sqlalchemy import create_engine, delete, insert, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

engine = create_engine("sqlite:///people.db")


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str]
    score: Mapped[int] = mapped_column(default=0)


Base.metadata.create_all(engine)


def do(what, who):
    with Session(engine) as session:
        if what == "add":
            session.add(User(id=who, email=f"{who}@example.org", score=5))
        elif what == "many":
            session.execute(insert(User), [{"id": f"{who}{n}", "email": "x@example.org"} for n in range(3)])
        elif what == "change":
            session.get(User, who).email = "new@example.org"
        elif what == "drop":
            session.execute(delete(User).where(User.id == who))
        elif what == "text":
            session.execute(text("UPDATE users SET score = 7 WHERE id = :id"), {"id": who})
        elif what == "fail":
            session.execute(text("DELETE FROM users"))
            session.rollback()
        elif what == "savepoint":
            nested = session.begin_nested()
            session.execute(text("DELETE FROM users"))
            nested.rollback()
            with session.begin_nested():
                session.add(User(id="c2", email="c2@example.org"))
            session.execute(text("UPDATE users SET score = 8 WHERE id = :id"), {"id": who})
        session.commit()
"""
FASTAPI = (
    "from fastapi import FastAPI\n" + MODELS + "\n\napp = FastAPI()\n\n\n"
    '@app.post("/users/{user_id}/{what}")\ndef act(user_id: str, what: str) -> dict:\n'
    "    do(what, user_id)\n    return {}\n"
)
FLASK = (
    "from flask import Flask\n" + MODELS + "\n\napp = Flask(__name__)\n\n\n"
    '@app.post("/users/<user_id>/<what>")\ndef act(user_id, what):\n    do(what, user_id)\n    return {}\n'
)


@pytest.fixture(params=["fastapi", "flask"])
def desk(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The mended service, running in process: `post(path)`, and its trail."""
    (tmp_path / "people_app.py").write_text(FASTAPI if request.param == "fastapi" else FLASK, encoding="utf-8")
    index, rule = build_index(SourceTree.load(tmp_path)), NoDataAudit()
    mend = rule.mend(index, list(rule.find(index)))
    assert mend is not None
    for change in mend.changes:
        (tmp_path / change.path).write_text(change.after or "", encoding="utf-8")
        ast.parse(change.after or "", feature_version=(3, 9))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    app, audit = importlib.import_module("people_app").app, importlib.import_module("data_audit")
    yield Desk(request.param, app, audit)
    for name, listener in (
        ("after_cursor_execute", "_noted"), ("commit", "_committed"), ("rollback", "_rolled_back"),
        ("savepoint", "_savepoint"), ("release_savepoint", "_released"), ("rollback_savepoint", "_back_to_savepoint"),
    ):  # fmt: skip
        event.remove(Engine, name, getattr(audit, listener))
    for name in ("people_app", "data_audit"):
        sys.modules.pop(name)


class Desk:
    def __init__(self, kind: str, app: Any, audit: Any) -> None:
        self.audit = audit
        if kind == "flask":
            self.post = app.test_client().post
        else:
            from fastapi.testclient import TestClient

            self.post = TestClient(app).post

    def act(self, *words: str) -> list[dict[str, Any]]:
        """Requests, and the lines that they left."""
        before = self.lines()
        for word in words:
            assert self.post(f"/users/c1/{word}", headers={"X-Admin-Token": "of-tests"}).status_code == 200
        return self.lines()[len(before) :]

    def lines(self) -> list[dict[str, Any]]:
        self.audit.trail.flush()
        file = Path("data_audit.jsonl")
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_each_committed_change_leaves_a_line(desk: Desk) -> None:
    made, changed, scored, dropped = desk.act("add", "change", "text", "drop")
    assert [line["event"] for line in (made, changed, scored, dropped)] == [
        "data_created", "data_changed", "data_changed", "data_deleted",
    ]  # fmt: skip
    assert made["fields"] == ["email", "id", "score"] and {line["table"] for line in (made, dropped)} == {"users"}
    mine = desk.audit.digest_of("c1")
    assert all(mine in line["subjects"] for line in (made, changed, scored, dropped))
    assert made["time"].endswith("+00:00") and made["why"].startswith("POST /users/") and "c1" not in made["why"]
    assert made["key"] and made["peer"]


def test_many_rows_are_one_line_and_what_was_rolled_back_is_none(desk: Desk) -> None:
    (many,) = desk.act("many")
    assert many["rows"] == 3
    assert desk.act("fail") == []
    desk.act("add")
    assert [line["event"] for line in desk.act("savepoint")] == ["data_created", "data_changed"]


def test_nobody_is_named_and_a_changed_line_shows(desk: Desk) -> None:
    desk.act("add", "change", "drop")
    text = Path("data_audit.jsonl").read_text()
    assert "example.org" not in text and "of-tests" not in text
    assert desk.audit.verify("data_audit.jsonl") == 0
    Path("changed.jsonl").write_text(text.replace("data_changed", "data_created", 1))
    assert desk.audit.verify("changed.jsonl") == 2
    assert 'data_changes_total{event="data_deleted"} 1' in desk.audit.prometheus_lines()
