"""What every request goes through: an id, a limit of rate, figures, answers that tell nothing of the inside."""

from __future__ import annotations

import logging
import re
import threading
import time
import uuid
from collections import Counter

from flask import Flask, Response, current_app, g, jsonify, request
from werkzeug.exceptions import HTTPException, TooManyRequests

logger = logging.getLogger(__name__)
_SANE = re.compile(r"^[\w.-]{8,64}$", re.ASCII)


class Figures:
    """Requests and seconds by endpoint and status; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._seconds: Counter[str] = Counter()

    def observe(self, endpoint: str, status: int, seconds: float) -> None:
        """Count one request."""
        with self._lock:
            self._requests[endpoint, status] += 1
            self._seconds[endpoint] += seconds

    def lines(self) -> list[str]:
        """Prometheus' text format."""
        with self._lock:
            counts = [
                f'http_requests_total{{endpoint="{endpoint}",status="{status}"}} {count}'
                for (endpoint, status), count in sorted(self._requests.items())
            ]
            sums = [
                f'http_request_seconds_sum{{endpoint="{endpoint}"}} {seconds:.6f}'
                for endpoint, seconds in sorted(self._seconds.items())
            ]
        return ["# TYPE http_requests_total counter", *counts, "# TYPE http_request_seconds_sum counter", *sums]


class RateLimit:
    """A window of a minute for the service as a whole."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._lock = threading.Lock()
        self._window, self._taken = 0, 0

    def allows(self, now_s: float) -> bool:
        """Whether one more may come in."""
        with self._lock:
            window = int(now_s // 60)
            if window != self._window:
                self._window, self._taken = window, 0
            self._taken += 1
            return self._taken <= self._per_minute


def init_app(app: Flask) -> None:
    """Put the hooks around the application."""
    app.extensions["figures"] = Figures()
    app.extensions["rate_limit"] = RateLimit(app.config["SETTINGS"].requests_per_minute)
    app.before_request(_begin)
    app.after_request(_end)
    app.register_error_handler(HTTPException, _refused)
    app.register_error_handler(Exception, _broken)


def _begin() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _SANE.match(given) else uuid.uuid4().hex
    g.began_s = time.perf_counter()
    if request.endpoint == "payments.take" and not current_app.extensions["rate_limit"].allows(time.time()):
        raise TooManyRequests(retry_after=1)


def _end(response: Response) -> Response:
    seconds = time.perf_counter() - g.get("began_s", time.perf_counter())
    current_app.extensions["figures"].observe(request.endpoint or "none", response.status_code, seconds)
    response.headers["X-Request-ID"] = g.get("request_id", "")
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _refused(error: HTTPException) -> tuple[Response, int, dict[str, str]]:
    headers = {name: value for name, value in error.get_headers() if name in ("Retry-After", "Allow")}
    return jsonify(error=error.name), error.code or 500, headers


def _broken(error: Exception) -> tuple[Response, int]:
    logger.error("a request failed", exc_info=error)
    return jsonify(error="Internal Server Error"), 500
