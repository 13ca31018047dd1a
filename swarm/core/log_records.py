"""Which calls hand a service's own log or its telemetry over: they tell of the code, and change nothing else."""

from __future__ import annotations

import json
import re
from typing import Any

# Sentry, Loki, OpenTelemetry, Datadog, Splunk
_COLLECTORS = re.compile(
    r"/api/\d+/(?:envelope|store)/?$|/loki/api/v1/push$|/v1/(?:logs|traces|metrics)$|/api/v2/logs$|/v1/input(?:/\w+)?$"
    r"|/services/collector(?:/\w+)*$"
)
_LEVEL = re.compile(r"(?:log_?)?(?:level(?:_?name)?|severity)")
_MESSAGE = re.compile(r"(?:log_?)?(?:message|msg)")
_PLACE = re.compile(r"(?:line_?(?:no|number)|lineno|func(?:_?name|tion(?:_?name)?)?|path_?name|logger(?:_?name)?)")


def hands_over_log(method: str, path: str, body: bytes) -> bool:
    """Whether a call only ships log records: to a collector, or as JSON records with level, message and place."""
    if method != "POST":
        return False
    if _COLLECTORS.search(path):
        return True
    if b"essage" not in body and b"msg" not in body:
        return False
    try:
        sent = json.loads(body)
    except ValueError:
        return False
    records = sent if isinstance(sent, list) else [sent]
    return bool(records) and all(_is_record(record) for record in records)


def _is_record(record: Any) -> bool:
    if not isinstance(record, dict):
        return False
    names = [str(name).lower() for name in record]
    return all(any(kind.fullmatch(name) for name in names) for kind in (_LEVEL, _MESSAGE, _PLACE))
