"""Text that came from the target, made harmless for each place where it is shown."""

from __future__ import annotations

import re

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
# Controls but tab and newline, lone surrogates, non-characters, and marks that turn reading direction around.
_UNSHOWABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\u202a-\u202e\u2066-\u2069]"
)
_MARKDOWN = re.compile(r"([\\`*\[\]|~])")


def clean(text: str) -> str:
    """Several lines of text without escape sequences and control characters; CRLF becomes LF."""
    text = _ANSI.sub("", text.replace("\r\n", "\n"))
    return _UNSHOWABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def one_line(text: str, limit: int = 0) -> str:
    """The text on one line, cut to `limit` characters (0: not cut)."""
    line = " ".join(clean(text).replace("\u2028", " ").replace("\u2029", " ").split())
    return line if not limit or len(line) <= limit else line[: limit - 1].rstrip() + "…"


def markdown(text: str, limit: int = 0) -> str:
    """One line of Markdown that shows the text as it is, in a table's cell too."""
    line = _MARKDOWN.sub(r"\\\1", one_line(text, limit))
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")
    # a list's number is one only before a space: 84.6 % stays as it is, and a backslash before a digit would be seen
    line = re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", line)
    return re.sub(r"^([#+-])", r"\\\1", line).replace("://", ":&#8203;//")


def code(text: str, limit: int = 0) -> str:
    """One line of Markdown code, fenced with more backticks than the text holds."""
    line = one_line(text, limit).replace("|", "\\|")
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}" if line else ""


def fence(text: str, language: str = "") -> str:
    """A Markdown code block that the text cannot end."""
    body = clean(text).rstrip("\n")
    longest = max((len(run) for run in re.findall("`+", body)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}{language}\n{body}\n{ticks}"
