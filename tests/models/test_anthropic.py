from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from swarm.core.chat import (
    Conversation,
    Message,
    ModelFailed,
    Opaque,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
    TurnLimits,
    Usage,
)
from swarm.core.chat_codec import turn_of, turn_record
from swarm.models.anthropic import AnthropicModel
from tests.strict_server import Break, Raw, Refuse, Say, Script, StrictServer, text, thinking, tool_use

TOOL = ToolSpec("probe", "probes", {"type": "object", "properties": {}})
START = Conversation("a", "claude-sonnet-5-5", "You are a test.", (Message("user", (Text("go"),)),))


async def _turn(*script: Script, conversation: Conversation = START, limits: TurnLimits | None = None):
    server = StrictServer(*script)
    async with server.running():
        model = AnthropicModel(server.environ(), stall_s=0.5)
        try:
            turn = await model.next_turn(conversation, [TOOL], limits or TurnLimits(deadline_s=10))
        finally:
            await model.close()
    assert server.mistakes == []
    return turn, server


async def test_maps_blocks_stop_reason_and_all_four_kinds_of_tokens():
    usage = {
        "input_tokens": 11,
        "output_tokens": 9,
        "cache_read_input_tokens": 300,
        "cache_creation_input_tokens": 40,
    }
    turn, server = await _turn(
        Say([thinking("hm", "s1"), text("Look."), tool_use("t1", "probe", {"a": [1, "é"]})], "tool_use", usage)
    )
    assert turn.blocks == (
        Opaque({"type": "thinking", "thinking": "hm", "signature": "s1"}),
        Text("Look."),
        ToolCall("t1", "probe", {"a": [1, "é"]}),
    )
    assert turn.stop_reason == "tool_use"
    used = turn.usage
    assert (used.input_tokens, used.output_tokens, used.cache_read_tokens, used.cache_write_tokens) == (
        11,
        9,
        300,
        40,
    )
    assert used.context_tokens == 351 and not used.estimated
    assert turn.model == "claude-sonnet-5-5"
    request = server.requests[0]
    assert "cache_control" in request["system"][-1] and "cache_control" in request["tools"][-1]
    assert request["stream"] is True


async def test_thinking_and_parallel_results_go_back_unchanged_in_one_message():
    said = (
        Opaque({"type": "thinking", "thinking": "hm", "signature": "s1"}),
        ToolCall("t1", "probe", {}),
        ToolCall("t2", "probe", {}),
    )
    answers = (Text("two turns are left"), ToolResult("t2", "no", True), ToolResult("t1", ""))
    turn, server = await _turn(
        Say([text("ok")]), conversation=START.plus(Message("assistant", said)).plus(Message("user", answers))
    )
    assert turn.text == "ok"
    sent = server.requests[0]["messages"]
    assert sent[1]["content"][0] == {"type": "thinking", "thinking": "hm", "signature": "s1"}
    assert [block["type"] for block in sent[2]["content"]] == ["tool_result", "tool_result", "text"]
    assert sent[2]["content"][0]["is_error"] is True


@pytest.mark.parametrize(
    ("step", "retryable", "words"),
    [
        (Refuse(429, "rate_limit_error", {"retry-after": "7"}), True, "429"),
        (Refuse(529, "overloaded_error"), True, "529"),
        (Refuse(500, "api_error"), True, "500"),
        (Refuse(400, "invalid_request_error"), False, "invalid_request_error"),
        (Refuse(404, "not_found_error"), False, "404"),
        (Break("error", "overloaded_error"), True, "overloaded_error"),
        (Break("error", "invalid_request_error"), False, "invalid_request_error"),
        (Break("drop"), True, "connection"),
        (Break("end"), True, "before the turn was whole"),
        (Break("stall"), True, "connection"),
    ],
    ids=str,
)
async def test_every_failure_is_a_model_failed(step: Script, retryable: bool, words: str):
    with pytest.raises(ModelFailed) as caught:
        await _turn(step)
    assert caught.value.retryable is retryable
    assert words in str(caught.value)
    if isinstance(step, Refuse) and step.headers:
        assert caught.value.retry_after_s == 7.0


async def test_the_turns_deadline_ends_a_stall_of_its_own():
    with pytest.raises(ModelFailed, match=r"within 0\.2 s") as caught:
        await _turn(Break("stall"), limits=TurnLimits(deadline_s=0.2))
    assert caught.value.retryable


async def test_a_bad_key_is_not_retried_and_not_shown():
    server = StrictServer()
    async with server.running():
        model = AnthropicModel(server.environ(key="wrong-key-123"))
        with pytest.raises(ModelFailed, match="401") as caught:
            await model.next_turn(START, [TOOL], TurnLimits(deadline_s=10))
        await model.close()
    assert not caught.value.retryable
    assert "wrong-key-123" not in str(caught.value)


