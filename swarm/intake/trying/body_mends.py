"""Gives a body what the service said that it lacks: fields by name, and values of another kind."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from swarm.config.schema import Webhook
from swarm.intake.values.examples import plausible

_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"
# the line of code that a traceback shows, and the marks below it that newer interpreters put there
_KEY_ERROR = re.compile(r"(?:^(?P<line>[^\n]*)\n(?:[ ~^]*\n)?)?^\s*KeyError: '(?P<key>[^']+)'", re.MULTILINE)
_WRONG_TYPE = re.compile(  # how Python and databases say that a text is none of a kind
    r"(?:invalid (?:input syntax for type|literal for)|could not convert string to|Invalid) (?P<kind>[\w ]+?)"
    r"(?:\(\) with base 10| string| format)?: [\\\"']+(?P<value>[^\"'\\]+)"
)
_OF_KIND: dict[str, Any] = {
    "int": 12, "numeric": 12, "double": 1.5, "float": 1.5, "real": 1.5, "decimal": 12, "bool": True,
    "timestamp": "{{now}}", "iso": "{{now}}", "date": "{{now}}", "uuid": "{{uuid}}",
}  # fmt: skip


class Answered(Protocol):
    """An event that was sent, and what came of it."""

    @property
    def status(self) -> int:
        """The answer's; 0 where there was none."""

    @property
    def body(self) -> bytes:
        """What was sent."""

    @property
    def answer(self) -> str:
        """The answer's text."""


def mended(webhook: Webhook, place: int, sent: Answered, log: str, read: Sequence[Any] = ()) -> Webhook | None:
    """The webhook with a body that has what was missed; None where the answer tells nothing.

    `read` are bodies with all that the code reads: a field that is missed goes where they have it.
    """
    if sent.status == 415 or (sent.status == 400 and "form" in sent.answer.lower() and webhook.content_type == _JSON):
        other = _FORM if webhook.content_type == _JSON else _JSON
        return None if sent.status != 415 else webhook.model_copy(update={"content_type": other})
    body = webhook.payloads[place]
    whole = copy.deepcopy(body)
    grown: Any = whole[0] if isinstance(whole, list) and whole else whole  # what lacks something is the event
    if not isinstance(grown, dict):
        return None
    changed = False
    if sent.status == 422:
        for loc, kind in _details(sent.answer):
            changed |= _put(whole, loc, kind)
    elif sent.status >= 400 and (wrong := _WRONG_TYPE.search(f"{sent.answer}\n{log}")):
        changed = _retyped(whole, sent.body, wrong["value"], wrong["kind"] or "")
    elif sent.status >= 400 and (told := _missing_key(f"{sent.answer}\n{log}")) is not None:
        inner = grown.get(told[0])
        if isinstance(inner, dict) and told[1] not in inner:
            inner[told[1]] = plausible(told[1])
            changed = True
        else:
            changed = _grow(grown, told[1], read)
    elif sent.status == 400:
        for name in _named_missing(sent.answer):
            changed |= _grow(grown, name, read)
    if not changed:
        return None
    payloads = list(webhook.payloads)
    payloads[place] = whole
    return webhook.model_copy(update={"payloads": payloads})


def _grow(grown: dict[str, Any], name: str, read: Sequence[Any]) -> bool:
    """Give a body a field where the code reads it, else at its top; False where it has it there already."""
    for body in read:
        if name not in body and _copied(grown, body, name):
            return True
    if name in grown:
        return False
    grown[name] = plausible(name)
    return True


def _copied(grown: Any, read: Any, name: str) -> bool:
    """Put a field into each table of a body that is one of those which have it in another."""
    if isinstance(grown, dict) and isinstance(read, dict):
        if name in read and name not in grown:
            grown[name] = copy.deepcopy(read[name])
            return True
        found = [_copied(grown[key], inner, name) for key, inner in read.items() if key in grown]
    elif isinstance(grown, list) and isinstance(read, list) and read:
        found = [_copied(item, read[0], name) for item in grown]
    else:
        found = []
    return any(found)


