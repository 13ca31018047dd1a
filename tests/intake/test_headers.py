"""The kinds of event that code compares a header with."""

from __future__ import annotations

from pathlib import Path

from swarm.intake.webhooks.entries import find_entries
from tests.intake.strangers import index_of


def test_values_of_a_header_that_is_handed_on(tmp_path: Path) -> None:
    text = """
        from flask import Flask, request

        app = Flask(__name__)


        class Handler:
            def handle(self, data, headers):
                if headers["X-GitHub-Event"] != "workflow_job":
                    return "ignored"
                return data["action"]


        handler = Handler()


        @app.post("/hook")
        def hook():
            return handler.handle(request.json, request.headers)
        """
    (entry,) = find_entries(index_of(tmp_path, {"app.py": text}))
    assert entry.header_values == {"x-github-event": ("workflow_job",)}


def test_values_of_a_parameter_that_fastapi_fills(tmp_path: Path) -> None:
    text = """
        from typing import Annotated

        from fastapi import FastAPI, Header, Request

        app = FastAPI()


        @app.post("/hook")
        async def hook(request: Request, x_shop_topic: Annotated[str, Header()], kind: str = Header(alias="X-Kind")):
            match x_shop_topic:
                case "orders/paid" | "orders/sent":
                    return await request.json()
            return kind in ("a", "b")
        """
    (entry,) = find_entries(index_of(tmp_path, {"app.py": text}))
    assert entry.header_values == {"x-shop-topic": ("orders/paid", "orders/sent"), "x-kind": ("a", "b")}


def test_a_signature_that_a_dependency_under_an_alias_checks(tmp_path: Path) -> None:
    files = {
        "bot/__init__.py": "",
        "bot/deps.py": """
            import hashlib
            import hmac
            from typing import Annotated

            from fastapi import Depends, Header, HTTPException, Request

            SECRET = b"s"


            async def verified(request: Request, x_hub_signature_256: Annotated[str, Header()] = "") -> bytes:
                body = await request.body()
                if x_hub_signature_256 != "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest():
                    raise HTTPException(401)
                return body


            Verified = Annotated[bytes, Depends(verified)]
            """,
        "bot/main.py": """
            from typing import Annotated

            from fastapi import FastAPI, Header

            from bot.deps import Verified

            app = FastAPI()


            @app.post("/events")
            async def events(body: Verified, x_github_event: Annotated[str, Header()]):
                return {"ignored": x_github_event not in ("push", "issues")}
            """,
    }
    (entry,) = find_entries(index_of(tmp_path, files))
    assert set(entry.headers) == {"x-hub-signature-256", "x-github-event"}
    assert entry.header_values == {"x-github-event": ("push", "issues")}
