"""Whether texts mention something that a pattern describes: rules ask it of every module of a tree.

A pattern of many alternatives is tried at every letter, which is slow. Most texts hold none of the words of which a
match of an alternative must hold one, and that is seen ten times as fast: an alternative is tried only where it is.
"""

from __future__ import annotations

import re
from collections import deque
from functools import cache

_TOKEN = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?(?:P<\w+>|<?[=!]|:)?|\{[\d,]+\}\??|[?*+]\??|.",
    re.DOTALL,
)


def holds(text: str, pattern: str) -> bool:
    """What `re.search(pattern, text) is not None` says."""
    for words, found in _alternatives(pattern):
        for word in words:
            if word in text:
                if found.search(text) is not None:
                    return True
                break
    return False


@cache
def _alternatives(pattern: str) -> tuple[tuple[tuple[str, ...], re.Pattern[str]], ...]:
    """Each alternative of a pattern with the words of which its matches hold one, "" where it leaves them open."""
    parts, depth = [""], 0
    for token in _TOKEN.findall(pattern):
        depth += token.startswith("(") - (token == ")")
        if token == "|" and not depth:
            parts.append("")
        else:
            parts[-1] += token
    return tuple((tuple(_words(deque(_TOKEN.findall(part)))), re.compile(part)) for part in parts)


@cache
def in_small_letters(pattern: str) -> str:
    """The pattern for a text in small letters, so that case does not matter; classes such as `\\W` stay."""
    return re.sub(r"\\.|[A-Z]+", lambda part: part[0] if part[0][0] == "\\" else part[0].lower(), pattern)


def _words(tokens: deque[str]) -> list[str]:
    """The words of what follows up to the end of its group: those by which each of its alternatives is known best."""
    alternatives: list[list[str]] = []
    held: list[list[str]] = [[""]]  # by this alternative, one of each; the last is a run of letters
    while tokens:
        token = tokens.popleft()
        if token in ("|", ")"):
            alternatives.append(max(held, key=_shortest))
            held = [[""]]
            if token == ")":
                break
            continue
        inner = _words(tokens) if token.startswith("(") else None
        optional = bool(tokens) and tokens[0][0] in "?*{"
        if inner is not None:  # what a lookaround asks for is no part of the match
            held += [inner if token in ("(", "(?:") and not optional else [""], [""]]
        elif optional or not _is_letter(token):
            held.append([""])
        else:
            held[-1] = [held[-1][0] + token[-1]]
    else:
        alternatives.append(max(held, key=_shortest))
    words = dict.fromkeys(word for several in alternatives for word in several)
    return [""] if "" in words else list(words)


def _is_letter(token: str) -> bool:
    """Whether a token stands for one letter as it is: `a`, `-`, `\\.`."""
    return not token[-1].isalnum() if len(token) == 2 else len(token) == 1 and token not in ".^$?*+"


def _shortest(words: list[str]) -> int:
    return min(map(len, words))
