"""Breaks lines that a mend made longer than its file's lines are, at a bracket, as formatters do."""

from __future__ import annotations

import ast
import difflib
import io
import tokenize
from itertools import pairwise

from swarm.rules.writing.splices import WIDTH

_INDENT = "    "
_OPENING, _CLOSING = "([{", ")]}"
_DEPTH = 4


def wrapped(before: str, after: str) -> str:
    """The text with its new lines broken where they are longer than 100 columns and than any line was before.

    A line that cannot be broken without a doubt (a comment at its end, a part of a longer statement) stays.
    """
    old = before.splitlines()
    limit = max([WIDTH, *map(len, old)])
    lines = after.splitlines(keepends=True)
    if all(len(line) <= limit + 1 for line in lines):
        return after
    matcher = difflib.SequenceMatcher(None, old, [line.rstrip("\n") for line in lines], autojunk=False)
    for kind, _, _, start, end in matcher.get_opcodes():
        for number in range(start, end) if kind != "equal" else ():
            line = lines[number].rstrip("\n")
            if len(line) > limit:
                lines[number] = _broken(line, limit) + lines[number][len(line) :]
    text = "".join(lines)
    return text if is_same_code(text, after) else after


def is_same_code(one: str, other: str) -> bool:
    """Whether two texts differ in their layout alone."""
    try:
        return ast.dump(ast.parse(one)) == ast.dump(ast.parse(other))
    except SyntaxError:
        return False


def _broken(line: str, limit: int) -> str:
    """One line as several, where it is a whole statement or the head of one; else as it is."""
    code = line.lstrip(" ")
    if not _is_whole(code):
        return line
    return "\n".join(_split(line[: len(line) - len(code)], code, limit, 0))


def _is_whole(code: str) -> bool:
    """Whether a line is a statement by itself, or the head of one."""
    head = code.removeprefix("el") if code.startswith("elif ") else code
    body = f"{head}\n  pass" if head.endswith(":") else head
    try:
        ast.parse(f"async def _():\n {body}")  # there `return` and `await` may stand
    except SyntaxError:
        return False
    return True


def _split(indent: str, code: str, limit: int, depth: int) -> list[str]:
    """The code on lines of its own: what is within its last outer bracket goes further in."""
    if len(indent) + len(code) <= limit or depth > _DEPTH:
        return [indent + code]
    places = _last_bracket(code)
    if places is None:
        return [indent + code]
    opened, closed = places
    inner = code[opened + 1 : closed].strip()
    if not inner:
        return [indent + code]
    deeper = indent + _INDENT
    parts = _parts(inner)
    if len(deeper) + len(inner) <= limit:
        middle = [deeper + inner]
    elif len(parts) > 1:
        mark = "" if parts[1].startswith(("for ", "async for ")) else ","
        middle = [line for part in parts for line in _split(deeper, part + mark, limit, depth + 1)]
    else:
        middle = _split(deeper, inner, limit, depth + 1)
    return [indent + code[: opened + 1], *middle, indent + code[closed:]]


def _tokens(code: str) -> list[tokenize.TokenInfo]:
    """The tokens of a piece of code; none where it cannot be read, or holds a comment."""
    try:
        found = list(tokenize.generate_tokens(io.StringIO(f"({code}\n)").readline))
    except (tokenize.TokenError, SyntaxError):
        return []
    return [] if any(token.type == tokenize.COMMENT for token in found) else found[1:]


def _last_bracket(code: str) -> tuple[int, int] | None:
    """Where the last bracket that no other is around opens and closes."""
    depth, start, found = 0, 0, None
    for token in _tokens(code):
        if token.type != tokenize.OP or token.start[0] != 1:
            continue
        if token.string in _OPENING:
            depth += 1
            start = token.start[1] - 1 if depth == 1 else start
        elif token.string in _CLOSING:
            depth -= 1
            if depth == 0:
                found = (start, token.start[1] - 1)
    return found


def _parts(inner: str) -> list[str]:
    """What commas part, or a comprehension's clauses; the whole where a lambda's own commas may be among them."""
    commas: list[int] = []
    clauses: list[int] = []
    depth = 0
    for token in _tokens(inner):
        at = token.start[1] - 1
        if token.start[0] != 1:
            continue
        if token.string == "lambda" and depth == 0:
            return [inner]
        if token.string in ("for", "if") and depth == 0 and (clauses or token.string == "for"):
            clauses.append(at)
        elif token.type == tokenize.OP and token.string in _OPENING:
            depth += 1
        elif token.type == tokenize.OP and token.string in _CLOSING:
            depth -= 1
        elif token.type == tokenize.OP and token.string == "," and depth == 0:
            commas.append(at)
    if clauses:
        places = [0, *clauses, len(inner)]
        return [inner[start:end].strip() for start, end in pairwise(places)] if not commas else [inner]
    places = [-1, *commas, len(inner)]
    return [part for start, end in pairwise(places) if (part := inner[start + 1 : end].strip())]
