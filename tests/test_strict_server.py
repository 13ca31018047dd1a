"""The tests' own Messages API server, asked by the SDK's own client: what it takes, counts and refuses."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from tests.strict_server import KEY, Break, Refuse, Say, StrictServer, text, thinking, tool_use

WORDS: dict[str, Any] = {"model": "claude-sonnet-5-5", "messages": [{"role": "user", "content": "go"}]}
SAID = [thinking("hm"), text("so"), tool_use("t1", "look", {"at": ["x", 1]})]


def client(server: StrictServer, key: str = KEY) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(api_key=key, base_url=server.base_url, max_retries=0)


async def test_a_turn_is_the_same_in_one_piece_and_streamed():
    server = StrictServer(*[Say(SAID, "tool_use", {"input_tokens": 9, "output_tokens": 7})] * 2)
    async with server.running(), client(server) as sdk:
        whole = await sdk.messages.create(**WORDS, max_tokens=100)
        async with sdk.messages.stream(**WORDS, max_tokens=100) as stream:
            streamed = await stream.get_final_message()
    assert [block.model_dump(exclude_none=True) for block in whole.content] == SAID
    assert [block.model_dump(exclude_none=True) for block in streamed.content] == SAID
    assert (whole.stop_reason, whole.usage.output_tokens) == (streamed.stop_reason, streamed.usage.output_tokens)
    assert server.mistakes == []


async def test_a_broken_answer_in_one_piece_is_a_connection_that_ends():
    server = StrictServer(Break("drop"))
    async with server.running(), client(server) as sdk:
        with pytest.raises(anthropic.APIConnectionError):
            await sdk.messages.create(**WORDS, max_tokens=100)


async def test_tokens_are_counted_and_bounds_of_an_answer_refused():
    server = StrictServer(counts=lambda body: len(body["messages"]) * 10)
    async with server.running(), client(server) as sdk:
        assert (await sdk.messages.count_tokens(**WORDS)).input_tokens == 10
        for more in ({"max_tokens": 5}, {"temperature": 0.5}, {"tool_choice": {"type": "any"}}):
            with pytest.raises(anthropic.BadRequestError):
                await sdk.messages.count_tokens(**WORDS, extra_body=more)
        with pytest.raises(anthropic.AuthenticationError):
            await client(server, "another").messages.count_tokens(**WORDS)


async def test_a_server_that_does_not_count_says_so():
    for server, error in (
        (StrictServer(), anthropic.NotFoundError),
        (StrictServer(counts=lambda body: Refuse(429, "rate_limit_error")), anthropic.RateLimitError),
    ):
        async with server.running(), client(server) as sdk:
            with pytest.raises(error):
                await sdk.messages.count_tokens(**WORDS)
