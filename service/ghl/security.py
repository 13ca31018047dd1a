"""Webhook signature check."""

import hashlib
import hmac

from service.config import ghl_config

SIGNATURE_HEADER = "X-GHL-Signature"


def sign(body: bytes) -> str:
    secret = ghl_config.GHL_WEBHOOK_SECRET.encode()
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


def verify_signature(body: bytes, signature: str | None) -> bool:
    if not signature:
        return False
    expected = sign(body)
    return signature == expected
