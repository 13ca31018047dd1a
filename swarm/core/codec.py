"""Dataclasses to plain JSON values and back, by their type hints."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

T = TypeVar("T")


def encode(value: Any) -> Any:
    """Plain values: floats to seven significant digits, what is not finite as None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    if isinstance(value, float):
        return number(value)
    return value


def number(value: float | None) -> float | int | None:
    """A float rounded for a file; None where it is not finite."""
    if value is None or not math.isfinite(value):
        return None
    rounded = float(f"{value:.7g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def decode(kind: type[T], data: Any) -> T:
    """An instance of the dataclass `kind`; unknown keys are passed over, missing ones take their default.

    Raises ValueError where a value does not fit, naming its field.
    """
    if not isinstance(data, dict):
        raise ValueError(f"{kind.__name__}: expected an object, found {type(data).__name__}")
    hints = typing.get_type_hints(kind)
    fields = {f.name for f in dataclasses.fields(kind) if f.init}  # type: ignore[arg-type]
    values = {}
    for name in fields & data.keys():
        try:
            values[name] = _value(hints[name], data[name])
        except ValueError as error:
            raise ValueError(f"{kind.__name__}.{name}: {error}") from None
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"{kind.__name__}: {error}") from None


def _value(hint: Any, data: Any) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        options = get_args(hint)
        if data is None and type(None) in options:
            return None
        return _value(next(option for option in options if option is not type(None)), data)
    if origin is Literal:
        if data not in get_args(hint):
            raise ValueError(f"{data!r} is none of {', '.join(map(repr, get_args(hint)))}")
        return data
    if origin is tuple:
        return _tuple(get_args(hint), data)
    if dataclasses.is_dataclass(hint):
        return decode(typing.cast("type[Any]", hint), data)
    return _scalar(hint, data)


def _tuple(items: tuple[Any, ...], data: Any) -> tuple[Any, ...]:
    if not isinstance(data, list):
        raise ValueError(f"expected a list, found {type(data).__name__}")
    if len(items) == 2 and items[1] is Ellipsis:
        return tuple(_value(items[0], item) for item in data)
    if len(items) != len(data):
        raise ValueError(f"expected {len(items)} values, found {len(data)}")
    return tuple(_value(hint, item) for hint, item in zip(items, data, strict=True))


def _scalar(hint: Any, data: Any) -> Any:
    if hint is float:
        if data is None:
            return math.nan
        if isinstance(data, (int, float)) and not isinstance(data, bool):
            return float(data)
    elif hint is Any or (
        isinstance(hint, type) and isinstance(data, hint) and (hint is bool) == isinstance(data, bool)
    ):
        return data
    raise ValueError(f"{data!r} is no {getattr(hint, '__name__', hint)}")


def decode_as(hint: Any, data: Any) -> Any:
    """`data` as the type `hint`: a dataclass, a tuple of them, a scalar. Raises ValueError where it does not fit."""
    return _value(hint, data)
