"""Where in a page a value stands, as far as the text before it tells: whether escaping it makes it harmless there."""

from __future__ import annotations

import re

_ADDRESSES = re.compile(
    r"""\s(?:href|src|action|formaction|data|srcset|poster|style|on\w+)\s*=\s*["']$""", re.IGNORECASE
)
_RAW = re.compile(r"<(/?)(?:script|style|xmp|iframe)\b", re.IGNORECASE)
_NEVER = re.compile(r"""\s(?:style|on\w+)\s*=\s*["']$""", re.IGNORECASE)


def is_escapable(before: str) -> bool:
    """Whether escaped text is only text there: between tags, or in an attribute in quotes that holds no address.

    Inside of a script or a style, of a tag without quotes, at the begin of an address (`javascript:`) or of a handler
    it is not, whatever is escaped.
    """
    raw = list(_RAW.finditer(before))
    if raw and not raw[-1][1]:
        return False
    opened = before.rfind("<")
    if opened < 0 or before.rfind(">") > opened:
        return True
    inside = before[opened:]
    if inside.startswith("<!--"):
        return True
    quote = _open_quote(inside)
    if not quote:
        return False
    attribute = inside[: inside.rfind(quote) + 1]
    if _NEVER.search(attribute):
        return False
    return attribute != inside or not _ADDRESSES.search(attribute)


def _open_quote(inside: str) -> str:
    """The quote in which a tag's text ends; "" where it ends outside of quotes."""
    quote = ""
    for letter in inside:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
    return quote
