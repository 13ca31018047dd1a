"""Which query parameters the code reads, by framework."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.probes.routes import routes_of

FASTAPI = """from fastapi import Depends, FastAPI, Header, Request

app = FastAPI()


@app.get("/leads/{lead_id}")
async def lead(lead_id: str, request: Request, email: str, limit: int = 5, db=Depends(dict), x: str = Header("")):
    return request.query_params.get("sort")
"""
FLASK = """from flask import Flask, request

app = Flask(__name__)


@app.get("/orders/<int:order_id>")
def order(order_id):
    return request.args.get("q", "") + request.args["page"]
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [(FASTAPI, ("GET", "/leads/{lead_id}?email=&limit=&sort=")), (FLASK, ("GET", "/orders/{order_id}?q=&page="))],
)
def test_parameters_stand_at_the_end(tmp_path: Path, text: str, expected: tuple[str, str]) -> None:
    (tmp_path / "app.py").write_text(text)
    assert routes_of(build_index(SourceTree.load(tmp_path))) == (expected,)
