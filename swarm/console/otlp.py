"""Sends spans to an OTLP collector while the run goes on: a bounded queue, a thread, a line where that fails."""

from __future__ import annotations

import atexit
import json
import queue
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

MOST_WAITING = 2_048  # spans; those that come on top are left out, and counted
MOST_AT_ONCE = 256
GATHER_S = 0.5  # how long a span waits for company
_TIMEOUT_S = 5.0
_LAST_S = 3.0  # how long a run's end waits for the last spans


class SpanSender:
    """`send` never blocks and never raises; `close` waits a moment for what is left. One line on stderr in all."""

    def __init__(self, url: str, headers: Mapping[str, str], service: str) -> None:
        self._url, self._headers = url, {"Content-Type": "application/json", **headers}
        self._resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
        self._waiting: queue.Queue[dict[str, Any] | None] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._left_out = 0
        self._failing = self._told = self._closed = False

    def send(self, span: dict[str, Any]) -> None:
        """Take a span that has ended; its dictionary is not to be changed any more."""
        if self._closed:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="otlp", daemon=True)
            self._thread.start()
            atexit.register(self.close)  # a run that ends by an error has no last event
        try:
            self._waiting.put_nowait(span)
        except queue.Full:
            self._left_out += 1

    def close(self) -> None:
        """Send what waits, for a few seconds at most: not at all where the collector does not answer anyhow."""
        if self._closed or self._thread is None:
            return
        self._closed = True
        if self._failing:
            return
        try:
            self._waiting.put_nowait(None)
            self._thread.join(_LAST_S)
        except queue.Full:
            pass
        left = self._left_out + self._waiting.qsize()
        if left:
            self._tell(f"{left} spans of the trace were left out: {self._url} is too slow")

    def _work(self) -> None:
        ended = False
        while not ended:
            batch = [self._waiting.get()]
            until_s = time.monotonic() + GATHER_S
            while len(batch) < MOST_AT_ONCE and batch[-1] is not None:
                try:
                    batch.append(self._waiting.get(timeout=max(0.0, until_s - time.monotonic())))
                except queue.Empty:
                    break
            ended = batch[-1] is None
            spans = [span for span in batch if span is not None]
            if spans:
                self._post(spans)

    def _post(self, spans: list[dict[str, Any]]) -> None:
        scoped = {"scope": {"name": "swarm"}, "spans": spans}
        try:
            body = json.dumps({"resourceSpans": [{"resource": self._resource, "scopeSpans": [scoped]}]}).encode()
            request = urllib.request.Request(self._url, body, self._headers)
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
                answer.read()
            self._failing = False
        except Exception as error:  # noqa: BLE001 - whatever is wrong with traces, the run goes on
            self._failing = True
            self._tell(f"traces cannot be sent to {self._url}: {error}")

    def _tell(self, words: str) -> None:
        if not self._told:
            self._told = True
            sys.stderr.write(f"swarm: {words}\n")
