"""The file that generated audit trails write: lines chained by digest, so that a changed or missing one shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from swarm.rules.writing.middlewares import Middleware


def chained(made: Middleware) -> Middleware:
    """A middleware's module with the chain in place of `@CHAIN@`."""
    chain = (Path(__file__).parent / "audit_chain.txt").read_text(encoding="utf-8").rstrip("\n")
    asgi, wsgi = (text.replace("@CHAIN@", chain) for text in (made.asgi_text, made.wsgi_text))
    return replace(made, asgi_text=asgi, wsgi_text=wsgi)
