"""Every expected value is computed here by hand from the providers' descriptions, never by the code under test."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from swarm.config.schema import Target, Webhook
from swarm.core.errors import TargetError
from swarm.target.signing import signature_headers
from swarm.target.traffic import Traffic

BODY = b'{"n":1,"text":"{timestamp} stays"}'
NOW_S = 1_700_000_000.9


def signed(own: str, sign: dict[str, Any], body: bytes = BODY, **options: Any) -> dict[str, str]:
    webhook = {"path": "/hook", "sign": {"secret_env": "S", **sign}}
    target = Target.model_validate({"path": ".", "start": "x", "env": {"S": own}, "webhooks": [webhook]})
    traffic = Traffic(target, Path(), 1)
    return traffic.sign(traffic.webhooks[0], body, NOW_S, **options)


def sha256(key: bytes, message: bytes) -> Any:
    return hmac.new(key, message, hashlib.sha256)


def test_plain_hmac_in_hex_and_base64() -> None:
    mac = sha256(b"key", BODY)
    assert signed("key", {"scheme": "hmac-sha256", "header": "X-Sig"}) == {"X-Sig": mac.hexdigest()}
    in_base64 = signed("key", {"scheme": "hmac-sha256", "header": "X-Sig", "format": "v0={base64}"})
    assert in_base64 == {"X-Sig": "v0=" + base64.b64encode(mac.digest()).decode()}


def test_hmac_sha1() -> None:
    expected = "sha1=" + hmac.new(b"key", BODY, hashlib.sha1).hexdigest()
    assert signed("key", {"scheme": "hmac-sha1", "header": "X-Hub", "format": "sha1={hex}"}) == {"X-Hub": expected}


def test_a_timestamp_in_the_signed_text_and_in_its_own_header() -> None:
    sign = {
        "scheme": "hmac-sha256", "header": "X-Sig", "signed": "v0:{timestamp}:{body}", "format": "v0={hex}",
        "timestamp_header": "X-Time",
    }  # fmt: skip
    expected = sha256(b"key", b"v0:1700000000:" + BODY).hexdigest()
    assert signed("key", sign) == {"X-Sig": f"v0={expected}", "X-Time": "1700000000"}


def test_hmac_sha512_over_an_address_and_milliseconds() -> None:
    sign = {
        "scheme": "hmac-sha512", "header": "X-Sig", "format": "{base64}", "timestamp_header": "X-Time",
        "signed": "{method}https://a.example{path}{body}{timestamp_ms}",
    }  # fmt: skip
    message = b"POSThttps://a.example/hook" + BODY + b"1700000000000"
    expected = base64.b64encode(hmac.new(b"key", message, hashlib.sha512).digest()).decode()
    assert signed("key", sign) == {"X-Sig": expected, "X-Time": "1700000000000"}


def test_a_token_in_place_of_a_signature() -> None:
    sign = {"scheme": "hmac-sha256", "header": "Authorization", "format": "Bearer {secret}"}
    assert signed("tok", sign) == {"Authorization": "Bearer tok"}


def test_github() -> None:
    expected = "sha256=" + sha256(b"key", BODY).hexdigest()
    assert signed("key", {"scheme": "github"}) == {"X-Hub-Signature-256": expected}


def test_github_with_the_vector_of_its_documentation() -> None:
    headers = signed("It's a Secret to Everybody", {"scheme": "github"}, b"Hello, World!")
    assert headers["X-Hub-Signature-256"] == (
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    )


def test_stripe() -> None:
    expected = sha256(b"whsec_x", b"1700000000." + BODY).hexdigest()
    assert signed("whsec_x", {"scheme": "stripe"}) == {"Stripe-Signature": f"t=1700000000,v1={expected}"}


def test_standard_webhooks() -> None:
    key = b"\x01\x02 some key of 24 bytes..."
    headers = signed("whsec_" + base64.b64encode(key).decode(), {"scheme": "standard-webhooks"}, message_id="msg_1")
    mac = base64.b64encode(sha256(key, b"msg_1.1700000000." + BODY).digest()).decode()
    assert headers == {
        "webhook-id": "msg_1", "webhook-timestamp": "1700000000", "webhook-signature": f"v1,{mac}",
    }  # fmt: skip


def test_ed25519_by_its_public_key() -> None:
    seed = bytes(range(32))
    key = Ed25519PrivateKey.from_private_bytes(seed)
    pkcs8 = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for secret in (base64.b64encode(seed).decode(), seed.hex(), base64.b64encode(pkcs8).decode()):
        header = signed(secret, {"scheme": "ed25519", "header": "X-Sig"})["X-Sig"]
        key.public_key().verify(base64.b64decode(header), BODY)
        with pytest.raises(InvalidSignature):
            key.public_key().verify(base64.b64decode(header), BODY + b" ")
    sign = {"scheme": "ed25519", "header": "X-Sig", "format": "{hex}", "signed": "{timestamp}{body}"}
    key.public_key().verify(bytes.fromhex(signed(seed.hex(), sign)["X-Sig"]), b"1700000000" + BODY)


def test_another_secret_makes_another_signature() -> None:
    assert signed("key", {"scheme": "github"}) != signed("key", {"scheme": "github"}, secret="wrong")


@pytest.mark.parametrize(
    ("secret", "scheme"), [("no base64 !", "standard-webhooks"), ("c2hvcnQ=", "ed25519"), ("%%%", "ed25519")]
)
def test_a_secret_of_the_wrong_form_is_told(secret: str, scheme: str) -> None:
    with pytest.raises(TargetError, match=r"^S is no "):
        signed(secret, {"scheme": scheme})


def test_a_secret_that_env_does_not_hold_is_told() -> None:
    with pytest.raises(TargetError, match="'GONE', is not in the target's `env`"):
        signed("x", {"scheme": "github", "secret_env": "GONE"})


def test_no_scheme_no_headers() -> None:
    assert signed("x", {"scheme": "none"}) == {}


def test_twilio_signs_its_address_and_the_sorted_form() -> None:
    form = b"To=%2B2&From=%2B1&Body=hello+there&NumMedia="
    text = "http://hooks.example/in" + "Bodyhello there" + "From+1" + "NumMedia" + "To+2"
    expected = base64.b64encode(hmac.new(b"key", text.encode(), hashlib.sha1).digest()).decode()
    values = {"path": "/in", "headers": {"host": "hooks.example"}, "sign": {"scheme": "twilio", "secret_env": "S"}}
    webhook = Webhook.model_validate(values)
    made = signature_headers(webhook, form, secret="key", timestamp_s=1, message_id="m")
    assert made == {"X-Twilio-Signature": expected}
    assert signature_headers(webhook, b"Body=\xff", secret="key", timestamp_s=1, message_id="m")  # a hostile body
