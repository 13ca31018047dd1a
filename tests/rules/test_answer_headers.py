"""The generated answer headers, in process: JSON is marked, everything else stays as it was."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.rules.mending import loaded, mend

FASTAPI = (
    "from fastapi import FastAPI\nfrom fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse\n\n"
    "app = FastAPI()\n\n\n@app.get('/json')\nasync def plain():\n    return {'ok': True}\n\n\n"
    "@app.get('/own')\nasync def own():\n"
    "    return JSONResponse({}, headers={'x-content-' + 'type-options': 'own'})\n\n\n"
    "@app.get('/page')\nasync def page():\n    return HTMLResponse('<p>hello</p>')\n\n\n"
    "@app.get('/stream')\nasync def stream():\n"
    "    return StreamingResponse(iter([b'a', b'b']), media_type='application/problem+json')\n"
)
FLASK = (
    "from flask import Flask, Response, jsonify\n\napp = Flask(__name__)\n\n\n@app.get('/json')\ndef plain():\n"
    "    return {'ok': True}\n\n\n@app.get('/own')\ndef own():\n"
    "    return jsonify(), 200, {'x-content-' + 'type-options': 'own'}\n\n\n@app.get('/page')\ndef page():\n"
    "    return '<p>hello</p>'\n\n\n@app.get('/stream')\ndef stream():\n"
    "    return Response(iter([b'a', b'b']), mimetype='application/problem+json')\n"
)


async def answers(root: Path) -> dict[str, tuple[str | None, bytes]]:
    """By path the header of the answer and its body."""
    with loaded(root, "hooks") as module:
        if type(module.app).__name__ == "Flask":
            got = {path: module.app.test_client().get(path) for path in ("/json", "/own", "/page", "/stream")}
            return {path: (a.headers.get("x-content-type-options"), a.data) for path, a in got.items()}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=module.app), base_url="http://t") as client:
            sent = {path: await client.get(path) for path in ("/json", "/own", "/page", "/stream")}
            return {path: (a.headers.get("x-content-type-options"), a.content) for path, a in sent.items()}


@pytest.mark.parametrize("text", [FASTAPI, FLASK], ids=["fastapi", "flask"])
async def test_json_alone_is_marked(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hooks.py").write_text(text)
    before = await answers(tmp_path)
    mend(tmp_path, "guessed-content-type")
    after = await answers(tmp_path)
    assert {path: header for path, (header, _) in after.items()} == {
        "/json": "nosniff", "/own": "own", "/page": None, "/stream": "nosniff",
    }  # fmt: skip
    assert {path: body for path, (_, body) in after.items()} == {path: body for path, (_, body) in before.items()}
    monkeypatch.setenv("NOSNIFF", "0")
    assert await answers(tmp_path) == before
