"""Who may call the GoHighLevel emulator, and how often."""

import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

Clock = Callable[[], float]


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Tokens:
    """Private integration tokens (any, or the given ones) and expiring OAuth tokens.

    A token belongs to one location, so a private token stands for its location.
    """

    def __init__(self, keys: Iterable[str] = (), ttl_s: int = 86399, clock: Clock = time.monotonic) -> None:
        self.keys = set(keys)
        self.ttl_s = ttl_s
        self.clock = clock
        self.issued: dict[str, tuple[float, str]] = {}
        self.refreshable: dict[str, str] = {}

    def location_of(self, authorization: str) -> str:
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Refused(401, "Invalid JWT")
        if token.startswith("oauth-"):
            expires, location = self.issued.get(token, (0.0, ""))
            if self.clock() >= expires:
                raise Refused(401, "Invalid JWT")
            return location
        if self.keys and token not in self.keys:
            raise Refused(401, "Invalid JWT")
        return f"private:{token}"

    def grant(self, form: dict[str, str]) -> dict[str, Any]:
        if not form.get("client_id") or not form.get("client_secret"):
            raise Refused(401, "Invalid client credentials!")
        kind = form.get("grant_type")
        if kind == "refresh_token":
            location = self.refreshable.pop(form.get("refresh_token", ""), "")
            if not location:
                raise Refused(400, "Invalid refresh token")
        elif kind == "authorization_code" and form.get("code"):
            location = form.get("location_id") or f"loc_{form['code']}"
        else:
            raise Refused(400, "Invalid grant")
        access, refresh = f"oauth-{uuid.uuid4().hex}", f"refresh-{uuid.uuid4().hex}"
        self.issued[access] = (self.clock() + self.ttl_s, location)
        self.refreshable[refresh] = location
        return {
            "access_token": access,
            "refresh_token": refresh,
            "token_type": "Bearer",
            "expires_in": self.ttl_s,
            "scope": "contacts.readonly contacts.write opportunities.write",
            "userType": "Location",
            "locationId": location,
        }


class RateLimit:
    """A burst limit per 10 seconds and a daily one, both by location."""

    INTERVAL_S = 10.0
    DAILY = 200_000

    def __init__(self, burst: int = 100, clock: Clock = time.monotonic) -> None:
        self.burst = burst
        self.clock = clock
        self.windows: dict[str, tuple[float, int]] = {}
        self.today: dict[str, int] = {}

    def take(self, location: str) -> tuple[bool, dict[str, str]]:
        now = self.clock()
        started, used = self.windows.get(location, (now, 0))
        if now - started >= self.INTERVAL_S:
            started, used = now, 0
        daily = self.today.get(location, 0)
        allowed = used < self.burst and daily < self.DAILY
        if allowed:
            used, daily = used + 1, daily + 1
        self.windows[location] = (started, used)
        self.today[location] = daily
        return allowed, {
            "X-RateLimit-Limit-Daily": str(self.DAILY),
            "X-RateLimit-Daily-Remaining": str(self.DAILY - daily),
            "X-RateLimit-Interval-Milliseconds": str(int(self.INTERVAL_S * 1000)),
            "X-RateLimit-Max": str(self.burst),
            "X-RateLimit-Remaining": str(self.burst - used),
        }
