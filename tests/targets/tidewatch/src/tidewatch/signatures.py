"""Tells a genuine delivery: an HMAC over time and body, compared in constant time, and not too old."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence


class BadSignature(Exception):
    """The delivery is not from the port, or was not sent just now."""


def verify(header: str | None, body: bytes, secrets: Sequence[str], now_s: float, tolerance_s: int) -> None:
    """Raise BadSignature unless one of the secrets made the header for this body within the tolerance."""
    fields = dict(part.partition("=")[::2] for part in (header or "").split(","))
    timestamp, given = fields.get("t", ""), fields.get("v1", "")
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        raise BadSignature("no timestamp")
    if abs(now_s - int(timestamp)) > tolerance_s:
        raise BadSignature("too old, or from the future")
    signed = timestamp.encode() + b"." + body
    expected = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    matches = [hmac.compare_digest(one.encode(), given.encode()) for one in expected]
    if not any(matches):
        raise BadSignature("wrong signature")
