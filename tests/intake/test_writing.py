"""The file that is written: valid, each doubt at its line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from swarm.config.load import load_agents
from swarm.config.schema import Target, Upstream
from swarm.intake.draft import Draft
from swarm.intake.trying.answers import routes_for
from swarm.intake.trying.trial import host_name
from swarm.intake.writing import render
from swarm.target.upstream.calls import UpstreamCall
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
    assert (route.path, route.json_body) == ("/orders/{id}", {"lines": [{"sku": "{{uuid}}"}] * 3})


def test_no_doubt_is_told_twice() -> None:
    draft = Draft("it", TARGET).doubting("same", "start").doubting("same", "start")
    assert len(render(draft).doubts) == 1


def _seen(path: str) -> UpstreamCall:
    return UpstreamCall("shop", "GET", path, "", b"", 502, 0.0, 0.0, "read", {})


CALLERS = """
import requests

BASE = "https://api.shop.example"


def rules(country):
    return requests.get(f"{BASE}/tax/{country}", timeout=5).json()


def stock(sku):
    return requests.get(BASE + "/stock/" + sku, timeout=5).json()["units"]


def label(kind, name):
    return requests.get("https://api.shop.example/labels/%s/%s/print" % (kind, name), timeout=5).text


def place(order):
    units = {}
    for line in order["lines"]:
        units[line["sku"]] = stock(line["sku"])
    return [sku for sku, count in units.items() if count < 1], rules(order["country"])["share"] > 0.1
"""


def test_what_the_code_puts_into_a_path_varies(tmp_path: Path) -> None:
    index = index_of(tmp_path, {"app.py": CALLERS})
    calls = [_seen(path) for path in ("/tax/US", "/tax/DE", "/stock/tea", "/labels/a/b/print", "/tax/US/more")]
    routes = routes_for(index, "api.shop.example", calls)
    assert [route.path for route in routes] == [
        "/tax/{id}", "/stock/{id}", "/labels/{id}/{id2}/print", "/tax/US/more",
    ]  # fmt: skip


def test_what_a_caller_compares_tells_what_an_answer_holds(tmp_path: Path) -> None:
    index = index_of(tmp_path, {"app.py": CALLERS})
    tax, stock = routes_for(index, "api.shop.example", [_seen("/tax/US"), _seen("/stock/tea")])
    assert isinstance(stock.json_body["units"], int)
    assert isinstance(tax.json_body["share"], int | float)


@pytest.mark.parametrize(
    ("hosts", "names"),
    [
        (["api.stripe.com", "hooks.slack.com"], ["stripe", "slack"]),
        (["erp.depot.example", "mail.depot.example"], ["depot", "mail"]),
        (["api.io", "localhost"], ["api", "localhost"]),
        (["a.b.example", "a.b.example"], ["b", "a"]),
    ],
)
def test_a_host_gets_a_short_name_of_its_own(hosts: list[str], names: list[str]) -> None:
    found: list[Upstream] = []
    for host in hosts:
        found.append(Upstream(name=host_name(host, found), host=host))
    assert [one.name for one in found] == names


def test_an_answer_may_be_called_req(tmp_path: Path) -> None:
    text = """
        import requests

        LEVELS = "https://api.shop.example/levels/{name}"


        def level(request, name):
            req = requests.get(LEVELS.replace("{name}", name), timeout=5)
            return req.json()["level"] > request.json()["least"]
        """
    (route,) = routes_for(index_of(tmp_path, {"app.py": text}), "api.shop.example", [_seen("/levels/4711")])
    assert list(route.json_body) == ["level"]


def test_answers_of_github_are_what_its_libraries_take(tmp_path: Path) -> None:
    text = """
        import requests


        def runs(repo):
            return requests.get(f"https://api.github.com/repos/{repo}", timeout=5).json()["open_issues"] > 1
        """
    paths = ("/repos/octocat/example", "/repos/octocat/example/labels", "/app/installations/7/access_tokens")
    index = index_of(tmp_path, {"app.py": text})
    found = {
        route.path: route.json_body for route in routes_for(index, "api.github.com", [_seen(path) for path in paths])
    }
    assert found["/repos/octocat/example"]["id"] == 2002
    assert found["/repos/octocat/example/labels"] == []
    assert found["/app/installations/{id}/access_tokens"]["token"] == "test-access-token"


def test_a_key_of_several_lines_is_written_as_it_stands() -> None:
    key = "-----BEGIN KEY-----\nabc\n-----END KEY-----\n"
    written = render(Draft("it", TARGET).with_env({"APP_KEY": key})).text
    assert "APP_KEY: |\n        -----BEGIN KEY-----\n        abc\n" in written
    assert yaml.safe_load(written)["targets"]["it"]["env"]["APP_KEY"] == key
