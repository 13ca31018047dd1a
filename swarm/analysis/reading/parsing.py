"""Parses Python, one text at a time.

CPython 3.11 counts how deep `ast.parse` nests for all threads together: where another thread begins to parse in the
middle, the first ends in a SystemError ("recursion depth mismatch") though its text is fine.
"""

from __future__ import annotations

import ast
import threading
from collections.abc import Callable
from typing import TypeVar

_ONE_AT_A_TIME = threading.Lock()
_ATTEMPTS = 5  # what else parses in this process (bandit) does not ask for the lock
Tree = TypeVar("Tree")


def parse_module(text: str, filename: str = "<unknown>") -> ast.Module:
    """`ast.parse` of a file. Raises SyntaxError, ValueError, RecursionError and MemoryError as that does."""
    return _alone(lambda: ast.parse(text, filename=filename))


def parse_expression(text: str) -> ast.expr:
    """The expression that a text is. Raises as `ast.parse` does."""
    return _alone(lambda: ast.parse(text, mode="eval")).body


def _alone(parse: Callable[[], Tree]) -> Tree:
    for _ in range(_ATTEMPTS - 1):
        try:
            with _ONE_AT_A_TIME:
                return parse()
        except SystemError:
            continue
    with _ONE_AT_A_TIME:
        return parse()
