"""Alive, ready, and how it is doing."""

from __future__ import annotations

import logging
import sqlite3

from flask import Blueprint, Response, current_app, jsonify

from mill_ledger import ledger

logger = logging.getLogger(__name__)
blueprint = Blueprint("health", __name__)


@blueprint.get("/health")
def health() -> Response:
    """Alive."""
    return jsonify(status="ok")


@blueprint.get("/ready")
def ready() -> tuple[Response, int]:
    """Whether the ledger can be read."""
    try:
        ledger.connection().execute("SELECT 1 FROM payments LIMIT 1")
    except sqlite3.Error:
        logger.exception("the ledger cannot be read")
        return jsonify(status="unavailable"), 503
    return jsonify(status="ok"), 200


@blueprint.get("/metrics")
def metrics() -> Response:
    """Figures; the proxy lets only Prometheus come here."""
    lines = current_app.extensions["figures"].lines()
    return Response("\n".join(lines) + "\n", mimetype="text/plain")
