"""One JSON object a line; ids and outcomes, never names or accounts."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone

from flask import g, has_request_context

FIELDS = ("event_id", "order", "outcome", "status", "duration_ms", "reason")


class JsonLines(logging.Formatter):
    """Takes the fields above from `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """One record."""
        entry = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(),
            "level": record.levelname.lower(),
            "name": record.name,
            "text": record.getMessage(),
        }
        if has_request_context():
            entry["request_id"] = g.get("request_id", "")
        entry.update({name: getattr(record, name) for name in FIELDS if hasattr(record, name)})
        if record.exc_info:
            entry["trace"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def set_up() -> None:
    """Replace what is set up already."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
