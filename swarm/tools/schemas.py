"""A pydantic model as the JSON schema that a model reads: as short as it can be and still be right.

Every agent carries its schemas through every turn. What only bounds a value from above is left out: the arguments
are checked when they come, and a model that passes such a bound is told.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

_CHECKED_ANYHOW = frozenset({"title", "maxLength", "maxItems"})


def input_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Of type object, without references."""
    whole = model.model_json_schema()
    short: dict[str, Any] = _short(whole, whole.get("$defs", {}))
    short.setdefault("properties", {})
    short.pop("description", None)
    if whole.get("additionalProperties") is False:
        short["additionalProperties"] = False  # once: that no other keys are taken holds further in as well
    return short


def _short(schema: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """One schema (not the mapping of its properties)."""
    if "$ref" in schema:
        named = {key: item for key, item in defs[schema["$ref"].rpartition("/")[2]].items() if key != "description"}
        return _short({**named, **{key: item for key, item in schema.items() if key != "$ref"}}, defs)
    kinds = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    if len(kinds) == 1:  # may be left out, which is what null means here
        return _short({**kinds[0], **{key: item for key, item in schema.items() if key != "anyOf"}}, defs)
    found: dict[str, Any] = {}
    for key, item in schema.items():
        if key in _CHECKED_ANYHOW or key in ("$defs", "additionalProperties") or (key == "default" and not item):
            continue
        if key == "properties":
            found[key] = {name: _short(one, defs) for name, one in item.items()}
        elif isinstance(item, dict):
            found[key] = _short(item, defs)
        else:
            found[key] = [_short(one, defs) for one in item] if key == "anyOf" else item
    if isinstance(schema.get("additionalProperties"), dict):  # a mapping: the kind of its values
        found["additionalProperties"] = _short(schema["additionalProperties"], defs)
    return found
