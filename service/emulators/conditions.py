"""What a remote API feels like: latency, jitter, a handshake for each new connection, now and then a failure."""

import argparse
import asyncio
import random
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Conditions:
    latency_ms: float
    jitter_ms: float
    error_rate: float
    rng: random.Random = field(default_factory=random.Random)
    handshake_ms: float = 0.0
    connections: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict)

    def is_new_connection(self, client: tuple[str, int] | None) -> bool:
        """Whether this is the first request of its connection.

        uvicorn makes one address tuple a connection, so a port that is used again is told apart by identity.
        """
        if client is None or self.connections.get(client) is client:
            return False
        self.connections[client] = client
        return True

    async def wait(self, scope: MutableMapping[str, Any]) -> None:
        """The time of one answer, and on a new connection that of TCP and TLS over the distance."""
        delay_ms = self.latency_ms + self.rng.uniform(-self.jitter_ms, self.jitter_ms)
        if self.handshake_ms and self.is_new_connection(scope.get("client")):
            delay_ms += self.handshake_ms
        await asyncio.sleep(max(0.0, delay_ms) / 1000)

    def fails(self) -> bool:
        return self.rng.random() < self.error_rate


def parser(
    description: str, latency_ms: float, jitter_ms: float, handshake_ms: float
) -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--latency-ms", type=float, default=latency_ms)
    options.add_argument("--jitter-ms", type=float, default=jitter_ms)
    options.add_argument("--handshake-ms", type=float, default=handshake_ms, help="on each new connection")
    options.add_argument("--error-rate", type=float, default=0.01)
    options.add_argument("--seed", type=int, default=None, help="same seed, same weather")
    return options


def from_options(options: argparse.Namespace, name: str) -> Conditions:
    rng = random.Random() if options.seed is None else random.Random(f"{name}:{options.seed}")
    return Conditions(
        options.latency_ms,
        options.jitter_ms,
        options.error_rate,
        rng,
        handshake_ms=options.handshake_ms,
    )
