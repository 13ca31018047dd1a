"""Payload templates: read once, filled for every request with values that only seed and number decide."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlencode

from swarm.config.schema import BodyTemplate, Webhook
from swarm.core.errors import TargetError

_INT = r"int:(-?\d+):(-?\d+)"
# In JSON text a string that is one {{int:a:b}} and no key becomes a number.
_NUMBER = re.compile(rf'"\{{\{{{_INT}\}}\}}"(?!:)')
_PLACEHOLDER = re.compile(rf"\{{\{{(?:(uuid)|(now)|{_INT}|choice:([^{{}}]*))\}}\}}")
_WHOLE = re.compile(rf"(?:{_NUMBER.pattern})|(?:{_PLACEHOLDER.pattern})")
_FORM = "application/x-www-form-urlencoded"
Fill = Callable[[Random, float], str]


class InTurn(Random):
    """Chance, but that of every choice among values the `turn`-th is taken, from the first again after the last."""

    turn = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these values."""

    options: tuple[str, ...]

    def __call__(self, chance: Random, now_s: float) -> str:
        """As chance would have it, or in turn."""
        if isinstance(chance, InTurn):
            return self.options[chance.turn % len(self.options)]
        return chance.choice(self.options)


@dataclass(frozen=True, slots=True)
class Template:
    """A text cut at its placeholders: literals, and functions that give a value."""

    parts: tuple[str | Fill, ...]

    @property
    def widest(self) -> int:
        """How many values the placeholder chooses among that chooses among most; 1 where none does."""
        return max((len(part.options) for part in self.parts if isinstance(part, Choice)), default=1)

    def fill(self, chance: Random, now_s: float) -> str:
        """The text with every placeholder filled."""
        return "".join(part if isinstance(part, str) else part(chance, now_s) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Payload:
    """A body of one webhook: a text, or the pairs of a form."""

    body: Template | tuple[tuple[Template, Template], ...]

    @property
    def widest(self) -> int:
        """As of a template."""
        if isinstance(self.body, Template):
            return self.body.widest
        return max((one.widest for pair in self.body for one in pair), default=1)

    def encode(self, chance: Random, now_s: float) -> bytes:
        """The bytes of one request's body."""
        if isinstance(self.body, Template):
            return self.body.fill(chance, now_s).encode()
        pairs = [(name.fill(chance, now_s), value.fill(chance, now_s)) for name, value in self.body]
        return urlencode(pairs).encode()


def template(text: str, *, is_json: bool = False) -> Template:
    """Cut a text at its placeholders; what looks like one and is none stays as it is."""
    parts: list[str | Fill] = []
    end = 0
    for found in (_WHOLE if is_json else _PLACEHOLDER).finditer(text):
        parts += [text[end : found.start()], _fill_for(found, is_json)]
        end = found.end()
    return Template(tuple(part for part in (*parts, text[end:]) if part != ""))


def read_payloads(webhook: Webhook, root: Path) -> tuple[Payload, ...]:
    """The payloads of a webhook; `root` is what their file names count from.

    None declared: an empty object, or nothing where the method has no body. Raises TargetError on a file that
    is missing or is not JSON.
    """
    found = [payload for written in webhook.payloads for payload in _read(written, webhook, root)]
    if found:
        return tuple(found)
    bare = webhook.method.upper() in ("GET", "HEAD", "DELETE")
    return (Payload(Template(())),) if bare else (_encoded({}, webhook),)


def _read(written: BodyTemplate, webhook: Webhook, root: Path) -> Iterator[Payload]:
    if not isinstance(written, str):
        yield _encoded(written, webhook)
        return
    files = [root / written] if (root / written).is_file() else _matches(root, written)
    if not files:
        raise TargetError(f"webhook {webhook.path}: no payload file {written!r} below {root}")
    for file in files:
        yield _from_file(file, webhook)


def _matches(root: Path, pattern: str) -> list[Path]:
    try:
        return sorted(file for file in root.glob(pattern) if file.is_file())
    except (ValueError, NotImplementedError):
        return []


def _from_file(file: Path, webhook: Webhook) -> Payload:
    try:
        text = file.read_text(encoding="utf-8")
        return _encoded(json.loads(text), webhook) if file.suffix == ".json" else Payload(template(text))
    except (OSError, UnicodeDecodeError) as error:
        raise TargetError(f"webhook {webhook.path}: payload {file} cannot be read: {error}") from None
    except json.JSONDecodeError as error:
        raise TargetError(f"webhook {webhook.path}: payload {file}:{error.lineno} is not JSON: {error.msg}") from None


def _encoded(value: Any, webhook: Webhook) -> Payload:
    if webhook.content_type.partition(";")[0].strip().lower() == _FORM and isinstance(value, Mapping):
        return Payload(tuple((template(str(name)), template(item)) for name, item in _pairs(value)))
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)
    return Payload(template(text, is_json=True))


def _pairs(form: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A form's pairs; a list repeats its name."""
    for name, value in form.items():
        for item in value if isinstance(value, list) else [value]:
            yield name, item if isinstance(item, str) else json.dumps(item, separators=(",", ":"))


def _fill_for(found: re.Match[str], is_json: bool) -> Fill:
    groups = found.groups()
    low, high = groups[:2] if is_json else (None, None)
    is_uuid, is_now, inner_low, inner_high, choice = groups[2:] if is_json else groups
    low, high = low or inner_low, high or inner_high
    if low is not None and high is not None:
        first, last = sorted((int(low), int(high)))
        return lambda chance, _: str(chance.randint(first, last))
    if is_uuid:
        return lambda chance, _: str(uuid.UUID(int=chance.getrandbits(128), version=4))
    if is_now:
        return lambda _, now_s: _iso(now_s)
    return Choice(tuple(option.strip() for option in (choice or "").split(",")))


def _iso(now_s: float) -> str:
    return datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
