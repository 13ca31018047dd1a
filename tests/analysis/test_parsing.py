"""Parsing beside other threads: what CPython takes for nested too deep is parsed again, real mistakes are told."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from swarm.analysis.reading import parsing


def failing(times: int) -> Any:
    """`ast.parse` that is disturbed so often."""
    left, parse = [times], ast.parse

    def disturbed(*given: Any, **options: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise SystemError("AST constructor recursion depth mismatch (before=33, after=29)")
        return parse(*given, **options)

    return disturbed


def test_a_disturbed_parse_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ast, "parse", failing(4))
    assert isinstance(parsing.parse_module("a = 1").body[0], ast.Assign)
    monkeypatch.undo()
    monkeypatch.setattr(ast, "parse", failing(5))
    with pytest.raises(SystemError):
        parsing.parse_expression("a")


def test_mistakes_of_the_text_are_told() -> None:
    with pytest.raises(SyntaxError):
        parsing.parse_module("def")
    assert isinstance(parsing.parse_expression("a | None"), ast.BinOp)
