"""Short forms of what widely known senders deliver, for services that hand bodies on unread."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from swarm.analysis.parts import Function
from swarm.intake.values.examples import plausible

_SHA = "0123456789abcdef0123456789abcdef01234567"
_PERSON = {"id": 1001, "login": "octocat", "name": "octocat",
           "html_url": "https://github.com/octocat", "type": "User",
           "avatar_url": "https://avatars.githubusercontent.com/u/1001"}  # fmt: skip
_REPOSITORY = {
    "id": 2002, "name": "example", "full_name": "octocat/example",
    "html_url": "https://github.com/octocat/example",
    "clone_url": "https://github.com/octocat/example.git", "default_branch": "main", "private": False,
    "owner": _PERSON,
}  # fmt: skip
_COMMIT = {
    "id": _SHA, "message": "Fix {{uuid}}", "url": f"https://github.com/octocat/example/commit/{_SHA}",
    "timestamp": "{{now}}", "added": [], "removed": [], "modified": ["README.md"],
    "author": {"name": "octocat", "email": "octocat@example.com", "username": "octocat"},
}  # fmt: skip
_GITHUB = {
    "ref": "refs/heads/main", "before": _SHA, "after": _SHA,
    "compare": "https://github.com/octocat/example/compare/a...b",
    "repository": _REPOSITORY, "sender": _PERSON, "pusher": {"name": "octocat", "email": "octocat@example.com"},
    "commits": [_COMMIT], "head_commit": _COMMIT,
}  # fmt: skip
_STRIPE = {
    "id": "evt_{{uuid}}", "object": "event", "type": "checkout.session.completed", "created": 1700000000,
    "livemode": False, "data": {"object": {
        "id": "cs_{{uuid}}", "object": "checkout.session", "amount_total": 1250, "currency": "usd",
        "customer": "cus_{{uuid}}", "customer_email": "{{uuid}}@example.com", "payment_status": "paid",
        "metadata": {}, "mode": "payment", "subscription": None, "client_reference_id": "{{uuid}}",
        "customer_details": {"email": "{{uuid}}@example.com", "name": "Ada Example", "phone": None},
    }},
}  # fmt: skip
_SLACK = {
    "type": "event_callback", "team_id": "T1", "api_app_id": "A1", "event_id": "Ev{{uuid}}", "event_time": 1700000000,
    "event": {"type": "message", "channel": "C1", "user": "U1", "text": "hello", "ts": "1700000000.000100"},
}  # fmt: skip
_COMMAND = {
    "token": "t", "team_id": "T1", "team_domain": "example", "channel_id": "C1", "channel_name": "general",
    "user_id": "U1", "user_name": "ada", "command": "/help", "text": "", "trigger_id": "{{uuid}}",
    "response_url": "https://hooks.slack.com/commands/T1/1/x", "api_app_id": "A1",
}  # fmt: skip
_TELEGRAM = {
    "update_id": "{{int:1:900000}}", "message": {
        "message_id": "{{int:1:900000}}", "date": 1700000000, "text": "hello",
        "from": {"id": 1001, "is_bot": False, "first_name": "Ada", "username": "ada"},
        "chat": {"id": 1001, "type": "private", "first_name": "Ada", "username": "ada"},
    },
}  # fmt: skip
_ALERT = {
    "status": "firing",
    "labels": {"alertname": "HighLatency", "severity": "critical", "instance": "a:9100", "job": "node"},
    "annotations": {"summary": "High latency", "description": "p95 above 500 ms"}, "startsAt": "{{now}}",
    "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://prometheus.example/graph", "fingerprint": "{{uuid}}",
}  # fmt: skip
_ALERTMANAGER = {
    "version": "4", "groupKey": "{}:{alertname=\"HighLatency\"}", "status": "firing", "receiver": "webhook",
    "groupLabels": {"alertname": "HighLatency"},
    "commonLabels": {"alertname": "HighLatency", "severity": "critical"},
    "commonAnnotations": {"summary": "High latency"},
    "externalURL": "http://alertmanager.example",
    "truncatedAlerts": 0,
    "alerts": [_ALERT],
}  # fmt: skip
_WHATSAPP = {
    "object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"field": "messages", "value": {
        "messaging_product": "whatsapp", "metadata": {"display_phone_number": "15555550100", "phone_number_id": "1"},
        "contacts": [{"profile": {"name": "Ada"}, "wa_id": "15555550101"}],
        "messages": [{"from": "15555550101", "id": "wamid.{{uuid}}", "timestamp": "1700000000", "type": "text",
                      "text": {"body": "hello"}}],
    }}]}],
}  # fmt: skip
_MESSENGER = {
    "object": "page", "entry": [{"id": "2002", "time": 1700000000, "messaging": [{
        "sender": {"id": "1001"}, "recipient": {"id": "2002"}, "timestamp": 1700000000,
        "message": {"mid": "m_{{uuid}}", "text": "hello"},
    }]}],
}  # fmt: skip
_TWILIO = {"MessageSid": "SM{{uuid}}", "From": "+15555550101", "To": "+15555550100", "Body": "hello", "NumMedia": "0"}
_META = re.compile(r"whatsapp|wa_id|messaging_product|hub\.(mode|challenge|verify_token)|facebook|instagram")
_SENDERS: tuple[tuple[str, dict[str, Any], bool], ...] = (
    (r"x-github-event|x-hub-signature|github", _GITHUB, False),
    (r"stripe", _STRIPE, False),
    (r"slack.*(command|slash)|(command|slash).*slack", _COMMAND, True),
    (r"slack", _SLACK, False),
    (r"alertmanager|commonlabels|grouplabels|generatorurl", _ALERTMANAGER, False),
    (r"telegram|tg_?bot|aiogram", _TELEGRAM, False),
    (r"whatsapp|wa_id|messaging_product", _WHATSAPP, False),
    (r"messenger|facebook|instagram", _MESSENGER, False),
    (r"twilio", _TWILIO, True),
)  # fmt: skip


def known_body(words: Sequence[str], *, is_form: bool = False) -> tuple[dict[str, Any], bool] | None:
    """The body of the sender that one of these words names, the strongest word first, and whether it is a form.

    Where the route `is_form`, of those alone that send forms.
    """
    is_meta = {"entry", "object"} <= set(words) or any(_META.search(text.lower()) for text in words)
    for text in words:
        for pattern, body, sends_form in _SENDERS:
            if re.search(pattern, text.lower()) and (sends_form or not is_form):
                if body is _GITHUB and is_meta and "github" not in text.lower():  # Meta signs under the same header
                    pages = any(re.search(r"messenger|facebook|instagram", word.lower()) for word in words)
                    return (_MESSENGER if pages and "whatsapp" not in " ".join(words).lower() else _WHATSAPP), False
                return body, sends_form
    return None


def hosts_called(functions: Iterable[Function]) -> list[str]:
    """The hosts that stand in the modules of these functions."""
    texts = {function.module.path: function.module.text for function in functions}
    return sorted({host for text in texts.values() for host in re.findall(r"https://([\w.-]+)", text)})


def merged(known: Mapping[str, Any], read: Mapping[str, Any]) -> dict[str, Any]:
    """The known body with the fields that the code reads beside it, and the values that it compares with."""
    found = dict(known)
    for key, value in read.items():
        if key not in found or (isinstance(value, str | int) and value != plausible(key)):
            found[key] = value
        elif isinstance(found[key], dict) and isinstance(value, dict):
            found[key] = merged(found[key], value)
    return found
