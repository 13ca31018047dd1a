"""Security middlewares from their templates, with what the target's code decides filled in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from swarm.rules.writing.middlewares import Middleware, middleware_text


def middleware(stem: str, class_name: str, wsgi_imports: str = "import io\n", **values: object) -> Middleware:
    """The middleware of the templates `<stem>_*.txt` here; `@NAME@` in them becomes the value's literal."""
    made = middleware_text(Path(__file__).parent / "templates", stem, class_name)
    asgi = made.asgi_text.replace("@FIRST@", "import asyncio\n").replace("@SECOND@", "")
    wsgi = made.wsgi_text.replace("@FIRST@", "").replace("@SECOND@", wsgi_imports)
    for name, value in values.items():
        asgi = asgi.replace(f"@{name}@", repr(value))
        wsgi = wsgi.replace(f"@{name}@", repr(value))
    return replace(made, asgi_text=asgi, wsgi_text=wsgi)
