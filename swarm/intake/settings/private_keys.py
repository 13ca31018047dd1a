"""A private key made for trials alone: services that act as an application sign with one, and take nothing else."""

from __future__ import annotations

import base64
from functools import cache


@cache
def private_key(*, in_base64: bool) -> str:
    """An RSA key as PEM, or that text in base64; one for each process, and never used for anything but trials."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return (base64.b64encode(pem) if in_base64 else pem).decode()
