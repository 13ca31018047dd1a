"""How a webhook is signed, read off the code that checks it: candidates, the likeliest first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.parts import Function
from swarm.config.schema import Sign
from swarm.intake.settings.environment import Setting, harmless_value
from swarm.intake.webhooks.entries import Entry
from swarm.intake.webhooks.signed_text import TIME, SignedText, checking, signed_texts

_SIGNATURE = re.compile(r"sign|hmac|digest|x-hub-|-(sig|mac)\b", re.IGNORECASE)
_CREDENTIAL = re.compile(r"token|secret|auth|api-?key|password|x-key", re.IGNORECASE)
_KNOWN = {
    "x-hub-signature-256": ("github", "sha256={hex}", "{body}"),
    "x-hub-signature": ("hmac-sha1", "sha1={hex}", "{body}"),
    "stripe-signature": ("stripe", None, None),
    "webhook-signature": ("standard-webhooks", None, None),
    "svix-signature": ("standard-webhooks", None, None),
    "x-twilio-signature": ("twilio", "{base64}", "http://{host}{path}{form}"),
    "x-slack-signature": ("hmac-sha256", "v0={hex}", "v0:{timestamp}:{body}"),
    "x-signature-ed25519": ("ed25519", "{hex}", "{timestamp}{body}"),
    "x-shopify-hmac-sha256": ("hmac-sha256", "{base64}", "{body}"),
    "x-line-signature": ("hmac-sha256", "{base64}", "{body}"),
    "x-hubspot-signature-v3": ("hmac-sha256", "{base64}", "{method}http://{host}{path}{body}{timestamp_ms}"),
}
_TIMESTAMPS = {
    "x-slack-signature": "X-Slack-Request-Timestamp",
    "x-signature-ed25519": "X-Signature-Timestamp",
    "x-hubspot-signature-v3": "X-HubSpot-Request-Timestamp",
}
_TIME_LABEL = re.compile(r"[\"'](t|ts|time|timestamp(?==))=?[\"']")
_SIGNATURE_LABEL = re.compile(r"[\"'](v1|h1|v0|s|sig|signature|hash|hmac|mac)=?[\"']")
_ADDRESS = "http://{host}"  # in what is signed: the address that the sender was told


@dataclass(frozen=True, slots=True)
class Checked:
    """What one way of being genuine is: a signature, headers that hold a secret, or neither."""

    sign: Sign = field(default_factory=Sign)
    headers: tuple[tuple[str, str], ...] = ()  # header and the variable whose value it holds, "" before a scheme word
    words: str = ""


def candidates(index: Index, entry: Entry, settings: Iterable[Setting]) -> tuple[Checked, ...]:
    """Ways worth a try, at most eight; the last one sends no proof at all."""
    settings = list(settings)
    reached = sorted(entry.reached, key=lambda function: function.dotted)
    digests = [d for function in reached for d in _digests(index, function)]
    secrets = _secrets(index, entry, reached, settings)
    signature = _signature_headers(entry, is_checked=bool(digests))
    timestamp = next((name for name in entry.headers if "timestamp" in name.lower()), None)
    texts = signed_texts(index, checking(index, reached))
    found: list[Checked] = []
    own = [s for s in settings if re.search(r"PUBLIC|BASE_?URL|WEBHOOK_URL|DOMAIN|HOST", s.name.upper())]
    addresses = [address for s in own if re.match(r"https?://", address := s.default or harmless_value(s))]
    text = "\n".join(function.module.segment(function.node) for function in reached)
    for name in signature or (_named_by_library(text, entry.route.module.text) if not digests else []):
        for secret in secrets[:3] or ():
            found += _signed(name, secret.name, digests, text, timestamp, addresses, texts)
    if not digests:
        for name in entry.headers:
            if _CREDENTIAL.search(name) and name not in signature:
                found += [Checked(Sign(), ((name, secret.name),)) for secret in secrets[:2]]
    found.append(Checked())
    return tuple(dict.fromkeys(found))[:8]


def _signature_headers(entry: Entry, *, is_checked: bool) -> list[str]:
    """Headers that may hold the signature; where the code makes one and none is named so, any that holds a proof."""
    named = [name for name in entry.headers if _SIGNATURE.search(name) and not TIME.search(name)]
    if is_checked:
        named += [name for name in entry.headers if name not in named and _CREDENTIAL.search(name)]
    return named


def _named_by_library(text: str, beside: str) -> list[str]:
    if "RequestValidator(" in text or "RequestValidator(" in beside:
        return ["X-Twilio-Signature"]
    if "construct_event" in text:
        return ["Stripe-Signature"]
    if "svix" in text or "standardwebhooks" in text:
        return ["webhook-signature"]
    return (
        ["X-Slack-Signature"] if re.search(r"SignatureVerifier|handler\.handle\(", text) and "slack" in beside else []
    )


def _signed(
    header: str,
    secret: str,
    digests: list[str],
    text: str,
    timestamp: str | None,
    addresses: list[str],
    texts: tuple[SignedText, ...],
) -> Iterator[Checked]:
    known = _KNOWN.get(header.lower())
    if known is not None:
        scheme, form, signed = known
        stamp = _TIMESTAMPS.get(header.lower())
        values: dict[str, object] = {"scheme": scheme, "header": header, "secret_env": secret}
        if form is not None:
            values |= {"format": form, "signed": signed}
        if stamp is not None:
            values["timestamp_header"] = stamp
        yield Checked(Sign.model_validate(values))
        if signed is not None and _ADDRESS in signed:  # which the service may know as https, or by a setting
            for address in ("https://{host}", *(address.rstrip("/") for address in addresses)):
                yield Checked(Sign.model_validate({**values, "signed": signed.replace(_ADDRESS, address)}))
            return
    named = set(digests) if len(set(digests)) == 1 else set()
    scheme = "hmac-sha1" if named == {"sha1"} else "hmac-sha512" if named == {"sha512"} else "hmac-sha256"
    prefix = next((p for p in re.findall(r"[\"'](sha256=|sha1=|sha512=|v1=|v0=|hmac-sha256=|v1,)", text)), "")
    written = next((one.form for one in texts if one.form), None)  # by the check itself, not by what else runs
    encoded = written or ("{base64}" if "b64encode" in text and "hexdigest" not in text else "{hex}")
    for one in texts if known is None else ():
        values = {"scheme": scheme, "header": header, "secret_env": secret, "format": prefix + encoded}
        if one.timestamp_header is not None:
            values["timestamp_header"] = one.timestamp_header
        if one.timestamp_header is not None or "{timestamp}" not in one.signed:
            yield Checked(Sign.model_validate({**values, "signed": one.signed}))
    for form, signed in _with_time_inside(text, encoded) if not timestamp and known is None else ():
        values = {"scheme": scheme, "header": header, "secret_env": secret, "format": form, "signed": signed}
        yield Checked(Sign.model_validate(values))
    for form in dict.fromkeys([prefix + encoded, encoded, f"{scheme[5:]}={{hex}}"]):
        common = {"scheme": scheme, "header": header, "secret_env": secret, "format": form}
        if timestamp:
            for signed in ("{timestamp}.{body}", "{timestamp}{body}", "{timestamp}:{body}"):
                yield Checked(Sign.model_validate({**common, "signed": signed, "timestamp_header": timestamp}))
        yield Checked(Sign.model_validate({**common, "signed": "{body}"}))


def _with_time_inside(text: str, encoded: str) -> Iterator[tuple[str, str]]:
    """Forms of a header that holds a time beside the signature, where the code takes one header apart."""
    apart = re.search(r"\.r?(?:partition|split)\(\s*[\"']([,.;:])[\"']", text)
    if apart is None:
        return
    joints = [j for j in ".:" if re.search(rf"[\"'}}]{re.escape(j)}[\"'{{]", text)] or [""]
    named, signature = _TIME_LABEL.search(text), _SIGNATURE_LABEL.search(text)
    label = signature[1] if signature else "v1"
    form = f"{named[1]}={{timestamp}}{apart[1]}{label}={encoded}" if named else f"{{timestamp}}{apart[1]}{encoded}"
    for joint in joints:
        yield form, f"{{timestamp}}{joint}{{body}}"
    yield form, "{body}"


def _digests(index: Index, function: Function) -> Iterator[str]:
    """Names of the hashes of `hmac` that a function uses."""
    for call in index.calls(function):
        name = index.resolve(function.module, call.func) or ""
        if name in ("hmac.new", "hmac.digest", "hmac.HMAC"):
            words = unparsed(call).lower()
            yield "sha1" if "sha1" in words else "sha512" if "sha512" in words else "sha256"


def _secrets(index: Index, entry: Entry, reached: list[Function], settings: list[Setting]) -> list[Setting]:
    """Settings that may hold the secret: read or named where the check is, and called one."""
    checking = [f for f in reached if any(True for _ in _digests(index, f))] or reached
    near = "\n".join(function.module.text for function in {f.module: f for f in checking}.values())
    asking = [f for f in reached if set(checking) & set(index.callees(f))]  # it may hand the secret over
    close = "\n".join(function.module.segment(function.node) for function in [*checking, *asking])
    path = entry.path.lower()

    def rank(setting: Setting) -> tuple[bool, bool, bool, bool]:
        name = setting.name.upper()
        words = [word for word in name.lower().split("_") if len(word) > 3]
        return (
            setting.name not in close and setting.name.lower() not in close,
            not re.search(r"WEBHOOK|SIGN|HOOK", name),
            not any(word in path for word in words),
            setting.name not in near and setting.name.lower() not in near,
        )

    possible = [s for s in settings if re.search(r"SECRET|SIGN|TOKEN|KEY|HOOK", s.name.upper()) and s.kind == "str"
                and not re.search(r"URL|ID$|ENABLE|HEADER", s.name.upper())]  # fmt: skip
    return sorted(possible, key=rank)