def _missing_key(text: str) -> tuple[str, str] | None:
    """The last key that was missed, after what the code calls the table that lacks it: `data["order"]`.

    An answer may hold its traceback too, in JSON or with its lines joined.
    """
    lines = text.replace("\\n", "\n").replace('\\"', '"')
    found = list(_KEY_ERROR.finditer(lines))
    if not found:
        return None
    key, line = found[-1]["key"], found[-1]["line"] or ""
    if re.search(rf"\.json\(\)\[[\"']{re.escape(key)}[\"']\]", line):
        return None  # an upstream's answer lacks it
    around = re.search(rf"(\w+)\[[\"']{re.escape(key)}[\"']\]", line)
    return (around[1] if around else "", key)


def _retyped(template: Any, body: bytes, value: str, kind: str) -> bool:
    """Put a value of the wanted kind where the sent body held the text that the service could not read."""
    word = next((word for word in _OF_KIND if word in kind.lower()), "")
    try:
        sent = json.loads(body)
    except ValueError:
        return False

    places = list(_places_of(value, sent, template)) if word else []
    counting = [place for place in places if re.search(r"value|amount|total|count|number|price", str(place[1]))]
    for holder, key in counting or places:
        holder[key] = _OF_KIND[word]
    return bool(places)


def _places_of(value: str, sent: Any, template: Any) -> Iterator[tuple[Any, Any]]:
    """Where in the template of a body the sent one held a text: each a container and the key in it."""
    pairs = sent.items() if isinstance(sent, dict) else enumerate(sent) if isinstance(sent, list) else ()
    for key, inner in pairs:
        there = key in template if isinstance(template, dict) else isinstance(template, list) and key < len(template)
        if there and isinstance(inner, str) and inner == value:
            yield template, key
        elif there:
            yield from _places_of(value, inner, template[key])


def _named_missing(answer: str) -> list[str]:
    """Fields that an answer in words says are missing: `Missing field: order_id`, `'sku' is required`."""
    found = re.findall(r"[Mm]issing[^:'\"]{0,40}[:'\" ]+\s*['\"]?([A-Za-z_]\w*)", answer)
    found += re.findall(r"['\"]?([A-Za-z_]\w*)['\"]? (?:is|are) (?:required|missing)", answer)
    return [
        name
        for name in found
        if name.lower() not in ("field", "fields", "required", "signature", "header", "it", "body")
    ]


def _details(answer: str) -> list[tuple[list[str | int], str]]:
    """Places and kinds of the mistakes in FastAPI's answer to a body that does not validate."""
    try:
        details = json.loads(answer).get("detail", [])
    except (ValueError, AttributeError):
        return []
    if not isinstance(details, list):
        return []
    found = []
    for item in details:
        loc = item.get("loc", []) if isinstance(item, dict) else []
        if len(loc) > 1 and loc[0] == "body":
            kind = str(item.get("type", ""))
            word = re.match(r"(?:type_error\.)?(int|float|bool|string|str|dict|list|integer)", kind)
            names = {"string": "str", "integer": "int"}
            expected = (item.get("ctx") or {}).get("expected", "")
            chosen = re.match(r"'([^']+)'", str(expected))
            found.append((list(loc[1:]), f"={chosen[1]}" if chosen else names.get(word[1], word[1]) if word else ""))
    return found


def _put(body: Any, loc: list[str | int], kind: str) -> bool:
    """Set a value at a place; False where the place does not exist and cannot be made."""
    at: Any = body
    for part in loc[:-1]:
        if isinstance(at, dict) and isinstance(part, str):
            at = at.setdefault(part, {})
        elif isinstance(at, list) and isinstance(part, int) and part < len(at):
            at = at[part]
        else:
            return False
    last = loc[-1]
    value: Any = kind[1:] if kind.startswith("=") else plausible(str(last), kind)
    if isinstance(at, dict) and isinstance(last, str) and at.get(last) != value:
        at[last] = value
        return True
    return False
