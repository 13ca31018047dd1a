"""Small services in different styles, written to a folder: what `swarm init` has never seen."""

from __future__ import annotations

import textwrap
from pathlib import Path

from swarm.analysis.index import Index, build_index
from swarm.analysis.source import SourceTree


def write_tree(root: Path, files: dict[str, str]) -> Path:
    """The files below `root`."""
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return root


def index_of(root: Path, files: dict[str, str]) -> Index:
    """The index of a tree that is written first."""
    return build_index(SourceTree.load(write_tree(root, files)))


# FastAPI: src layout, a factory, a settings object, a router with prefixes, an HMAC, a host in the code.
ORDERS = {
    "src/orders/__init__.py": "",
    "src/orders/settings.py": """
        import os


        class Settings:
            webhook_secret = os.environ["WEBHOOK_SECRET"]
            shop_api = os.environ.get("SHOP_API", "https://api.shop.example/v2")
            region = os.environ["REGION"]


        settings = Settings()
        """,
    "src/orders/app.py": """
        from fastapi import FastAPI

        from orders.hooks import router


        def create_app() -> FastAPI:
            app = FastAPI()
            app.include_router(router, prefix="/api/v1")

            @app.get("/healthz")
            def healthz():
                return {"ok": True}

            return app
        """,
    "src/orders/hooks.py": """
        import hashlib
        import hmac

        import httpx
        from fastapi import APIRouter, HTTPException, Request

        from orders.settings import settings

        router = APIRouter(prefix="/hooks")


        def verify(body: bytes, signature: str) -> bool:
            digest = hmac.new(settings.webhook_secret.encode(), body, hashlib.sha256).hexdigest()
            return hmac.compare_digest(f"sha256={digest}", signature)


        @router.post("/orders")
        async def receive(request: Request):
            body = await request.body()
            if not verify(body, request.headers.get("X-Shop-Signature", "")):
                raise HTTPException(401, "invalid signature")
            event = await request.json()
            if event["type"] == "order.created":
                async with httpx.AsyncClient() as client:
                    answer = await client.get(f"{settings.shop_api}/orders/{event['order']['id']}")
                    answer.raise_for_status()
                    return {"total": answer.json()["total"], "lines": len(answer.json()["lines"])}
            if event["type"] == "order.deleted":
                return {"deleted": event["order"]["id"]}
            return {"ignored": True}
        """,
}

# Flask: a blueprint, variables read by name, a model API in the code, a file of SQLite by its URL.
NOTES = {
    "Procfile": "web: gunicorn --workers 3 --bind 0.0.0.0:$PORT 'notes:create_app()'\n",
    "notes/__init__.py": """
        from flask import Flask

        from notes.views import hooks


        def create_app():
            app = Flask(__name__)
            app.register_blueprint(hooks, url_prefix="/in")
            return app
        """,
    "notes/views.py": """
        import os
        import sqlite3

        import requests
        from flask import Blueprint, jsonify, request

        TOKEN = os.environ["NOTES_TOKEN"]
        DATABASE = os.environ.get("DATABASE_URL", "sqlite:///notes.db")
        hooks = Blueprint("hooks", __name__)


        @hooks.get("/ping")
        def ping():
            return "pong"


        @hooks.route("/event", methods=["POST"])
        def event():
            if request.headers.get("X-Notes-Token") != TOKEN:
                return jsonify(error="forbidden"), 403
            data = request.get_json()
            if not data.get("note"):
                return jsonify(error="missing field: note"), 400
            with sqlite3.connect(DATABASE.removeprefix("sqlite:///")) as database:
                database.execute("create table if not exists notes (note text)")
                database.execute("insert into notes values (?)", (data["note"],))
            answer = requests.post("https://api.summary.example/v1/summaries", json={"text": data["note"]}, timeout=5)
            answer.raise_for_status()
            return jsonify(summary=answer.json()["summary"]["short"])
        """,
}

# Starlette: a list of routes with a mount, and nothing to call.
PINGS = {
    "server.py": """
        from starlette.applications import Starlette
        from starlette.responses import JSONResponse
        from starlette.routing import Mount, Route


        async def on_event(request):
            data = await request.json()
            return JSONResponse({"seen": data["kind"], "by": data.get("who", "nobody")})


        async def health(request):
            return JSONResponse({"ok": True})


        hooks = [Route("/event", on_event, methods=["POST"])]
        application = Starlette(routes=[Route("/health", health), Mount("/hooks", routes=hooks)])
        """,
}
