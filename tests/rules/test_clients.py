"""Constructors that the target's tests replace."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.rules.scan import scan
from tests.intake.strangers import index_of

_SHOP = """
    import httpx
    import requests
    from fastapi import FastAPI

    app = FastAPI()


    @app.post("/hook")
    def hook(event: dict):
        return requests.get("https://api.shop.example/orders/" + event["number"], timeout=5).json()
    """


@pytest.mark.parametrize(
    ("test", "mendable"),
    [
        ("@patch('desk.shop.requests.get')\ndef test(get): ...\n", False),
        ("def test(mocker):\n    mocker.patch('requests.get')\n", False),
        (
            "def test(monkeypatch):\n    monkeypatch.setattr(requests, 'get', print)  # not unittest.mock.patch\n",
            False,
        ),
        ("@patch('desk.other.requests.get')\ndef test(get): ...\n", True),
        ("@patch('desk.shop.requests.post')\ndef test(post): ...\n", True),
        ("import responses\n\n\n@responses.activate\ndef test(): ...\n", True),
    ],
)
def test_client_that_tests_replace_stays_as_it_is(tmp_path: Path, test: str, mendable: bool) -> None:
    files = {"desk/__init__.py": "", "desk/shop.py": _SHOP, "tests/test_shop.py": test}
    (finding,) = (one for one in scan(index_of(tmp_path, files)) if one.rule == "client-per-call")
    assert finding.mendable is mendable
    assert ("double" in finding.recommendation) is not mendable
