"""The kinds of event that code compares a header with."""

from __future__ import annotations

from pathlib import Path

from swarm.intake.webhooks import find_entries
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
