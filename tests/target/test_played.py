"""Declared routes: which one answers, what it echoes, and that a seed decides its weather."""

from __future__ import annotations

import json
import time

import pytest

from swarm.config.schema import UpstreamRoute
from swarm.target.upstream.played import PlayedRoutes, Question, Reply


def routes(*fields: dict[str, object]) -> list[UpstreamRoute]:
    return [UpstreamRoute.model_validate(field) for field in fields]


def ask(method: str, path: str) -> Question:
    return Question(method, path, "", b"", {})


async def test_a_template_matches_one_segment_and_is_echoed_decoded() -> None:
    played = PlayedRoutes("crm", routes(
        {"path": "/c/{id}/notes/{note}", "json": {"of": "{id}", "list": ["{note}", "{other}"], "n": 1}},
    ), 1, "fixed")  # fmt: skip
    reply = await played.reply(ask("GET", "/c/a%20b/notes/7"))
    assert json.loads(reply.body) == {"of": "a b", "list": ["7", "{other}"], "n": 1}
    assert (await played.reply(ask("GET", "/c/a/b/notes/7"))).refused


async def test_an_answer_has_values_of_its_own_and_the_seed_decides_them() -> None:
    async def told(seed: int) -> list[dict[str, object]]:
        fields = {"method": "POST", "path": "/c/{of}", "json": {"id": "{{int:1:900000000}}", "key": "{of}-{{uuid}}"}}
        played = PlayedRoutes("crm", routes(fields), seed, "fixed")
        return [json.loads((await played.reply(ask("POST", "/c/a"))).body) for _ in range(3)]

    first = await told(1)
    assert len({answer["id"] for answer in first}) == 3
    assert all(isinstance(answer["id"], int) and str(answer["key"]).startswith("a-") for answer in first)
    assert first == await told(1) != await told(2)


async def test_a_literal_path_goes_before_a_template_and_head_to_get() -> None:
    played = PlayedRoutes("crm", routes(
        {"path": "/c/{id}", "text": "one"}, {"path": "/c/all", "text": "all", "headers": {"X-Total": "9"}},
    ), 1, "fixed")  # fmt: skip
    reply = await played.reply(ask("GET", "/c/all"))
    assert reply.body == b"all"
    assert reply.headers["X-Total"] == "9"
    assert (await played.reply(ask("HEAD", "/c/all"))).body == b"all"
    refused = await played.reply(ask("POST", "/c/all"))
    assert refused.refused
    assert refused.status == 502


async def test_effect_is_declared_or_follows_the_method() -> None:
    played = PlayedRoutes("crm", routes(
        {"method": "POST", "path": "/search", "effect": "read"}, {"method": "POST", "path": "/add"}, {"path": "/get"},
    ), 1, "fixed")  # fmt: skip
    replies = [await played.reply(ask(m, p)) for m, p in (("POST", "/search"), ("POST", "/add"), ("GET", "/get"))]
    assert [reply.effect for reply in replies] == ["read", "write", "read"]


async def statuses(seed: int, count: int = 60) -> list[int]:
    played = PlayedRoutes("crm", routes({"path": "/x", "error_rate": 0.3}), seed, "live")
    return [(await played.reply(ask("GET", "/x"))).status for _ in range(count)]


async def test_the_seed_decides_which_call_fails() -> None:
    first = await statuses(1)
    assert first == await statuses(1)
    assert first != await statuses(2)
    assert 5 <= first.count(500) <= 35


async def test_reset_begins_the_same_weather_again() -> None:
    played = PlayedRoutes("crm", routes({"path": "/x", "error_rate": 0.5}), 3, "live")

    async def some() -> list[int]:
        return [(await played.reply(ask("GET", "/x"))).status for _ in range(20)]

    before = await some()
    played.reset(3)
    assert await some() == before


@pytest.mark.parametrize(
    ("latency", "declared_ms", "low_ms", "high_ms"), [("live", 60, 58, 800), ("fixed", 900, 14, 800)]
)
async def test_latency_is_the_declared_one_or_fixed(
    latency: str, declared_ms: float, low_ms: float, high_ms: float
) -> None:
    fields = {"path": "/x", "latency_ms": declared_ms, "error_rate": 1.0}
    played = PlayedRoutes("crm", routes(fields), 3, "live" if latency == "live" else "fixed")
    started = time.perf_counter()
    reply: Reply = await played.reply(ask("GET", "/x"))
    assert low_ms <= (time.perf_counter() - started) * 1000 <= high_ms
    assert reply.status == (500 if latency == "live" else 200)  # replay knows no bad luck
