"""What is read by a key, however that is written; writes and other calls are none."""

from __future__ import annotations

import ast

import pytest

from swarm.analysis.reading.keyed import keyed_read


@pytest.mark.parametrize(
    ("text", "methods", "read"),
    [
        ("request.headers['X-Id']", (), ("request.headers", "'X-Id'")),
        ("request.headers.get('X-Id')", (), ("request.headers", "'X-Id'")),
        ("headers.get(NAME, '')", (), ("headers", "NAME")),
        ("args.getlist('q')", ("get", "getlist"), ("args", "'q'")),
        ("args.getlist('q')", (), None),
        ("args.get()", (), None),
        ("get('q')", (), None),
        ("args.q", (), None),
    ],
)
def test_owner_and_key(text: str, methods: tuple[str, ...], read: tuple[str, str] | None) -> None:
    found = keyed_read(ast.parse(text, mode="eval").body, *methods)
    assert (found and tuple(map(ast.unparse, found))) == read


def test_a_write_is_no_read() -> None:
    (assign,) = ast.parse("headers['X-Id'] = 1").body
    assert isinstance(assign, ast.Assign) and keyed_read(assign.targets[0]) is None
