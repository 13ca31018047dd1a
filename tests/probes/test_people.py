"""A person's rights and what is stored of them, asked of small services that honour them and of ones that don't."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.config.schema import Sign, Upstream, Webhook
from swarm.core.errors import TargetError
from swarm.probes import traces
from swarm.probes.probe import ProbeContext
from swarm.probes.routes import headers_of
from swarm.probes.run import run_probes
from swarm.target.traffic import Traffic
from tests.probes.people_desk import ROUTES, World, probe, serve, service, target

pytestmark = pytest.mark.long

__all__ = ["serve"]  # a fixture


async def test_a_service_that_honours_all_of_it(serve: Any, tmp_path: Path) -> None:
    world = World(tmp_path)
    results = await probe(serve(service(world)), world)
    told = {name: result.outcome for name, result in results.items()}
    assert {name for name, outcome in told.items() if outcome not in ("passed", "inapplicable")} == set(), results
    assert told["C11"] == "passed" and "tells the values" in results["C11"].evidence
    assert told["C07"] == "inapplicable"


@pytest.mark.parametrize(
    ("flaw", "probe_id", "words"),
    [
        ("plain", "C11", "plain text"),
        ("lazy", "C02", "export still shows"),
        ("undo", "C02", "brought a deleted person back"),
        ("half", "C03", "not in the export: firstName"),
        ("hoards", "C05", "after the purge"),
        ("deaf", "C06", "messages after STOP"),
        ("untraced", "C10", "no file or table gained an entry"),
        ("loose", "C10", "in none would a changed one show"),
        ("undecided", "C10", "no entry for what was decided (ai_score)"),
        ("nightly", "C08", "messages after campaign where it is night"),
        ("pushy", "C09", "messages after campaign that denies consent"),
        ("steers", "C14", "no word on fair housing"),
        ("prefers", "C14", "a reply states a preference"),
        ("unreasoned", "C15", "no answer tells the reasons"),
        ("keeps", "C12", "stored as sent"),
        ("keeps", "W19", "is_admin"),
        ("biased", "C13", "alike but for the name"),
        ("asks", "C13", "part of the question"),
        ("address", "C17", "email stands in the address"),
        ("open", "W18", "gives email to anybody"),
        ("fetches", "W20", "called the address"),
    ],
)
async def test_each_flaw_is_seen(
    flaw: str, probe_id: str, words: str, serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "LATER_S", 0.6)  # nothing here is done behind an answer
    world = World(tmp_path, flaw, "plain")
    results = await probe(serve(service(world)), world, (probe_id,))
    assert results[probe_id].outcome == "failed", results
    assert words in results[probe_id].evidence


@pytest.mark.parametrize(
    ("flaw", "probe_id", "outcome", "words"),
    [
        ("encoded", "C11", "failed", "email, firstName in plain text"),
        ("orphans", "C02", "failed", "people.db people still holds the person"),
        ("lazy", "C02", "failed", "export still shows"),
        ("undo", "C02", "failed", "brought a deleted person back"),
        ("hoards", "C05", "failed", "after the purge"),
        ("half", "C03", "skipped", "no file tells what is stored; not in the export: firstName"),
    ],
)
async def test_flaws_are_seen_where_nothing_can_be_read_in_files(
    flaw: str, probe_id: str, outcome: str, words: str, serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "LATER_S", 0.6)
    world = World(tmp_path, flaw)
    results = await probe(serve(service(world)), world, (probe_id,))
    assert (results[probe_id].outcome, words in results[probe_id].evidence) == (outcome, True), results


async def test_rights_are_seen_where_files_hold_plain_text(serve: Any, tmp_path: Path) -> None:
    world = World(tmp_path, "plain")
    results = await probe(serve(service(world)), world, ("C02", "C03", "C04", "C05"))
    assert {result.outcome for result in results.values()} == {"passed"}, results


async def test_a_chain_whose_digests_say_nothing_proves_nothing(serve: Any, tmp_path: Path) -> None:
    world = World(tmp_path, "forged")
    results = await probe(serve(service(world)), world, ("C10",))
    assert results["C10"].outcome == "skipped", results


ANSWERS = "import httpx\n\n\ndef reply(text):\n    httpx.post('https://sms.example/messages', json={'text': text})\n"
BY_THE_CLOCK = "\nimport time\n\n\ndef campaign():\n    while True:\n        time.sleep(60)\n        reply('Buy!')\n"
HANDLER = (
    "from fastapi import FastAPI\nfrom sms import reply\n\napp = FastAPI()\n\n\n"
    "@app.post('/hook')\ndef hook(event: dict):\n    reply('hello')\n"
)


@pytest.mark.parametrize(
    ("sms", "handler", "outcome", "words"),
    [
        (ANSWERS, HANDLER, "inapplicable", "only reply sends, for requests alone"),
        (ANSWERS + BY_THE_CLOCK, HANDLER, "skipped", "runs by the clock"),
        (ANSWERS, HANDLER.replace("    reply('hello')", "    return {}"), "skipped", "no request leads to it"),
        ("def reply(text):\n    pass\n", HANDLER, "skipped", "where the code sends them was not found"),
    ],
)
@pytest.mark.parametrize("probe_id", ["C08", "C09"])
async def test_who_writes_to_nobody_unasked_shows_it(
    probe_id: str, sms: str, handler: str, outcome: str, words: str, serve: Any, tmp_path: Path
) -> None:
    """Messages follow only what people wrote themselves; whether more are sent, the code must tell."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "sms.py").write_text(sms, encoding="utf-8")
    (tmp_path / "code" / "app.py").write_text(handler, encoding="utf-8")
    index = build_index(SourceTree.load(tmp_path / "code"))
    world = World(tmp_path, "discreet")
    results = await probe(serve(service(world)), world, (probe_id,), index=index)
    assert results[probe_id].outcome == outcome and words in results[probe_id].evidence, results


