"""Bodies that grow by what a service answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from swarm.config.schema import Webhook
from swarm.intake.trying.body_mends import mended
from swarm.intake.trying.events import Sent
from swarm.intake.values.examples import plausible

_TEMPLATE = {"note": "value", "amount": {"value": "value"}, "at": "soon"}


def body_after(template: dict[str, Any], status: int, answer: str, log: str = "") -> Any:
    webhook = Webhook.model_validate({"path": "/hook", "payloads": [template]})
    sent = Sent(0, 0, status, json.dumps(template).encode(), answer)
    better = mended(webhook, 0, sent, log)
    return better.payloads[0] if better is not None else None


@pytest.mark.parametrize(
    "words",
    [
        'invalid input syntax for type integer: "value"',
        "ValueError: invalid literal for int() with base 10: 'value'",
        r"{\"error\": \"invalid input syntax for type integer: \\\"value\\\"\"}",
    ],
)
def test_text_where_a_number_belongs(words: str) -> None:
    found = body_after(_TEMPLATE, 500, words)
    assert found == {"note": "value", "amount": {"value": 12}, "at": "soon"}


def test_time_that_is_none() -> None:
    assert body_after(_TEMPLATE, 500, "", "ValueError: Invalid isoformat string: 'soon'")["at"] == "{{now}}"


def test_answer_that_tells_nothing() -> None:
    assert body_after(_TEMPLATE, 500, "Internal Server Error") is None
    assert body_after(_TEMPLATE, 500, 'invalid input syntax for type integer: "other"') is None


def test_key_that_is_missed() -> None:
    assert body_after({}, 500, "", "KeyError: 'email'") == {"email": "{{uuid}}@example.com"}


@pytest.mark.parametrize("told", [
    """  File "x.py", line 3, in cancel\n    jobs = find(data["order"])\n           ~~~~^^^^^^^\nKeyError: 'order'""",
    """  File "x.py", line 3, in cancel\n    jobs = find(data['order'])\nKeyError: 'order'\n""",
])  # fmt: skip
def test_key_is_put_into_the_table_that_lacks_it(told: str) -> None:
    grown = {"event": "cancelled", "data": {"order": plausible("order")}}
    assert body_after({"event": "cancelled", "data": {}}, 500, json.dumps({"error": told})) == grown
    assert body_after({"event": "cancelled", "data": {}}, 500, "", told) == grown


def test_key_that_an_upstream_s_answer_lacks_is_none_of_the_event_s() -> None:
    assert body_after({"a": 1}, 500, "", """    return r.json()["cents"]\nKeyError: 'cents'""") is None


def test_field_that_is_missed_goes_where_the_code_reads_it() -> None:
    read = [{"event": "done", "payload": {"files": [{"id": "{{uuid}}", "kind": "text"}]}}]
    template = {"event": "done", "payload": {"files": [{"kind": "text"}, {"kind": "image"}]}}
    webhook = Webhook.model_validate({"path": "/hook", "payloads": [template]})
    sent = Sent(0, 0, 400, json.dumps(template).encode(), """{"detail": "Missing data in webhook: 'id'"}""")
    better = mended(webhook, 0, sent, "", read)
    assert better is not None
    assert better.payloads[0] == {
        "event": "done",
        "payload": {"files": [{"kind": "text", "id": "{{uuid}}"}, {"kind": "image", "id": "{{uuid}}"}]},
    }  # fmt: skip
    assert webhook.payloads[0] == template