async def test_no_server_and_no_key_are_failures_too():
    model = AnthropicModel({"ANTHROPIC_BASE_URL": "http://127.0.0.1:9", "ANTHROPIC_API_KEY": "k"})
    with pytest.raises(ModelFailed) as caught:
        await model.next_turn(START, [TOOL], TurnLimits(deadline_s=10))
    assert caught.value.retryable
    await model.close()
    with pytest.raises(ModelFailed, match="ANTHROPIC_API_KEY"):
        await AnthropicModel({}).next_turn(START, [TOOL], TurnLimits(deadline_s=10))


async def test_half_a_call_at_max_tokens_is_told_by_the_stop_reason():
    turn, _ = await _turn(Say([tool_use("t1", "probe", {"long": "x" * 50})], "max_tokens", cut_json=True))
    assert turn.stop_reason == "max_tokens"


@pytest.mark.parametrize(
    ("details", "why"),
    [
        ({"type": "refusal", "category": "cyber", "explanation": "It may help\ud800."}, "cyber: It may help?."),
        ({"type": "refusal", "category": None, "explanation": None}, ""),
        ({"category": ["of", "another"], "explanation": 7}, ""),
        (None, ""),
    ],
)
async def test_why_a_model_refused_is_told_and_kept(details: dict[str, Any] | None, why: str):
    turn, _ = await _turn(Say([text("No.")], "refusal", details=details))
    assert (turn.stop_reason, turn.why) == ("refusal", why)
    assert turn_of(turn_record("a", 1, turn, str)) == turn


@pytest.mark.parametrize("module", ["swarm.models.choose", "swarm.tools.registry", "swarm.agents.specialist"])
def test_importing_these_does_not_import_the_sdk(module: str):
    code = f"import {module}, sys; import swarm.models.anthropic; sys.exit('anthropic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0


async def test_a_thought_that_was_cut_off_is_not_kept():
    turn, _ = await _turn(Say([thinking("hm and", ""), text("Well")], "max_tokens"))
    assert turn.blocks == (Text("Well"),)


def _event(name: str, data: str) -> bytes:
    return f"event: {name}\ndata: {data}\n\n".encode()


MESSAGE = (
    '{"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "model": "m", '
    '"content": [], "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}}}'
)
DELTA = '{"type": "content_block_delta", "index": 7, "delta": {"type": "text_delta", "text": "x"}}'
STOP = _event("message_stop", '{"type": "message_stop"}')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>a proxy's page</body></html>",
        _event("message_start", "{not json") + STOP,
        _event("message_start", "[1, 2]") + STOP,
        _event("message_start", MESSAGE) + _event("content_block_delta", DELTA) + STOP,
        _event("content_block_delta", DELTA) + STOP,
        _event("message_start", MESSAGE) + STOP,
        _event("message_start", MESSAGE) + b"event: content_block_sta",
        b"\xff\xfe\x00" * 50,
        STOP,
    ],
    ids=["empty", "page", "no-json", "no-object", "unknown-block", "no-start", "no-reason", "torn", "binary", "stop"],
)
@pytest.mark.parametrize("content_type", ["text/event-stream", "application/json", "text/html"])
async def test_answers_that_are_none_are_model_failures_and_may_be_asked_again(body: bytes, content_type: str):
    with pytest.raises(ModelFailed) as caught:
        await _turn(Raw(body, content_type))
    assert caught.value.retryable
    assert "\n" not in str(caught.value)


def _call(block: str, *parts: str) -> bytes:
    grown = '{"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": %s}}'
    deltas = [grown % part for part in parts]
    begun = f'{{"type": "content_block_start", "index": 0, "content_block": {block}}}'
    ended = '{"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": -900}}'
    told = [_event("message_start", MESSAGE), _event("content_block_start", begun)]
    told += [_event("content_block_delta", delta) for delta in deltas]
    return b"".join([*told, _event("message_delta", ended), STOP])


PROBE = '{"type": "tool_use", "id": "t", "name": "probe", "input": {}}'


@pytest.mark.parametrize(
    "block",
    ['{"type": "tool_use", "id": "t", "name": ["probe"], "input": {}}',
     '{"type": "tool_use", "id": 7, "name": "probe", "input": {}}',
     '{"type": "tool_use", "id": "", "name": "probe", "input": {}}'],
)  # fmt: skip
async def test_a_call_that_cannot_be_answered_is_no_turn(block: str):
    with pytest.raises(ModelFailed, match="not of the Messages API") as caught:
        await _turn(Raw(_call(block)))
    assert caught.value.retryable


@pytest.mark.parametrize(
    "arguments", ['{"a": NaN}', '{"a": -Infinity}', '{"a":' * 5_000 + "1" + "}" * 5_000, "[1]", "{'a': 1}"], ids=len
)
async def test_arguments_that_are_no_json_of_use_are_kept_as_words(arguments: str):
    turn, _ = await _turn(Raw(_call(PROBE, json.dumps(arguments))))
    (call,) = turn.tool_calls
    assert call.arguments == {"unparsable": arguments}
    assert turn.usage.output_tokens == 0  # no count below nothing gives a budget anything back