async def test_a_decision_that_nobody_reviews(serve: Any, tmp_path: Path) -> None:
    world = World(tmp_path)
    routes = tuple(route for route in ROUTES if not route[1].endswith("/review"))
    results = await probe(serve(service(world)), world, ("C15",), routes=routes)
    assert results["C15"].outcome == "failed" and "no route takes a request to review it" in results["C15"].evidence


async def test_work_behind_the_answer_is_awaited(serve: Any, tmp_path: Path) -> None:
    """Events wait whole in a store of jobs, and stay there where work fails: no sign of a flaw."""
    world = World(tmp_path, "plain", "queue")
    results = await probe(serve(service(world)), world, ("C02", "C03", "C04", "C05", "C12", "W19"))
    assert {result.outcome for result in results.values()} == {"passed"}, results


@pytest.mark.parametrize(("flaw", "outcome"), [("", "passed"), ("keeps_jobs", "failed")])
async def test_work_that_failed_goes_with_the_person(flaw: str, outcome: str, serve: Any, tmp_path: Path) -> None:
    other = World(tmp_path / "other", "plain", "queue", flaw)
    url = serve(service(other))

    @asynccontextmanager
    async def start_again(env: Any, tmp: Any, upstreams: Any) -> Any:
        yield SimpleNamespace(base_url=url, tmp=other.tmp, log_text=other.log_text)

    @asynccontextmanager
    async def fresh_upstreams() -> Any:
        yield other

    world = World(tmp_path / "first")
    more = {"start_again": start_again, "fresh_upstreams": fresh_upstreams}
    results = await probe(serve(service(world)), world, ("C02-failed",), **more)
    assert results["C02-failed"].outcome == outcome, results


@pytest.mark.parametrize("probe_id", ["C12", "W19"])
async def test_fields_that_are_kept_after_the_work_are_seen(probe_id: str, serve: Any, tmp_path: Path) -> None:
    world = World(tmp_path, "plain", "queue", "keeps")
    results = await probe(serve(service(world)), world, (probe_id,))
    assert results[probe_id].outcome == "failed" and "people.db people" in results[probe_id].evidence


async def test_without_routes_nothing_is_claimed(serve: Any, tmp_path: Path) -> None:
    world = World(tmp_path, "plain")
    results = await probe(serve(service(world)), world, ("C02", "C03", "C05", "W18"), routes=(("POST", "/hook"),))
    outcomes = {name: result.outcome for name, result in results.items()}
    assert outcomes == {"C02": "failed", "C03": "failed", "C05": "skipped", "W18": "inapplicable"}


