"""Personal columns are encrypted before they are stored; what is looked up has a keyed digest beside it."""

import base64
import hashlib
import hmac
from functools import cache

from nacl.secret import SecretBox
from sqlalchemy import String
from sqlalchemy.types import TypeDecorator

from service.config import ghl_config

PREFIX = "box1:"


@cache
def key_for(purpose: str) -> bytes:
    if not ghl_config.FIELD_KEY:
        raise RuntimeError("FIELD_KEY is not set: personal data would be stored as plain text")
    return hmac.new(ghl_config.FIELD_KEY.encode(), purpose.encode(), hashlib.sha256).digest()


@cache
def box() -> SecretBox:
    return SecretBox(key_for("columns"))


def encrypt(value: str) -> str:
    return PREFIX + base64.b64encode(box().encrypt(value.encode())).decode()


def decrypt(stored: str) -> str:
    return box().decrypt(base64.b64decode(stored.removeprefix(PREFIX))).decode()


def lookup_digest(value: str) -> str:
    """What a value is found by: the same for the same value, and of no use without the key."""
    if not value:
        return ""
    return hmac.new(key_for("lookup"), value.strip().lower().encode(), hashlib.sha256).hexdigest()


class Encrypted(TypeDecorator):
    """Text that lies encrypted in the database."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return encrypt(value) if value else value

    def process_result_value(self, value, dialect):
        return decrypt(value) if value else value
