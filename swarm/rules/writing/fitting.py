"""Makes what a mend wrote look like the file around it: its quotes, its width."""

from __future__ import annotations

import difflib
import io
import re
import tokenize

from swarm.rules.writing.wrapping import is_same_code, wrapped

_FEWEST = 6  # texts of a file, before its quotes are taken for a habit
_PLAIN = re.compile(r"([A-Za-z]*)\"([^\"'\\\n]*)\"")


def fitted(before: str, after: str) -> str:
    """The changed text of a file in the file's own manner; what it does is the same."""
    return wrapped(before, _quoted(before, after))


def _quoted(before: str, after: str) -> str:
    """Texts on new lines in single quotes, where nearly all of the file's own are."""
    own = [token.string.lstrip("rbfuRBFU") for token in _texts(before)]
    single = sum(text.startswith("'") for text in own)
    if single < _FEWEST or single < 9 * (len(own) - single):
        return after
    lines = after.splitlines(keepends=True)
    matcher = difflib.SequenceMatcher(None, before.splitlines(keepends=True), lines, autojunk=False)
    new = {
        number + 1
        for kind, _, _, start, end in matcher.get_opcodes()
        if kind != "equal"
        for number in range(start, end)
    }
    for token in reversed(_texts(after)):
        row, column = token.start
        match = _PLAIN.fullmatch(token.string)
        if match is not None and row in new:
            line = lines[row - 1]
            lines[row - 1] = f"{line[:column]}{match[1]}'{match[2]}'{line[token.end[1] :]}"
    text = "".join(lines)
    return text if is_same_code(text, after) else after


def _texts(code: str) -> list[tokenize.TokenInfo]:
    """The texts of a file that stand on one line and are no documentation."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(code).readline))
    except (tokenize.TokenError, SyntaxError):
        return []
    return [token for token in tokens if token.type == tokenize.STRING and token.start[0] == token.end[0]
            and not token.string.lstrip("rbfuRBFU").startswith(('\"\"\"', "\'\'\'"))]  # fmt: skip