async def test_a_route_that_says_it_is_alive_below_a_prefix_is_open_to_anybody(serve: Any, tmp_path: Path) -> None:
    world = World(tmp_path, "plain")
    routes = (("POST", "/desk/ping"), ("GET", "/api/v1/healthz"))
    results = await probe(serve(service(world)), world, ("W18",), routes=routes)
    assert results["W18"].outcome == "inapplicable"


async def test_hosts_that_nobody_declared(serve: Any, tmp_path: Path) -> None:
    world = World(tmp_path)
    world.refused.append("POST tracker.example/collect")
    results = await probe(serve(service(world)), world, ("C16",))
    assert "tracker.example" in results["C16"].evidence and results["C16"].outcome == "failed"


async def test_addresses_of_this_machine_that_probes_put_into_events_are_no_strange_hosts(
    serve: Any, tmp_path: Path
) -> None:
    world = World(tmp_path)
    world.refused += ["CONNECT 2130706433:34787", "GET localhost/x", "GET [::1]/x"]
    results = await probe(serve(service(world)), world, ("C16",))
    assert results["C16"].outcome == "passed", results


async def test_a_route_of_a_declared_host_that_nobody_plays_is_no_strange_host(serve: Any, tmp_path: Path) -> None:
    world = World(tmp_path)
    world.refused.append("POST api.mail.example/v2/drafts")
    declared = target().model_copy(update={"upstreams": (Upstream(name="mail", host="api.mail.example", routes=()),)})
    results = await probe(serve(service(world)), world, ("C16",), target=declared)
    assert results["C16"].outcome == "passed", results


@pytest.mark.parametrize("case", ["open", "closed", "does not start"])
async def test_a_service_without_its_secret(case: str, serve: Any, tmp_path: Path) -> None:
    world = World(tmp_path)
    sign = Sign(scheme="hmac-sha256", header="X-Sig", secret_env="HOOK_SECRET")
    signed = target().model_copy(
        update={
            "env": {"HOOK_SECRET": "abcdefgh"},
            "webhooks": [Webhook(path="/hook", sign=sign, payloads=[{"a": 1}])],
        }
    )

    async def answer(request: Request) -> JSONResponse:
        return JSONResponse({}, status_code=200 if case == "open" else 401)

    async def taken(request: Request) -> JSONResponse:
        return JSONResponse({})

    other = serve(Starlette(routes=[Route("/hook", answer, methods=["POST"])]))

    @asynccontextmanager
    async def start_again(env: Any) -> Any:
        assert env == {"HOOK_SECRET": ""}
        if case == "does not start":
            raise TargetError("no secret")
        yield SimpleNamespace(base_url=other)

    url = serve(Starlette(routes=[Route("/hook", taken, methods=["POST"])]))
    async with httpx.AsyncClient(trust_env=False) as client:
        context = ProbeContext(
            base_url=url, target=signed, traffic=Traffic(signed, tmp_path, 7), client=client,
            server=world, upstreams=world, number=itertools.count(), start_again=start_again,  # type: ignore[arg-type]
        )  # fmt: skip
        (result,) = await run_probes(context, ("W05",))
    assert result.outcome == ("failed" if case == "open" else "passed"), result


def test_headers_that_the_code_reads(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "from typing import Annotated\nfrom fastapi import Header\n\nSIGNATURE = 'X-Sig'\n\n\n"
        "async def a(x_admin_token: str = Header(default='')):\n    pass\n\n\n"
        "async def b(key: Annotated[str, Header()], other=Header(alias='X-Other')):\n    pass\n\n\n"
        "def c(request, table):\n    table.get('no')\n    request.headers.get(SIGNATURE)\n"
        "    return request.headers['Authorization']\n",
        encoding="utf-8",
    )
    found = set(headers_of(build_index(SourceTree.load(tmp_path))))
    assert found == {"x-admin-token", "key", "X-Other", "X-Sig", "Authorization"}
