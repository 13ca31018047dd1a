"""Lays a mask over every string of a value: of an event or a report, however deep it lies."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
MASKED = "«masked»"  # stands where a known secret stood


def masked(value: T, mask: Callable[[str], str], *, untouched: tuple[type, ...] = ()) -> T:
    """`value` with `mask` laid over its strings, through dataclasses, tuples, lists and dicts.

    What is an instance of `untouched` stays as it is. Pure: the value handed in is not changed.
    """
    result: T = _walk(value, mask, untouched)
    return result


def _walk(value: Any, mask: Callable[[str], str], untouched: tuple[type, ...]) -> Any:
    if isinstance(value, untouched):
        return value
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, (tuple, list)):
        return type(value)(_walk(item, mask, untouched) for item in value)
    if isinstance(value, dict):
        return {_walk(key, mask, untouched): _walk(item, mask, untouched) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _walk(getattr(value, f.name), mask, untouched) for f in dataclasses.fields(value)}
        return type(value)(**fields)
    return value
