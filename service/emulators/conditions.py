"""What a remote API feels like: latency, jitter and now and then a failure."""

import argparse
import asyncio
import random
from dataclasses import dataclass, field


@dataclass
class Conditions:
    latency_ms: float
    jitter_ms: float
    error_rate: float
    rng: random.Random = field(default_factory=random.Random)

    async def wait(self) -> None:
        delay_ms = self.latency_ms + self.rng.uniform(-self.jitter_ms, self.jitter_ms)
        await asyncio.sleep(max(0.0, delay_ms) / 1000)

    def fails(self) -> bool:
        return self.rng.random() < self.error_rate


def parser(description: str, latency_ms: float, jitter_ms: float) -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--latency-ms", type=float, default=latency_ms)
    options.add_argument("--jitter-ms", type=float, default=jitter_ms)
    options.add_argument("--error-rate", type=float, default=0.02)
    options.add_argument("--seed", type=int, default=None, help="same seed, same weather")
    return options


def from_options(options: argparse.Namespace, name: str) -> Conditions:
    rng = random.Random() if options.seed is None else random.Random(f"{name}:{options.seed}")
    return Conditions(options.latency_ms, options.jitter_ms, options.error_rate, rng)
