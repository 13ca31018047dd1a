"""A service of a few lines, written fresh for each test: standard library only, so that it starts fast."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swarm.config.schema import Target
from swarm.core.place import TargetPlace
from swarm.target.tree.place import resolve_place

SERVICE = """
import http.server, json, os, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"where": __file__, "env": dict(os.environ), "cwd": os.getcwd()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

print("listening", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
Service = tuple[TargetPlace, Target]
WriteService = Callable[..., Service]


@pytest.fixture
def write_service(tmp_path: Path) -> WriteService:
    """Writes files below a folder `user` and gives the place and target for it.

    `real.py` always serves, also where a test puts something else into `serve.py`.
    """

    def write(files: dict[str, str] | None = None, **fields: Any) -> Service:
        root = tmp_path / "user"
        for name, text in {"serve.py": SERVICE, "real.py": SERVICE, **(files or {})}.items():
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text), encoding="utf-8")
        target = Target.model_validate({"path": ".", "start": "python serve.py {port}", **fields})
        return resolve_place("small", target, root), target

    return write
