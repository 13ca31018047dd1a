"""What counts as a question to a model."""

from __future__ import annotations

import json

import pytest

from swarm.core.model_calls import instructions, is_question

ASKED = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()


@pytest.mark.parametrize(
    "path",
    ["/v1/messages", "/v1/chat/completions", "/openai/chat/completions", "/v1/responses", "/api/chat",
     "/v1beta/models/gemini-pro:generateContent"],
)  # fmt: skip
def test_a_model_apis_paths_with_an_input_are_questions(path: str) -> None:
    body = ASKED.replace(b"messages", b"input") if path.endswith("responses") else ASKED
    assert is_question("POST", path, body)
    assert not is_question("PUT", path, body)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/conversations/messages", ASKED),  # a CRM sends one there
        ("/v1/messages/batches", ASKED),
        ("/v1/messages", b'{"to": "+1", "text": "hi"}'),
        ("/v1/messages", b"not json"),
        ("/v1/messages", b"[1]"),
        ("/v1/messages", ASKED.replace(b'"model"', b'"tools": [1], "model"')),
        ("/v1/responses", b'{"input": "hi", "store": true}'),
    ],
)
def test_what_may_change_something_is_none(path: str, body: bytes) -> None:
    assert not is_question("POST", path, body)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"system": "You  score\\nleads."}', "You score leads."),
        (b'{"system": [{"type": "text", "text": "You"}, {"type": "text", "text": "coach."}]}', "You coach."),
        (
            b'{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]}',
            "Be brief.",
        ),
        (b'{"systemInstruction": {"parts": [{"text": "Be kind."}]}}', "Be kind."),
        (b'{"messages": [{"role": "user", "content": "Hi"}]}', ""),
        (b"no JSON", ""),
        (b"[]", ""),
    ],
)
def test_the_system_prompt_of_a_question_is_its_name(body: bytes, told: str) -> None:
    assert instructions(body) == told
