"""What methods make of what they are called on: items added to a list, a parser told to follow entities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from swarm.analysis.dataflow import library
from swarm.analysis.dataflow.values import UNKNOWN, Value, container, derived, with_item

_EXTERNAL = ("feature_external_ges", "feature_external_pes")


def changed_by(name: str, receiver: Value, arguments: Sequence[Value], keywords: Mapping[str, Value]) -> Value | None:
    """The object after a method; None where it stays as it is."""
    if receiver.kind.startswith("xml.sax.parser"):
        return _parser_after(name, arguments)
    if receiver.kind == "configparser":
        if name != "set" or len(arguments) != 3:
            return None
        items = {**(receiver.items or {}), (arguments[0].constant, arguments[1].constant): arguments[2]}
        return container("dict", items)._replace(kind="configparser")
    if receiver.shape == "list" and receiver.items is not None:
        return _list_after(name, receiver, arguments)
    if receiver.shape == "dict" and name in ("update", "setdefault"):
        return _dict_after(name, receiver, arguments, keywords)
    if name in library.ABSORBING and receiver.kind not in ("session", "file"):
        taints = derived(receiver, *arguments, *keywords.values()).taints
        if len(taints) != len(receiver.taints):
            return receiver._replace(taints=taints, constants=None, text=None)
    return None


def _parser_after(name: str, arguments: Sequence[Value]) -> Value | None:
    if name != "setFeature" or len(arguments) < 2:
        return None
    is_external = arguments[0].dotted.endswith(_EXTERNAL) and arguments[1].constant in (True, 1)
    return Value(kind="xml.sax.parser:external") if is_external else None


def _dict_after(
    name: str, receiver: Value, arguments: Sequence[Value], keywords: Mapping[str, Value]
) -> Value | None:
    if name == "setdefault":
        return with_item(receiver, arguments[0], arguments[-1]) if arguments else None
    more = arguments[0] if arguments else UNKNOWN
    if more.items is not None and receiver.items is not None:
        return container("dict", {**receiver.items, **dict(more.items), **dict(keywords)}, receiver)
    return container("dict", receiver.items or {}, derived(receiver, more, *keywords.values()))


def _list_after(name: str, receiver: Value, arguments: Sequence[Value]) -> Value | None:
    items = list((receiver.items or {}).values())
    if name == "append" and arguments:
        return container("list", dict(enumerate([*items, arguments[0]])), receiver if not items else UNKNOWN)
    if name == "pop" and items:
        place = arguments[0].constant if arguments else -1
        if isinstance(place, int) and -len(items) <= place < len(items):
            del items[place]
            return container("list", dict(enumerate(items)))
    if name == "insert" and len(arguments) == 2 and isinstance(arguments[0].constant, int):
        items.insert(arguments[0].constant, arguments[1])
        return container("list", dict(enumerate(items)))
    if name == "extend" and arguments and arguments[0].items is not None and arguments[0].shape == "list":
        return container("list", dict(enumerate([*items, *arguments[0].items.values()])))
    if name == "clear":
        return container("list", {})
    if name in ("append", "extend", "insert", "pop", "remove", "reverse", "sort"):
        return Value(taints=derived(receiver, *arguments).taints, shape="list")
    return None
