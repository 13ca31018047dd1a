"""Text that code builds from strings: what is written, with the holes that values fill, and where each stands."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from swarm.analysis.reading.parsing import parse_expression
from swarm.analysis.source import Module

HOLE = "\0"
_TOKEN = re.compile(r"(?P<prefix>[rRbBuUfF]{0,2})(?P<quote>'''|\"\"\"|'|\")")
_PERCENT = re.compile(r"%(?:\((\w+)\))?[sdirf]")


@dataclass(frozen=True, slots=True)
class Token:
    """One string literal of the source: offsets of the whole and of what stands between its quotes."""

    start: int
    end: int
    body_start: int
    body_end: int
    prefix: str
    quote: str


@dataclass(frozen=True, slots=True)
class Hole:
    """Where a value goes: its offsets in the source, its expression, its place in `BuiltText.written`.

    `plain` is False where the value is formatted in a way that binding it would lose. `token` is the literal that
    holds it, None for one that is added with `+`.
    """

    start: int
    end: int
    expression: ast.expr
    source: str
    place: int
    plain: bool
    token: Token | None


@dataclass(frozen=True, slots=True)
class BuiltText:
    """The text as written, a NUL for each hole; `offsets[i]` is the source offset of `written[i]`.

    `tail` is what the literal is followed by (`% values`, `.format(...)`) and goes when all holes are bound.
    `joint` stands between pieces ("+", or the comma of a list that is joined); `doubled` says that some braces are
    written twice, so that the literal cannot lose its `f`.
    """

    written: str
    offsets: tuple[int, ...]
    holes: tuple[Hole, ...]
    tokens: tuple[Token, ...]
    tail: tuple[int, int] | None
    joint: str = "+"
    doubled: bool = False


def read_text(module: Module, node: ast.expr) -> BuiltText | None:
    """The parts of a string expression; None where it is no string that is built from values."""
    if isinstance(node, ast.JoinedStr):
        return _read_pieces(module, [node])
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        pieces = list(_summands(node))
        return _read_pieces(module, pieces) if any(_is_string(piece) for piece in pieces) else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and _is_string(node.left):
        return _read_percent(module, node)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format" \
            and isinstance(node.func.value, ast.Constant):  # fmt: skip
        return _read_format(module, node, node.func.value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "join":
        return _read_joined(module, node, node.func.value)
    return None


def _read_joined(module: Module, node: ast.Call, between: ast.expr) -> BuiltText | None:
    """`"".join([…])` of pieces that stand there."""
    given = node.args[0] if len(node.args) == 1 and not node.keywords else None
    if not isinstance(given, ast.List | ast.Tuple) or not isinstance(between, ast.Constant) or between.value != "":
        return None
    if any(isinstance(piece, ast.Starred) for piece in given.elts):
        return None
    found = _read_pieces(module, list(given.elts))
    return replace(found, joint=",") if found is not None else None


def _is_string(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _summands(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from _summands(node.left)
        yield from _summands(node.right)
    else:
        yield node


def tokens_of(text: str, start: int, end: int) -> list[Token] | None:
    """The string literals between two offsets; None where something else stands there."""
    found = []
    at = start
    while at < end:
        if text[at] in " \t\r\n\\()":
            at += 1
        elif text[at] == "#":
            at = text.find("\n", at)
        else:
            match = _TOKEN.match(text, at)
            if match is None:
                return None
            body = match.end()
            close = _closing(text, body, match["quote"], end)
            if close < 0:
                return None
            at = close + len(match["quote"])
            found.append(Token(match.start(), at, body, close, match["prefix"], match["quote"]))
    return found


def _closing(text: str, at: int, quote: str, end: int) -> int:
    while at < end:
        if text[at] == "\\":
            at += 2
        elif text.startswith(quote, at):
            return at
        else:
            at += 1
    return -1


def _read_pieces(module: Module, pieces: list[ast.expr]) -> BuiltText | None:
    reading = _Reading(module.text)
    for piece in pieces:
        start, end = module.span(piece)
        if not _is_string(piece):
            reading.add_hole(Hole(start, end, piece, module.segment(piece), len(reading.written), True, None))
            continue
        literal = tokens_of(module.text, start, end)
        if literal is None:
            return None
        before = len(reading.holes)
        if not all(reading.add(token) for token in literal):
            return None
        # the module's own expressions stand for those that were read one by one: others know them
        values = [v.value for v in getattr(piece, "values", ()) if isinstance(v, ast.FormattedValue)]
        if len(values) != len(reading.holes) - before:
            return None
        own = [replace(h, expression=v) for h, v in zip(reading.holes[before:], values, strict=True)]
        reading.holes[before:] = own
    return reading.result()


class _Reading:
    """Literals and holes, one after the other."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.written: list[str] = []
        self._offsets: list[int] = []
        self.holes: list[Hole] = []
        self._tokens: list[Token] = []
        self._doubled = False

    def result(self) -> BuiltText | None:
        if not self.holes:
            return None
        return BuiltText("".join(self.written), tuple(self._offsets), tuple(self.holes), tuple(self._tokens), None,
                         doubled=self._doubled)  # fmt: skip

    def add_hole(self, hole: Hole) -> None:
        self.holes.append(hole)
        self._letter(HOLE, hole.start)

    def _letter(self, letter: str, offset: int) -> None:
        self.written.append(letter)
        self._offsets.append(offset)

    def add(self, token: Token) -> bool:
        """The letters and holes of one literal; False where it cannot be read."""
        self._tokens.append(token)
        text, at = self._text, token.body_start
        is_f, is_raw = "f" in token.prefix.lower(), "r" in token.prefix.lower()
        while at < token.body_end:
            letter = text[at]
            if is_f and letter in "{}" and text[at : at + 2] == letter * 2:
                self._doubled = True
                self._letter(letter, at)
                at += 2
            elif is_f and letter == "{":
                close = _brace(text, at, token.body_end)
                hole = _f_hole(text, at, close, len(self.written), token) if close > 0 else None
                if hole is None:
                    return False
                self.add_hole(hole)
                at = close
            elif letter == "\\" and not is_raw and text[at + 1 : at + 2] in ("'", '"'):
                self._letter(text[at + 1], at)
                at += 2
            else:
                self._letter(letter, at)
                at += 1
        return True


