"""Examples of values, by their shape or by what a field's name suggests; {{…}} is filled anew for every request."""

from __future__ import annotations

import re
from typing import Any

from swarm.intake.values.shapes import Shape

_CHOICES = 6
_SEVERAL = 3  # what is done for each of them shows
_USUALLY_SEVERAL = re.compile(
    r"(^|_)(items|lines|products|positions|tickets|seats|parcels|articles|rows|results|records|contacts|orders)$",
    re.IGNORECASE,
)
_NAMES_SOMEBODY = re.compile(r"(^|_)(id|email|phone|token)$|Id$")  # what these are compared with is an exception
_BY_NAME: tuple[tuple[str, Any], ...] = (
    (r"e_?mail", "{{uuid}}@example.com"),
    (r"phone|mobile|msisdn|^from$|^to$|wa_id", "+15555550100"),
    (r"(^|_)(amount|total|price|subtotal|fee|balance|cost|cents|pence)(_|$|cents)", 1250),
    (r"(^|_)(left|stock|available|remaining|in_stock|on_hand|weight|points|credits|capacity)$", 12),
    (r"(^|_)(duration|minutes|seconds|hours|days)$", 12),
    (r"(^|_)(rate|ratio|percent(age)?|probability|confidence|latitude|longitude|lat|lng|lon)$", 0.5),
    (r"(^|_)(count|qty|quantity|number|size|length|score|age|page|limit|offset|index|version|port|retries)$", 2),
    (r"currency", "USD"),
    (r"country", "US"),
    (r"time_?zone", "UTC"),
    (r"(^|_)(timestamp|ts)$", 1700000000),
    (r"^at$|(_at|_on|date|time|_until|starts?|ends?|expires?)$", "{{now}}"),
    (r"url|link|href|uri$", "https://example.com/path"),
    (r"^(is|has|can|should|was)_|enabled|active|verified|success|^ok$|livemode", True),
    (r"first_?name", "Ada"),
    (r"last_?name|surname", "Example"),
    (r"name$|^(recipient|customer|sender|buyer)$", "Ada Example"),
    (r"(^|_)(sha|commit|hash|digest)$", "0123456789abcdef0123456789abcdef01234567"),
    (r"^ref$|branch", "refs/heads/main"),
    (r"(^|_)(id|uuid|guid|key|sku|reference|number|token|nonce)$|Id$|ID$", "{{uuid}}"),
    (r"status|state", "active"),
    (r"(^|_)(type|event|action|kind|topic)$", "created"),
    (r"text|body|message|content|description|comment|title|subject|note", "hello from a test"),
    (r"reason|summary|query|prompt", "hello from a test"),
    (r"items|lines|list|entries|events|alerts|records|changes|commits|messages|tags|labels$", []),
    (r"metadata|attributes|payload|data|properties|params|headers|annotations|details|context|custom", {}),
)  # fmt: skip


def plausible(name: str, kind: str = "") -> Any:
    """A value for a field: of its type where one is known, and as its name suggests."""
    spelled = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()  # merchantReference as merchant_reference
    suggested = next((value for p, value in _BY_NAME if re.search(p, name) or re.search(p, spelled)), "value")
    wanted = {"int": int, "float": (int, float), "bool": bool, "str": str, "dict": dict, "list": list}.get(kind)
    if wanted is None or (isinstance(suggested, wanted) and isinstance(suggested, bool) == (kind == "bool")):  # type: ignore[arg-type]
        return suggested
    if kind == "int":
        return "{{int:1:500}}" if re.search(r"id$|Id$", name) else 2
    return {"float": 1.5, "bool": True, "str": "value", "dict": {}, "list": []}[kind]


def example_of(shape: Shape, name: str = "") -> Any:
    """A value of this shape, its own choice first, else what its name suggests."""
    if shape.fields:
        return {key: example_of(value, key) for key, value in shape.fields.items()}
    if shape.items is not None and shape.kind != "str":
        count = _SEVERAL if _USUALLY_SEVERAL.search(name) and shape.items.fields else 1
        return [example_of(shape.items, name.rstrip("s")) for _ in range(count)]
    if shape.choices and not _NAMES_SOMEBODY.search(name):
        return shape.choices[0]
    return plausible(name, shape.kind)


def variants_of(shape: Shape) -> list[Any]:
    """Examples that differ in the field which the code decides by, at most six; one where there is none."""
    chosen = _deciding(shape)
    if chosen is None:
        return [example_of(shape)]
    found = []
    for choice in list(chosen.choices)[:_CHOICES]:
        chosen.choices.remove(choice)
        chosen.choices.insert(0, choice)
        found.append(example_of(shape))
    return found


def _deciding(shape: Shape) -> Shape | None:
    named = [
        s for name, s in shape.fields.items() if name in ("type", "event", "action", "event_type", "kind", "topic")
    ]
    others = [inner for name, inner in shape.fields.items() if not _NAMES_SOMEBODY.search(name)]
    for candidate in [*named, *others]:
        if len(candidate.choices) > 1:
            return candidate
    return next((inner for s in shape.fields.values() if (inner := _deciding(s)) is not None), None)