async def test_half_characters_are_made_whole():
    turn, _ = await _turn(Raw(_call(PROBE, json.dumps('{"a\\ud800": ["\\udfff", "\\ud83e\\udd8a"]}'))))
    assert turn.tool_calls[0].arguments == {"a?": ["?", "🦊"]}


async def test_a_server_that_counts_no_tokens_is_estimated():
    body = _call(PROBE).replace(b'"input_tokens": 1, "output_tokens": 1', b'"input_tokens": 0, "output_tokens": 0')
    turn, _ = await _turn(Raw(body))
    assert turn.usage.estimated and turn.usage.context_tokens > 5 and turn.usage.output_tokens > 0


async def test_what_a_broken_turn_took_is_told_with_the_failure():
    with pytest.raises(ModelFailed) as caught:
        await _turn(Break("drop"))
    assert (caught.value.usage.input_tokens, caught.value.usage.output_tokens) == (20, 1)
    with pytest.raises(ModelFailed) as caught:
        await _turn(Refuse(529, "overloaded_error"))
    assert caught.value.usage == Usage()


async def test_a_whole_turn_does_not_wait_for_a_connection_that_stays_open():
    turn, _ = await _turn(Say([text("done")], lingers_s=30), limits=TurnLimits(deadline_s=5))
    assert turn.text == "done"


async def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("swarm.models.anthropic._MOST_BYTES", 10_000)
    with pytest.raises(ModelFailed, match="more than 10,000 bytes") as caught:
        await _turn(Raw(b": ping\n\n" * 5_000))
    assert not caught.value.retryable


async def test_tokens_are_counted_by_the_server_with_what_a_turn_would_send():
    told = START.plus(Message("assistant", (Text("so"),))).plus(Message("user", (Text("and?"),)))
    server = StrictServer(Say([text("hello")]), counts=lambda body: len(json.dumps(body)) // 4)
    async with server.running():
        model = AnthropicModel(server.environ())
        counted = await model.count_tokens(told, [TOOL])
        await model.next_turn(told, [TOOL], TurnLimits(deadline_s=10))
        await model.close()
    assert server.mistakes == []
    (asked,), (sent,) = server.counted, server.requests
    assert counted == len(json.dumps(asked)) // 4
    assert [asked[key] for key in ("model", "system", "tools")] == [sent[key] for key in ("model", "system", "tools")]
    assert [one["role"] for one in asked["messages"]] == [one["role"] for one in sent["messages"]]


@pytest.mark.parametrize(
    ("counts", "asked_again"),
    [
        (None, False),
        (lambda body: Refuse(529, "overloaded_error"), True),
        (lambda body: Refuse(401, "authentication_error"), False),
        (lambda body: -1, False),
    ],
    ids=["not-known", "busy", "refused", "no-number"],
)
async def test_a_count_that_is_not_to_be_had_is_none(counts: Any, asked_again: bool):
    server = StrictServer(counts=counts)
    async with server.running():
        model = AnthropicModel(server.environ())
        assert await model.count_tokens(START, [TOOL]) is None
        before = len(server.counted)
        assert await model.count_tokens(START, [TOOL]) is None
        assert (len(server.counted) > before) is asked_again
        await model.close()


async def test_a_count_without_a_server_or_a_key_is_none():
    for environ in ({"ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}, {}):
        model = AnthropicModel(environ)
        assert await model.count_tokens(START, [TOOL]) is None
        await model.close()


async def test_headers_of_the_users_own_are_sent(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "X-Team: platform")
    _, server = await _turn(Say([text("hello")]))
    assert server.headers[0]["x-team"] == "platform"
    assert server.headers[0]["authorization"] == "Bearer test-key"
    assert server.headers[0]["user-agent"].startswith("AsyncAnthropic/")


@pytest.mark.parametrize(
    ("headers", "wish_s"),
    [
        ({"retry-after": "Wed, 25 Nov 2026 10:00:30 GMT", "date": "Wed, 25 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 25 Nov 2026 09:00:00 GMT", "date": "Wed, 25 Nov 2026 10:00:00 GMT"}, 0.0),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
async def test_how_long_a_provider_asks_to_wait(headers: dict[str, str], wish_s: float | None):
    with pytest.raises(ModelFailed) as caught:
        await _turn(Refuse(429, "rate_limit_error", headers))
    assert caught.value.retry_after_s == wish_s


@pytest.mark.parametrize(
    "address", ["http://[::1", "not an address", "ftp://127.0.0.1", "http://", "http://127.0.0.1:99999"]
)
async def test_an_address_that_is_none_is_a_failure_and_no_bug(address: str):
    model = AnthropicModel({"ANTHROPIC_BASE_URL": address, "ANTHROPIC_API_KEY": "k"})
    with pytest.raises(ModelFailed):
        await model.next_turn(START, [TOOL], TurnLimits(deadline_s=5))
    await model.close()
