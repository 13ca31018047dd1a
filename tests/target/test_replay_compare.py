"""The judgement alone, on observations made by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from swarm.target.replay.compare import compare
from swarm.target.replay.observation import Exchange, ExchangeKind, Observation, Recording
from swarm.target.replay.stored_state import StoredState, StoredTable
from swarm.target.upstream.calls import UpstreamCall, effect_of
from swarm.target.upstream.tape import Tape

NOW = 1_790_000_000.0
EMPTY = StoredState({}, NOW)


def call(
    method: str, path: str, start: float, end: float, body: str = "", status: int = 200, **headers: str
) -> UpstreamCall:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return UpstreamCall(
        "crm", method, path, "", body.encode(), status, start, end, effect_of(method), named, "request 1"
    )


def exchange(*calls: UpstreamCall, status: int = 200, body: str = "{}", kind: ExchangeKind = "normal") -> Exchange:
    upstream = "crm" if kind == "upstream fails" else ""
    return Exchange("request 1", kind, upstream, status, "application/json", body.encode(), calls, 0.1, NOW)


def observation(*exchanges: Exchange, refused: Sequence[str] = ()) -> Observation:
    return Observation(exchanges, EMPTY, EMPTY, tuple(refused), 1.0)


def judged(base: Exchange, candidate: Exchange, second: Exchange | None = None, **options: bool) -> tuple[str, ...]:
    recording = Recording(observation(base), observation(second or base), Tape())
    return compare(recording, observation(candidate), **options).differences


PUT_A = call("PUT", "/contacts/1", 0, 1, '{"score": 5}')
POST_B = call("POST", "/notes", 2, 3, '{"text": "hi"}')
GET_C = call("GET", "/contacts/1", 0, 1, authorization="Bearer x")


def test_a_missing_a_changed_and_an_additional_write() -> None:
    base = exchange(PUT_A, POST_B)
    assert judged(base, exchange(PUT_A)) == ("request 1: upstream write missing: POST crm/notes",)
    changed = replace(PUT_A, body=b'{"score": 6}')
    assert judged(base, exchange(changed, POST_B)) == (
        "request 1: upstream write changed: PUT crm/contacts/1: body.score 5 became 6",
    )
    again = replace(POST_B, start_s=4.0, end_s=5.0)
    assert judged(base, exchange(PUT_A, POST_B, again)) == ("request 1: additional upstream write: POST crm/notes",)


def test_the_order_of_equal_writes_is_kept_by_number() -> None:
    base = exchange(PUT_A, POST_B, replace(PUT_A, start_s=4.0, end_s=5.0))
    assert judged(base, base) == ()


def test_writes_that_overlapped_once_may_come_in_any_order() -> None:
    together = exchange(PUT_A, replace(POST_B, start_s=0.5, end_s=1.5))
    swapped = exchange(replace(PUT_A, start_s=2.0, end_s=3.0), replace(POST_B, start_s=0.0, end_s=1.0))
    assert judged(exchange(PUT_A, POST_B), swapped, together) == ()
    assert len(judged(exchange(PUT_A, POST_B), swapped)) == 1


def test_reads_may_be_fewer_or_more_but_keep_their_credentials() -> None:
    base = exchange(GET_C, POST_B)
    assert judged(base, exchange(POST_B)) == ()
    assert judged(base, exchange(GET_C, GET_C, POST_B)) == ()
    assert judged(base, exchange(replace(GET_C, headers={}), POST_B)) == (
        "request 1: GET crm/contacts/1 lost its header authorization",
    )


def test_a_volatile_part_of_a_write_is_masked_and_no_more() -> None:
    def noted(key: str, text: str = "hi") -> Exchange:
        return exchange(replace(POST_B, body=f'{{"key": "{key}", "text": "{text}"}}'.encode()))

    assert judged(noted("aXq"), noted("Zyy"), noted("bbB")) == ()
    assert len(judged(noted("aXq"), noted("Zyy", "ho"), noted("bbB"))) == 1


def test_how_a_failure_is_worded_is_no_promise_but_that_it_fails_is() -> None:
    base = exchange(status=500, body='{"error": "KeyError"}')
    assert judged(base, exchange(status=500, body='{"error": "internal"}')) == ()
    assert judged(base, exchange(status=200)) == ("request 1: status 500 became 200",)
    assert len(judged(exchange(status=404, body='{"error": "a"}'), exchange(status=404, body='{"error": "b"}'))) == 1


def test_no_answer_is_a_difference() -> None:
    silent = replace(exchange(status=0), error="ServerDisconnectedError")
    assert judged(exchange(), silent) == ("request 1: status 200 became no answer (ServerDisconnectedError)",)


FAILED_READ = replace(GET_C, status=500)
FAILED_PUT = replace(PUT_A, status=500)
FAILED_POST = replace(POST_B, status=500)


def failing(*calls: UpstreamCall, status: int) -> Exchange:
    return exchange(*calls, status=status, kind="upstream fails")


def test_a_swallowed_error_is_a_difference_and_one_that_did_not_happen_is_none() -> None:
    base = failing(FAILED_READ, status=502)
    assert judged(base, failing(FAILED_READ, FAILED_READ, status=503)) == ()  # a retry, and the same class
    assert judged(base, failing(FAILED_READ, status=200)) == ("request 1: status 502 became 200",)
    # it remembered the answer: nothing failed, so it goes on to write
    assert judged(base, failing(POST_B, status=200)) == ()
    # a failing write that is not made is another matter
    assert judged(failing(FAILED_PUT, status=502), failing(status=200)) == ("request 1: status 502 became 200",)


def test_retries_of_idempotent_writes_alone_are_fine() -> None:
    base = failing(FAILED_PUT, status=502)
    assert judged(base, failing(FAILED_PUT, FAILED_PUT, FAILED_PUT, status=502)) == ()
    posted = failing(FAILED_POST, status=502)
    assert judged(posted, failing(FAILED_POST, FAILED_POST, FAILED_POST, status=502)) == (
        "request 1: repeated upstream write: POST crm/notes (2 times)",
    )
    assert judged(base, failing(FAILED_PUT, POST_B, status=502)) == (
        "request 1: additional upstream write: POST crm/notes",
    )


def test_a_late_attempt_at_what_failed_before_is_no_write_of_the_next_request() -> None:
    failed = call("POST", "/notes", 1, 2, '{"text": "hi"}', status=500)
    other = call("PUT", "/contacts/2", 0, 1, '{"score": 7}', status=500)
    one, two = exchange(PUT_A, failed, kind="upstream fails"), exchange(other, kind="upstream fails")

    def judged_both(*late: UpstreamCall) -> tuple[str, ...]:
        recording = Recording(observation(one, two), observation(one, two), Tape())
        return compare(recording, observation(one, exchange(other, *late, kind="upstream fails"))).differences

    assert judged_both(replace(PUT_A, start_s=3.0, end_s=4.0), replace(failed, start_s=5.0, end_s=6.0)) == ()
    assert judged_both(replace(PUT_A, body=b'{"score": 6}')) == (
        "request 1: additional upstream write: PUT crm/contacts/1",
    )
    done = call("POST", "/calls", 0, 1, "{}")
    assert judged_both(done) == ("request 1: additional upstream write: POST crm/calls",)


def test_an_error_that_comes_to_light_is_a_difference_unless_allowed() -> None:
    base, candidate = failing(FAILED_POST, status=200), failing(FAILED_POST, status=502)
    assert judged(base, candidate) == ("request 1: status 200 became 502",)
    assert judged(base, candidate, allow_surfaced_errors=True) == ()
    assert len(judged(candidate, base, allow_surfaced_errors=True)) == 1


@pytest.mark.parametrize(("before", "after", "alike"), [
    (401, 403, True), (401, 200, False), (401, 500, False), (200, 401, True), (200, 200, True),
])  # fmt: skip
def test_what_was_refused_stays_refused(before: int, after: int, alike: bool) -> None:
    base = exchange(status=before, kind="badly signed")
    assert (judged(base, exchange(status=after, kind="badly signed")) == ()) is alike


def test_calls_that_nobody_plays_and_requests_not_replayed_are_named() -> None:
    recording = Recording(observation(exchange()), observation(exchange()), Tape())
    outcome = compare(recording, observation(refused=["GET api.new.example/x"]))
    assert outcome.differences == ("request 1: was not replayed", "calls what nobody plays: GET api.new.example/x")
    assert outcome.identical == 0


ASKED = '{"model": "m", "messages": [{"role": "user", "content": "score lead 5"}]}'
QUESTION = replace(call("POST", "/v1/messages", 0, 1, ASKED), upstream="ai", effect="read")


def test_a_question_may_be_asked_less_often_but_not_be_another_one() -> None:
    base = exchange(QUESTION, POST_B)
    assert judged(base, exchange(POST_B)) == ()
    assert judged(base, exchange(QUESTION, replace(QUESTION, start_s=1.0, end_s=1.5), POST_B)) == ()
    other = replace(QUESTION, body=ASKED.replace("score", "mail").encode())
    assert judged(base, exchange(other, POST_B)) == ("request 1: asks another question: POST ai/v1/messages",)
    assert effect_of("POST", None, "/v1/messages", ASKED.encode()) == "read"
    assert effect_of("POST", "write", "/v1/messages", ASKED.encode()) == "write"
    assert effect_of("POST", None, "/conversations/messages", ASKED.encode()) == "write"


def test_a_failure_may_be_answered_well_where_the_event_is_kept_in_a_table_of_its_own() -> None:
    failed = exchange(PUT_A, status=502, kind="upstream fails")
    lost = exchange(PUT_A, status=200, kind="upstream fails")
    kept = replace(lost, kept_in=frozenset({"state/work.db jobs"}))
    recording = Recording(observation(failed), observation(failed), Tape())
    assert compare(recording, observation(lost)).differences == ("request 1: status 502 became 200",)
    assert compare(recording, observation(kept)).differences == ()
    assert compare(recording, observation(replace(kept, status=404))).differences != ()
    table = StoredTable(("event",), frozenset(), Counter())
    original = replace(observation(failed), stored_at_end=StoredState({"state/work.db jobs": table}, NOW))
    assert compare(Recording(original, original, Tape()), observation(kept)).differences == (
        "request 1: status 502 became 200",
    )
    bad_request = exchange(PUT_A, status=422, kind="upstream fails")
    assert judged(bad_request, kept) == ("request 1: status 422 became 200",)


def test_a_failing_normal_request_may_be_kept_too() -> None:
    failed = exchange(PUT_A, status=500)
    assert judged(failed, exchange(PUT_A)) == ("request 1: status 500 became 200",)
    assert judged(failed, replace(exchange(PUT_A), kept_in=frozenset({"work.db jobs"}))) == ()
