"""Whether the bank sent it: HMAC-SHA256 over time and body."""

from __future__ import annotations

import hmac
import time
from functools import wraps
from typing import Callable, TypeVar

from flask import current_app, request
from werkzeug.exceptions import Unauthorized

View = TypeVar("View", bound=Callable[..., object])


def signed_by_bank(view: View) -> View:
    """Refuse with 401 what is not signed, is signed wrongly, or is older than the tolerance."""

    @wraps(view)
    def checked(*args: object, **kwargs: object) -> object:
        settings = current_app.config["SETTINGS"]
        if not is_genuine(
            request.headers.get("X-Bank-Signature", ""), request.get_data(), settings.bank_secrets,
            now_s=time.time(), tolerance_s=settings.tolerance_s,
        ):
            current_app.logger.warning("delivery refused", extra={"outcome": "bad signature"})
            raise Unauthorized
        return view(*args, **kwargs)

    return checked  # type: ignore[return-value]


def is_genuine(header: str, body: bytes, secrets: tuple[str, ...], *, now_s: float, tolerance_s: int) -> bool:
    """Compare in constant time, with every secret that is valid now."""
    parts = dict(item.split("=", 1) for item in header.split(",") if "=" in item)
    stamp, given = parts.get("t", ""), parts.get("v1", "")
    if not _is_stamp(stamp) or abs(now_s - int(stamp)) > tolerance_s:
        return False
    message = stamp.encode("ascii") + b"." + body
    return any(
        [
            hmac.compare_digest(hmac.digest(secret.encode(), message, "sha256").hex().encode(), given.encode())
            for secret in secrets
        ]
    )


def _is_stamp(text: str) -> bool:
    """Up to twelve ASCII digits."""
    return text.isascii() and text.isdigit() and len(text) <= 12
