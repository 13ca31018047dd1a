"""The port's berth service: one client, every call with a timeout, reads retried with a growing pause."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

logger = logging.getLogger(__name__)

ATTEMPTS = 3
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
TRIP_AFTER = 5
REST_S = 10.0
RETRIED = frozenset({429, 502, 503, 504})


class BerthsUnavailable(Exception):
    """The berth service gives no answer now."""


@dataclass(frozen=True, slots=True)
class Berth:
    """What is known of a berth."""

    name: str
    depth_m: float
    next_high: str


class BerthClient:
    """Built once, in the lifespan. After some failures in a row it rests and fails at once."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._failures = 0
        self._rests_until_s = 0.0

    async def berth(self, name: str) -> Berth:
        """Depth and tide, asked for at the same time. Raises BerthsUnavailable."""
        place = quote(name, safe="")
        depth, tide = await asyncio.gather(self._read(f"/berths/{place}"), self._read(f"/tides/{place}"))
        return Berth(name, float(depth["depth_m"]), str(tide["next_high"]))

    async def _read(self, path: str) -> dict[str, Any]:
        if time.monotonic() < self._rests_until_s:
            raise BerthsUnavailable("resting after failures")
        for attempt in range(ATTEMPTS):
            try:
                answer = await self._http.get(path)
                if answer.status_code not in RETRIED:
                    answer.raise_for_status()
                    self._failures = 0
                    found: dict[str, Any] = answer.json()
                    return found
                wanted_s = _retry_after_s(answer)
            except httpx.TransportError as error:
                logger.warning("berth service not reached", extra={"path": path, "error_type": type(error).__name__})
                wanted_s = None
            except httpx.HTTPStatusError as error:
                raise BerthsUnavailable(f"refused with {error.response.status_code}") from error
            if attempt + 1 < ATTEMPTS:
                await asyncio.sleep(wanted_s if wanted_s is not None else _pause_s(attempt))
        self._failed()
        raise BerthsUnavailable(f"no answer after {ATTEMPTS} attempts")

    def _failed(self) -> None:
        self._failures += 1
        if self._failures >= TRIP_AFTER:
            self._rests_until_s = time.monotonic() + REST_S


def _pause_s(attempt: int) -> float:
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret


def _retry_after_s(answer: httpx.Response) -> float | None:
    text = answer.headers.get("Retry-After", "")
    return min(LONGEST_PAUSE_S, float(text)) if text.isdigit() else None
