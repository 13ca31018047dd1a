"""How many deliveries a minute are taken: a token bucket for the service as a whole."""

from __future__ import annotations

import time
from collections.abc import Callable


class TokenBucket:
    """Refills steadily; holds a minute's worth at most."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_minute / 60
        self._most = float(per_minute)
        self._left = float(per_minute)
        self._clock = clock
        self._seen_s = clock()

    def take(self) -> bool:
        """Whether one more may come in now."""
        now_s = self._clock()
        self._left = min(self._most, self._left + (now_s - self._seen_s) * self._per_s)
        self._seen_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True
