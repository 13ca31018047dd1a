"""Security middlewares from their templates, with what the target's code decides filled in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from swarm.analysis.index import AppObject, Index
from swarm.core.findings import Finding
from swarm.rules.placing import Middleware, install, main_app, middleware_text
from swarm.rules.rule import Mend


def middleware(stem: str, class_name: str, wsgi_imports: str = "import io\n", **values: object) -> Middleware:
    """The middleware of the templates `<stem>_*.txt` here; `@NAME@` in them becomes the value's literal."""
    made = middleware_text(Path(__file__).parent, stem, class_name)
    asgi = made.asgi_text.replace("@FIRST@", "import asyncio\n").replace("@SECOND@", "")
    wsgi = made.wsgi_text.replace("@FIRST@", "").replace("@SECOND@", wsgi_imports)
    for name, value in values.items():
        asgi = asgi.replace(f"@{name}@", repr(value))
        wsgi = wsgi.replace(f"@{name}@", repr(value))
    return replace(made, asgi_text=asgi, wsgi_text=wsgi)


def installed(index: Index, findings: Sequence[Finding], made: Middleware, title: str, rationale: str) -> Mend | None:
    """The mend that puts a middleware around the main application, where the findings stand."""
    app: AppObject | None = main_app(index)
    if app is None or not findings or app.module.path != findings[0].file:
        return None
    return Mend(title, rationale, install(index, app, made))
