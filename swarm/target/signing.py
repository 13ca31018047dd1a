"""Signs a webhook's body as its sender would: one function a scheme, all headers that the scheme adds."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from swarm.config.schema import Sign, Webhook
from swarm.core.errors import TargetError

_FIELD = re.compile(rb"\{(body|timestamp|timestamp_ms|id|path|method|host|form)\}")
# What a scheme's senders do, where `sign` in agents.yaml does not say otherwise: header, format, signed.
_USUAL = {
    "github": ("X-Hub-Signature-256", "sha256={hex}", "{body}"),
    "stripe": ("Stripe-Signature", "t={timestamp},v1={hex}", "{timestamp}.{body}"),
    "standard-webhooks": ("webhook-signature", "v1,{base64}", "{id}.{timestamp}.{body}"),
    "twilio": ("X-Twilio-Signature", "{base64}", "http://{host}{path}{form}"),
    "ed25519": ("X-Signature", "{base64}", "{body}"),
    "hmac-sha256": ("X-Signature", "{hex}", "{body}"),
    "hmac-sha1": ("X-Signature", "{hex}", "{body}"),
    "hmac-sha512": ("X-Signature", "{hex}", "{body}"),
}
_HASHES = {"hmac-sha1": hashlib.sha1, "twilio": hashlib.sha1, "hmac-sha512": hashlib.sha512}


def signature_headers(
    webhook: Webhook, body: bytes, *, secret: str, timestamp_s: int, message_id: str
) -> dict[str, str]:
    """The headers that make `body` a genuine delivery; {} for the scheme `none`.

    Raises TargetError where the secret is not of the form that the scheme needs.
    """
    sign = webhook.sign
    if sign.scheme == "none":
        return {}
    header, form, signed = _settings(sign)
    host = next((value for name, value in webhook.headers.items() if name.lower() == "host"), "localhost")
    fields = {
        "timestamp": str(timestamp_s), "timestamp_ms": f"{timestamp_s}000", "id": message_id, "path": webhook.path,
        "method": webhook.method, "host": host, "form": _form_text(body) if b"{form}" in signed.encode() else "",
    }  # fmt: skip
    message = _fill_bytes(signed, body, fields)
    digest = _digest(sign, secret, message)
    value = form.replace("{hex}", digest.hex()).replace("{base64}", base64.b64encode(digest).decode())
    for name in ("timestamp", "timestamp_ms", "id"):
        value = value.replace(f"{{{name}}}", fields[name])
    value = value.replace("{secret}", secret)
    headers = {header: value}
    if sign.scheme == "standard-webhooks":
        headers |= {"webhook-id": message_id, "webhook-timestamp": fields["timestamp"]}
    if sign.timestamp_header:
        in_ms = "{timestamp_ms}" in signed + form
        headers[sign.timestamp_header] = fields["timestamp_ms" if in_ms else "timestamp"]
    return headers


def _form_text(body: bytes) -> str:
    """The fields of a form as Twilio signs them: sorted by name, each name and its value joined to the next."""
    fields = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    return "".join(name + value for name, value in sorted(fields))


def _settings(sign: Sign) -> tuple[str, str, str]:
    """Header, format and signed text: as written where written, else as the scheme's senders do it."""
    header, form, signed = _USUAL[sign.scheme]
    written = sign.model_fields_set
    return (
        sign.header or header,
        sign.format if "format" in written else form,
        sign.signed if "signed" in written else signed,
    )


def _fill_bytes(template: str, body: bytes, fields: Mapping[str, str]) -> bytes:
    """Fill in one pass, so that a body that holds braces is not filled itself."""

    def value(found: re.Match[bytes]) -> bytes:
        name = found[1].decode()
        return body if name == "body" else fields[name].encode()

    return _FIELD.sub(value, template.encode())


def _digest(sign: Sign, secret: str, message: bytes) -> bytes:
    if sign.scheme == "ed25519":
        return _ed25519(sign, secret, message)
    if sign.scheme == "standard-webhooks":
        return hmac.new(_standard_key(sign, secret), message, hashlib.sha256).digest()
    return hmac.new(secret.encode(), message, _HASHES.get(sign.scheme, hashlib.sha256)).digest()


def _standard_key(sign: Sign, secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        raise TargetError(
            f"{sign.secret_env} is no Standard Webhooks secret: write whsec_ and the key in base64"
        ) from None


def _ed25519(sign: Sign, secret: str, message: bytes) -> bytes:
    """Sign with a private key given as a seed of 32 bytes (base64 or hex), as PKCS8 (base64), or as PEM."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        if "-----BEGIN" in secret:
            key = serialization.load_pem_private_key(secret.encode(), None)
        else:
            is_hex = re.fullmatch(r"[0-9a-fA-F]{64}", secret) is not None
            raw = bytes.fromhex(secret) if is_hex else base64.b64decode(secret, validate=True)
            key = (
                Ed25519PrivateKey.from_private_bytes(raw)
                if len(raw) == 32
                else serialization.load_der_private_key(raw, None)
            )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise TargetError(
            f"{sign.secret_env} is no Ed25519 private key: write its seed of 32 bytes in base64 (a test key; "
            "the service gets the public key in a variable of its own)"
        )
    return key.sign(message)
