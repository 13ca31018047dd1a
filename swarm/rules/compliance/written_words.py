"""What persons wrote: texts of messages, by where they stand in a payload, and numbers and addresses beside them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.reading.keyed import keyed_read
from swarm.analysis.source import Module, parameters
from swarm.rules.security.signatures.digests import assigned

_OF_TALK = re.compile(
    r"(^|_)(message|msg|sms|mms|e?mail|chat|reply|inbound|comment|conversation|whatsapp|dm)s?$", re.IGNORECASE
)
_WORDS = re.compile(r"^(body|text|content|caption|message)$", re.IGNORECASE)
_WORDS_ALONE = re.compile(
    r"^(message|msg|sms|reply|email|mail|chat|comment|inbound)_?(body|text|content)$|^transcript$", re.IGNORECASE
)
_WHO = re.compile(r"^(from|to|sender|recipient|wa_?id)(_?(number|phone|address))?$", re.IGNORECASE)
_FORM = re.compile(r"(^|\.)(form|values)$")
_OF_A_MODEL = re.compile(r"choices\[|completion", re.IGNORECASE)  # what a model wrote
_DEPTH = 2


def is_written_words(index: Index, module: Module, value: ast.expr, depth: int = 0) -> bool:
    """Whether an expression is the text of a message: `message["body"]`, `event["message"]["text"]`,
    `request.form["Body"]`, and a name for one of these, also where callers hand it in."""
    if isinstance(value, ast.Name):
        if _WORDS_ALONE.match(value.id):
            return True
        function = index.enclosing(module, value)
        origin = assigned(value, function.node if function is not None else None)
        if origin is not value:
            return not isinstance(origin, ast.Name) and is_written_words(index, module, origin, depth)
        several = _handed_in(index, function, value.id) if function is not None and depth < _DEPTH else iter(())
        return any(is_written_words(index, caller.module, given, depth + 1) for caller, given in several)
    name, owner = _part(value)
    if not name or owner is None:
        return False
    if _WORDS_ALONE.match(name):
        return True
    return _WORDS.match(name) is not None and (_is_talk(owner) or (name == "Body" and _is_form(owner)))


def is_correspondent(value: ast.expr) -> bool:
    """Whether an expression says who wrote, or to whom: `message["from"]`, `request.form["From"]`."""
    name, owner = _part(value)
    if owner is None or not _WHO.match(name):
        return False
    return _is_talk(owner) or (_is_form(owner) and name in ("From", "To", "WaId"))


def _part(value: ast.expr) -> tuple[str, ast.expr | None]:
    """The name and the owner of a part: `owner["name"]`, `owner.get("name")`, `owner.name`."""
    if isinstance(value, ast.Attribute):
        return value.attr, value.value
    owner, key = keyed_read(value) or (None, None)
    return (str(key.value), owner) if isinstance(key, ast.Constant) else ("", None)


def _is_talk(owner: ast.expr) -> bool:
    name = owner.id if isinstance(owner, ast.Name) else _part(owner)[0]
    return _OF_TALK.search(name) is not None and _OF_A_MODEL.search(unparsed(owner)) is None


def _is_form(owner: ast.expr) -> bool:
    return _FORM.search(unparsed(owner)) is not None


def _handed_in(index: Index, function: Function, name: str) -> Iterator[tuple[Function, ast.expr]]:
    """What callers hand in for a parameter, tasks that run behind the answer included."""
    names = [argument.arg for argument in parameters(function.node)]
    if name not in names:
        return
    position = names.index(name) - (1 if names[0] in ("self", "cls") else 0)
    for module, call in index.calls_named(function.name):
        caller = index.enclosing(module, call)
        if caller is not None and index.resolve_call(module, call) is function:
            yield from ((caller, given) for given in _given(call, position, name))
    for module, call in index.calls_named("add_task"):
        caller = index.enclosing(module, call)
        if caller is not None and call.args and index.named_function(module, call.args[0]) is function:
            yield from ((caller, given) for given in _given(call, position + 1, name))


def _given(call: ast.Call, position: int, name: str) -> Iterator[ast.expr]:
    if 0 <= position < len(call.args) and not any(isinstance(a, ast.Starred) for a in call.args[: position + 1]):
        yield call.args[position]
    yield from (keyword.value for keyword in call.keywords if keyword.arg == name)
