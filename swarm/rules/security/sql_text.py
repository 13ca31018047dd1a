"""SQL that is built from strings: its text with the holes that values fill, each with its place in the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

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
    """Where a value goes: its offsets in the source, its expression, its place in `SqlText.sql`.

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
class SqlText:
    """The SQL as written, a NUL for each hole; `offsets[i]` is the source offset of `sql[i]`.

    `tail` is what the literal is followed by (`% values`, `.format(...)`) and goes when all holes are bound.
    """

    sql: str
    offsets: tuple[int, ...]
    holes: tuple[Hole, ...]
    tokens: tuple[Token, ...]
    tail: tuple[int, int] | None


def read_sql(module: Module, node: ast.expr) -> SqlText | None:
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
    return None


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


def _read_pieces(module: Module, pieces: list[ast.expr]) -> SqlText | None:
    sql: list[str] = []
    offsets: list[int] = []
    holes: list[Hole] = []
    tokens: list[Token] = []
    for piece in pieces:
        start, end = module.span(piece)
        if not _is_string(piece):
            holes.append(Hole(start, end, piece, module.segment(piece), len(sql), True, None))
            sql.append(HOLE)
            offsets.append(start)
            continue
        literal = tokens_of(module.text, start, end)
        if literal is None:
            return None
        for token in literal:
            tokens.append(token)
            if not _read_token(module.text, token, sql, offsets, holes):
                return None
    return SqlText("".join(sql), tuple(offsets), tuple(holes), tuple(tokens), None) if holes else None


def _read_token(text: str, token: Token, sql: list[str], offsets: list[int], holes: list[Hole]) -> bool:
    is_f = "f" in token.prefix.lower()
    at = token.body_start
    while at < token.body_end:
        letter = text[at]
        if is_f and letter in "{}" and text[at : at + 2] == letter * 2:
            return False  # a doubled brace: leave such text alone
        if is_f and letter == "{":
            close = _brace(text, at, token.body_end)
            hole = _f_hole(text, at, close, len(sql), token) if close > 0 else None
            if hole is None:
                return False
            holes.append(hole)
            sql.append(HOLE)
            offsets.append(at)
            at = close
            continue
        sql.append(letter)
        offsets.append(at)
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
        parsed = ast.parse(f"f{token.quote}{text[start:end]}{token.quote}", mode="eval").body
    except SyntaxError:
        return None
    value = parsed.values[0] if isinstance(parsed, ast.JoinedStr) and len(parsed.values) == 1 else None
    if not isinstance(value, ast.FormattedValue):
        return None
    source = text[start + 1 : end - 1].strip()
    if value.conversion != -1:
        source = source.rsplit("!", 1)[0].strip()
    return Hole(start, end, value.value, source, place, value.format_spec is None, token)


def _read_percent(module: Module, node: ast.BinOp) -> SqlText | None:
    values = node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]
    by_name: dict[str, ast.expr] = {}
    if isinstance(node.right, ast.Dict):
        by_name = {str(k.value): v for k, v in zip(node.right.keys, node.right.values, strict=True)
                   if isinstance(k, ast.Constant)}  # fmt: skip
    return _read_marks(module, node.left, _PERCENT, list(values), by_name, node)


def _read_format(module: Module, node: ast.Call, literal: ast.Constant) -> SqlText | None:
    by_name = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
    return _read_marks(module, literal, re.compile(r"\{(\w*)\}"), list(node.args), by_name, node)


def _read_marks(
    module: Module, literal: ast.expr, mark: re.Pattern[str], values: list[ast.expr],
    by_name: dict[str, ast.expr], whole: ast.expr,
) -> SqlText | None:  # fmt: skip
    """Marks in plain literals (`%s`, `{}`), each with the value that fills it."""
    tokens = tokens_of(module.text, *module.span(literal))
    if tokens is None or any("f" in token.prefix.lower() for token in tokens):
        return None
    sql: list[str] = []
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
                sql.append(body[place])
                offsets.append(token.body_start + place)
            start, end = token.body_start + match.start(), token.body_start + match.end()
            holes.append(Hole(start, end, value, module.segment(value), len(sql), True, token))
            sql.append(HOLE)
            offsets.append(start)
            at = match.end()
        for place in range(at, len(body)):
            sql.append(body[place])
            offsets.append(token.body_start + place)
    tail = (module.span(literal)[1], module.span(whole)[1])
    return SqlText("".join(sql), tuple(offsets), tuple(holes), tuple(tokens), tail) if holes else None
