"""Calls that ship a log, and those that only look like it."""

from __future__ import annotations

import json

import pytest

from swarm.core.log_records import hands_over_log
from swarm.target.upstream.calls import effect_of

_RECORD = {"level": "INFO", "message": "taken", "logger_name": "desk", "line_number": 604, "timestamp": "now"}


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/rest/v1/server_logs", [_RECORD, {**_RECORD, "levelname": "x"}]),
        ("/ingest", {"levelname": "INFO", "msg": "x", "funcName": "hook"}),
        ("/api/4/envelope/", {}),
        ("/loki/api/v1/push", {"streams": []}),
    ],
)
def test_log_records_change_nothing(path: str, sent: object) -> None:
    body = json.dumps(sent).encode()
    assert hands_over_log("POST", path, body)
    assert effect_of("POST", None, path, body) == "read"


@pytest.mark.parametrize(
    "sent",
    [
        {"message": "hello", "to": "+1"},
        {"level": "gold", "message": "upgraded"},  # no place in any code
        [_RECORD, {"message": "hello"}],
        [],
        "text",
    ],
)
def test_messages_are_writes(sent: object) -> None:
    body = json.dumps(sent).encode()
    assert not hands_over_log("POST", "/messages", body)
    assert effect_of("POST", None, "/messages", body) == "write"


def test_declared_effect_wins() -> None:
    assert effect_of("POST", "write", "/loki/api/v1/push", b"{}") == "write"
    assert not hands_over_log("PUT", "/loki/api/v1/push", b"{}")
