"""What a service signs, read off what it hands to its HMAC: body, time, method and path, in their order."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from swarm.analysis.constants import text_of
from swarm.analysis.index import Index
from swarm.analysis.kinds.handed_on import given_to
from swarm.analysis.layout import unparsed
from swarm.analysis.parts import Function
from swarm.analysis.reading.keyed import keyed_read
from swarm.analysis.routes.header_parameters import header_parameters
from swarm.analysis.source import Module, parameters

HMACS = ("hmac.new", "hmac.digest", "hmac.HMAC")
TIME = re.compile(r"time|stamp|(^|[-_])ts$|(^|[-_])date$", re.IGNORECASE)
_DEPTH = 12
_UNTOUCHED = frozenset({"encode", "decode", "strip", "upper", "tobytes"})  # a method is signed in capitals
_BODY_CALLS = frozenset({"body", "get_data", "read", "data"})
_WRAPPERS = frozenset({"str", "bytes", "bytearray", "memoryview"})
_PLACED = re.compile(r"%[sd]|\{\w*\}")


@dataclass(frozen=True, slots=True)
class SignedText:
    """What one HMAC is made of, as `sign.signed` writes it; `form` is how its digest is written, where that shows."""

    signed: str
    form: str | None
    timestamp_header: str | None


def signed_texts(index: Index, functions: Iterable[Function]) -> tuple[SignedText, ...]:
    """One for each HMAC in these functions whose text can be read; what cannot be is left out."""
    found: list[SignedText] = []
    for function in functions:
        for call in index.calls(function):
            if (index.resolve(function.module, call.func) or "") in HMACS:
                reading = _Reading(index)
                signed = reading.message(function, call)
                if signed and "{body}" in signed:
                    found.append(SignedText(signed, form_of(function), reading.timestamp_header))
    return tuple(dict.fromkeys(found))


def form_of(function: Function) -> str | None:
    """Whether a function that makes a digest writes it in hexadecimal digits or in base64."""
    text = function.module.segment(function.node)
    if "hexdigest(" in text or ".hex()" in text:
        return None if "b64encode(" in text else "{hex}"
    return "{base64}" if "b64encode(" in text else None


@dataclass(slots=True)
class _Reading:
    """Follows one message through names, helpers and callers."""

    index: Index
    timestamp_header: str | None = None
    seen: set[ast.AST] = field(default_factory=set)

    def message(self, function: Function, call: ast.Call) -> str | None:
        """The text of one HMAC: its argument, then what is put in by `update`."""
        given = call.args[1] if len(call.args) > 1 else next((k.value for k in call.keywords if k.arg == "msg"), None)
        parts = [] if given is None or _is_nothing(given) else [given]
        statement = function.module.statement(call)
        name = statement.targets[0] if isinstance(statement, ast.Assign) else None
        if isinstance(name, ast.Name) and statement is not None and getattr(statement, "value", None) is call:
            parts += [
                one.args[0] for one in self.index.calls(function)
                if isinstance(one.func, ast.Attribute) and one.func.attr == "update" and len(one.args) == 1
                and isinstance(one.func.value, ast.Name) and one.func.value.id == name.id
            ]  # fmt: skip
        return self._joined(function, parts, 0) if parts else None

    def _joined(self, function: Function, parts: Iterable[ast.expr], depth: int, between: str = "") -> str | None:
        texts = [self._text(function, part, depth) for part in parts]
        return None if None in texts else between.join(text or "" for text in texts)

    def _text(self, function: Function, node: ast.expr, depth: int) -> str | None:
        if depth > _DEPTH:
            return None
        match node:
            case ast.Constant(value=str(text)):
                return None if "{" in text or "}" in text else text
            case ast.Constant(value=bytes(raw)):
                return None if b"{" in raw or b"}" in raw else raw.decode("latin-1")
            case ast.JoinedStr(values=values):
                return self._joined(function, values, depth + 1)
            case ast.FormattedValue(value=inner, format_spec=None) | ast.Await(value=inner):
                return self._text(function, inner, depth + 1)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._joined(function, (left, right), depth + 1)
            case ast.BinOp(left=ast.Constant(value=str() | bytes() as form), op=ast.Mod(), right=given):
                several = given.elts if isinstance(given, ast.Tuple) else [given]
                return self._filled(function, form, several, depth)
            case ast.BoolOp(op=ast.Or(), values=[first, *_]):
                return self._text(function, first, depth + 1)
            case ast.Call():
                return self._of_call(function, node, depth)
            case ast.Attribute() | ast.Subscript():
                return self._of_request(function, node) or _plain(text_of(self.index, function.module, node))
            case ast.Name(id=name):
                return self._of_name(function, node, name, depth)
        return None

    def _filled(self, function: Function, form: str | bytes, given: list[ast.expr], depth: int) -> str | None:
        text = form if isinstance(form, str) else form.decode("latin-1")
        literal = _PLACED.split(text)
        if len(literal) != len(given) + 1:
            return None
        texts = [self._text(function, part, depth + 1) for part in given]
        if None in texts:
            return None
        return literal[0] + "".join(f"{value}{after}" for value, after in zip(texts, literal[1:], strict=True))

    def _of_call(self, function: Function, call: ast.Call, depth: int) -> str | None:
        if found := self._of_request(function, call):
            return found
        if isinstance(call.func, ast.Attribute):
            owner, name = call.func.value, call.func.attr
            if name == "join" and len(call.args) == 1 and isinstance(call.args[0], ast.List | ast.Tuple):
                between = self._text(function, owner, depth + 1)
                return None if between is None else self._joined(function, call.args[0].elts, depth + 1, between)
            if name == "format" and isinstance(owner, ast.Constant) and isinstance(owner.value, str):
                return self._filled(function, owner.value, call.args, depth) if not call.keywords else None
            if name in _UNTOUCHED:
                return self._text(function, owner, depth + 1)
        elif isinstance(call.func, ast.Name) and call.func.id in _WRAPPERS and call.args:
            return self._text(function, call.args[0], depth + 1)
        called = self.index.resolve_call(function.module, call)
        if called is None or call in self.seen:
            return None
        self.seen.add(call)
        answers = [one.value for one in self.index.own_of(called, ast.Return) if one.value is not None]
        return self._text(called, answers[0], depth + 1) if len(answers) == 1 else None

    def _of_request(self, function: Function, node: ast.expr) -> str | None:
        """What an expression takes from the request itself."""
        called = node.func if isinstance(node, ast.Call) else node
        if isinstance(called, ast.Attribute) and _is_request(self.index, function.module, called.value):
            if called.attr in (_BODY_CALLS if isinstance(node, ast.Call) else ("data", "body")):
                return "{body}"
            if not isinstance(node, ast.Call):
                return {"method": "{method}", "path": "{path}", "full_path": "{path}"}.get(called.attr)
        if unparsed(node).endswith(("request.url.path", "req.url.path")):
            return "{path}"
        header = self._header(function, node)
        return self._of_header(header) if header is not None else None

    def _header(self, function: Function, node: ast.expr) -> str | None:
        owner, given = keyed_read(node) or (None, None)
        if owner is None or not unparsed(owner).endswith("headers"):
            return None
        return text_of(self.index, function.module, given)

    def _of_header(self, header: str) -> str | None:
        if not TIME.search(header):
            return None
        self.timestamp_header = header
        return "{timestamp}"

    def _of_name(self, function: Function, node: ast.Name, name: str, depth: int) -> str | None:
        filled = header_parameters(self.index, function)
        if name in filled:
            return self._of_header(filled[name])
        for value in self.index.kinds.bindings(function.node).get(name, []):
            if isinstance(value, ast.expr) and value not in self.seen:
                self.seen.add(value)
                if (text := self._text(function, value, depth + 1)) is not None:
                    return text
        if any(argument.arg == name for argument in parameters(function.node)):
            return self._from_callers(function, name, depth)
        return _plain(text_of(self.index, function.module, node))

    def _from_callers(self, function: Function, name: str, depth: int) -> str | None:
        for module, given in given_to(self.index, function, name):
            caller = self.index.enclosing(module, given) if given is not None else None
            if caller is not None and given is not None and given not in self.seen:
                self.seen.add(given)
                if (text := self._text(caller, given, depth + 1)) is not None:
                    return text
        return None


def _plain(text: str | None) -> str | None:
    """A text that `signed` may hold as it stands."""
    return None if text is None or "{" in text or "}" in text else text


def _is_nothing(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and not node.value


def _is_request(index: Index, module: Module, node: ast.expr) -> bool:
    """Whether an expression is the request that is answered."""
    if unparsed(node).rsplit(".", 1)[-1] in ("request", "req"):
        return True
    kind = index.kinds.of(module, node) or ""
    return kind.endswith((".requests.Request", ".Request")) and kind.startswith(("fastapi", "starlette", "flask"))


def checking(index: Index, functions: Iterable[Function]) -> Iterator[Function]:
    """Those of the functions that make an HMAC."""
    for function in functions:
        if any((index.resolve(function.module, call.func) or "") in HMACS for call in index.calls(function)):
            yield function
