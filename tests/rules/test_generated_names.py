"""Modules that mends add stand before the target's own linters: no name is missing, no import is idle."""

from __future__ import annotations

import ast
import builtins
import json
from pathlib import Path

import pytest

from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.rules.registry import all_rules

_SERVICES = {
    "fastapi": """import hmac, os, httpx
from fastapi import FastAPI, Header, HTTPException, Request

app = FastAPI()
SECRET = os.environ["HOOK_SECRET"]


@app.post("/hooks/orders")
async def hook(request: Request, x_delivery_id: str = Header(), x_signature: str = Header()):
    body = await request.body()
    if not hmac.compare_digest(hmac.new(SECRET.encode(), body, "sha256").hexdigest().encode(), x_signature.encode()):
        raise HTTPException(401)
    event = await request.json()
    async with httpx.AsyncClient() as client:
        return (await client.get("https://stock.example/" + event["sku"])).json()
""",
    "flask": """import hmac, os, requests
from flask import Flask, abort, request

app = Flask(__name__)
SECRET = os.environ["HOOK_SECRET"]


@app.post("/hooks/orders")
def hook():
    sent = request.headers.get("X-Signature", "")
    if not hmac.compare_digest(hmac.new(SECRET.encode(), request.data, "sha256").hexdigest().encode(), sent.encode()):
        abort(401)
    event = request.get_json()
    print("order", request.headers["X-Delivery-Id"], event["email"])
    return requests.get("https://stock.example/" + event["sku"]).json()
""",
}


def _added(root: Path, text: str) -> dict[str, str]:
    """Every module that some rule's mend adds to a service."""
    (root / "app.py").write_text(text, encoding="utf-8")
    index = build_index(SourceTree.load(root))
    found: dict[str, str] = {}
    for rule in all_rules():
        findings = [finding for finding in rule.find(index) if finding.mendable]
        mended = rule.mend(index, findings) if findings else None
        for change in mended.changes if mended is not None else ():
            if change.before is None and change.after is not None and change.path.endswith(".py"):
                found[change.path] = change.after
    return found


def _names(text: str) -> tuple[set[str], set[str], set[str]]:
    """The names that a module uses, binds anywhere, and imports."""
    used, bound, imported = set(), set(), set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom) and getattr(node, "module", "") != "__future__":
            imported |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return used, bound, imported


@pytest.mark.parametrize("framework", _SERVICES)
def test_no_name_is_missing_and_no_import_idle(tmp_path: Path, framework: str) -> None:
    added = _added(tmp_path, _SERVICES[framework])
    assert len(added) >= 10, json.dumps(sorted(added))
    for path, text in added.items():
        used, bound, imported = _names(text)
        assert not used - bound - imported - set(dir(builtins)) - {"__file__", "__name__"}, path
        assert not imported - used, path