def _brace(text: str, at: int, end: int) -> int:
    depth = 0
    for place in range(at, end):
        if text[place] == "{":
            depth += 1
        elif text[place] == "}":
            depth -= 1
            if depth == 0:
                return place + 1
    return -1


def _f_hole(text: str, start: int, end: int, place: int, token: Token) -> Hole | None:
    try:
        parsed = parse_expression(f"f{token.quote}{text[start:end]}{token.quote}")
    except SyntaxError:
        return None
    value = parsed.values[0] if isinstance(parsed, ast.JoinedStr) and len(parsed.values) == 1 else None
    if not isinstance(value, ast.FormattedValue):
        return None
    source = text[start + 1 : end - 1].strip()
    if value.conversion != -1:
        source = source.rsplit("!", 1)[0].strip()
    return Hole(start, end, value.value, source, place, value.format_spec is None, token)


def _read_percent(module: Module, node: ast.BinOp) -> BuiltText | None:
    values = node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]
    by_name: dict[str, ast.expr] = {}
    if isinstance(node.right, ast.Dict):
        by_name = {str(k.value): v for k, v in zip(node.right.keys, node.right.values, strict=True)
                   if isinstance(k, ast.Constant)}  # fmt: skip
    return _read_marks(module, node.left, _PERCENT, list(values), by_name, node)


def _read_format(module: Module, node: ast.Call, literal: ast.Constant) -> BuiltText | None:
    by_name = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
    return _read_marks(module, literal, re.compile(r"\{(\w*)\}"), list(node.args), by_name, node)


def _read_marks(
    module: Module, literal: ast.expr, mark: re.Pattern[str], values: list[ast.expr],
    by_name: dict[str, ast.expr], whole: ast.expr,
) -> BuiltText | None:  # fmt: skip
    """Marks in plain literals (`%s`, `{}`), each with the value that fills it."""
    tokens = tokens_of(module.text, *module.span(literal))
    if tokens is None or any("f" in token.prefix.lower() for token in tokens):
        return None
    written: list[str] = []
    offsets: list[int] = []
    holes: list[Hole] = []
    for token in tokens:
        body = module.text[token.body_start : token.body_end]
        if "%%" in body or "{{" in body:
            return None
        at = 0
        for match in mark.finditer(body):
            name = match[1] or ""
            value = by_name.get(name)
            if value is None:
                number = int(name) if name.isdigit() else len(holes)
                value = values[number] if number < len(values) and (not name or name.isdigit()) else None
            if value is None:
                return None
            for place in range(at, match.start()):
                written.append(body[place])
                offsets.append(token.body_start + place)
            start, end = token.body_start + match.start(), token.body_start + match.end()
            holes.append(Hole(start, end, value, module.segment(value), len(written), True, token))
            written.append(HOLE)
            offsets.append(start)
            at = match.end()
        for place in range(at, len(body)):
            written.append(body[place])
            offsets.append(token.body_start + place)
    tail = (module.span(literal)[1], module.span(whole)[1])
    return BuiltText("".join(written), tuple(offsets), tuple(holes), tuple(tokens), tail) if holes else None
