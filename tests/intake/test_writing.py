"""The file that is written: valid, each doubt at its line."""

from __future__ import annotations

from pathlib import Path

from swarm.config.load import load_agents
from swarm.config.schema import Target
from swarm.intake.answers import routes_for
from swarm.intake.draft import Draft
from swarm.intake.writing import render
from swarm.target.calls import UpstreamCall
from tests.intake.strangers import index_of

TARGET = Target.model_validate(
    {
        "path": ".",
        "start": "uvicorn app:app --port {port}",
        "env": {"TOKEN": "0123", "FLAG": "yes", "TEMPLATE": "{tmp}/x", "TEXT": "a: b # c"},
        "webhooks": [
            {
                "path": "/hook", "payloads": [{"id": "{{uuid}}", "on": True, "text": "ä: 'x'"}],
                "sign": {"scheme": "hmac-sha256", "header": "X-Sign", "secret_env": "TOKEN"},
            }
        ],
        "upstreams": [{"name": "a", "host": "api.a.example", "routes": [{"path": "/x/{id}", "json": {"n": None}}]}],
    }
)  # fmt: skip


def test_written_file_says_the_same(tmp_path: Path) -> None:
    written = render(Draft("it", TARGET))
    (tmp_path / "agents.yaml").write_text(written.text)
    read = load_agents(tmp_path / "agents.yaml").targets["it"]
    assert read.model_dump(exclude={"load"}) == TARGET.model_dump(exclude={"load"})


def test_doubts_stand_above_the_lines_that_are_told() -> None:
    draft = Draft("it", TARGET).doubting("who signs?", "webhooks", 0, "sign").doubting("which value?", "env", "FLAG")
    written = render(draft.doubting("no tests", "tests"))
    lines = written.text.splitlines()
    told = {doubt.words: lines[line - 1] for line, doubt in written.doubts}
    assert told["which value?"].strip().startswith("FLAG:")
    assert told["who signs?"].strip().startswith("sign:")
    assert told["no tests"].strip() == "it:"
    assert all(f"# unsure: {doubt.words}" in lines[line - 2] for line, doubt in written.doubts)


def test_good_answers_hold_no_error(tmp_path: Path) -> None:
    text = """
        import requests


        def order(number):
            data = requests.get(f"https://api.shop.example/orders/{number}", timeout=5).json()
            if data.get("error"):
                raise RuntimeError(data["error"])
            return data["lines"][0]["sku"]
        """
    call = UpstreamCall("shop", "GET", "/orders/4711", "", b"", 502, 0.0, 0.0, "read", {})
    (route,) = routes_for(index_of(tmp_path, {"app.py": text}), "api.shop.example", [call])
    assert (route.path, route.json_body) == ("/orders/{id}", {"lines": [{"sku": "{{uuid}}"}]})


def test_no_doubt_is_told_twice() -> None:
    draft = Draft("it", TARGET).doubting("same", "start").doubting("same", "start")
    assert len(render(draft).doubts) == 1
