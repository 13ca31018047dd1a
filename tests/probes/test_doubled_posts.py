"""Two copies of one delivery that both got past a check: told by what an upstream heard twice."""

from __future__ import annotations

from swarm.probes.deliveries.repeated_delivery import distinct_writes, doubled_post
from swarm.target.upstream.calls import Effect, UpstreamCall


def call(method: str = "POST", body: bytes = b"{}", status: int = 201, effect: Effect = "write") -> UpstreamCall:
    return UpstreamCall("shop", method, "/orders", "", body, status, 0.0, 0.1, effect, {})


def test_the_same_post_twice_is_a_race() -> None:
    assert doubled_post([call(), call(body=b"other"), call()]) == "shop got the same POST /orders 2 times (2 bytes)"


def test_what_may_be_said_twice_is_none() -> None:
    assert doubled_post([call("PUT"), call("PUT")]) == ""
    assert doubled_post([call(status=503), call()]) == "", "a POST that failed and was tried again"
    assert doubled_post([call(effect="read"), call(effect="read")]) == "", "a question"
    assert doubled_post([call(body=b"1"), call(body=b"2")]) == ""
    assert doubled_post([]) == ""


def test_a_put_that_is_said_again_changes_nothing_more() -> None:
    assert distinct_writes([call("PUT")] * 20) == 1
    assert distinct_writes([call("PUT"), call("PUT", b"other"), call("DELETE"), call(), call(effect="read")]) == 4


def test_a_service_that_says_things_twice_anyway_is_no_race() -> None:
    assert doubled_post([call(), call()], before=[call(body=b"x"), call(body=b"x")]) == ""
    assert doubled_post([call(), call(), call()], before=[call(body=b"x"), call(body=b"x")]) != ""
