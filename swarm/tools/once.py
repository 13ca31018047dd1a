"""A value that is worked out once, by whoever needs it first, and shared by all who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """Keeps the first result. A failure or a cancellation is not kept: the next caller tries again."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._value: tuple[T] | None = None

    async def get(self, make: Callable[[], Awaitable[T]]) -> T:
        """The value, made by `make` where there is none yet."""
        async with self._lock:
            if self._value is None:
                self._value = (await make(),)
            return self._value[0]

    @property
    def value(self) -> T | None:
        """What was made so far."""
        return self._value[0] if self._value else None

    async def settled(self) -> T | None:
        """What was made, after whoever is making it has ended."""
        async with self._lock:
            return self.value

    def forget(self) -> None:
        """The next caller makes it anew."""
        self._value = None
