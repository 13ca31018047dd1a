"""Offers load to a running server and gives the samples: the near side of the generator process."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import swarm
from swarm.config.schema import Target
from swarm.core.errors import TargetError

TIMEOUT_S = 10.0
_ANSWER_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """One request: when it was due (seconds since the run's start) and how long it took from then.

    `status` is 0 and `error` says why where no complete answer came. `ok` means an answer of 200 to 299.
    """

    due_s: float
    latency_ms: float
    status: int
    ok: bool
    error: str


@dataclass(frozen=True, slots=True)
class LoadRun:
    """One run at a fixed rate. `valid` is False where the generator itself fell behind its schedule.

    `behind_ms` is the 99th percentile of (sent - due). `rss_bytes` (peak) and `cpu_s` are the server's during
    the run, where they were sampled.
    """

    samples: tuple[Sample, ...]
    behind_ms: float
    valid: bool
    rate: float
    seconds: float
    rss_bytes: int | None = None
    cpu_s: float | None = None
    wall_s: float | None = None

    @property
    def latencies_ms(self) -> tuple[float, ...]:
        """Latencies of the good answers alone: a failed answer is an error, never a fast answer."""
        return tuple(sample.latency_ms for sample in self.samples if sample.ok)


def error_rate(runs: Sequence[LoadRun]) -> float | None:
    """Share of requests without a good answer, 0 to 1; None where nothing was sent."""
    samples = [sample for run in runs for sample in run.samples]
    return sum(not sample.ok for sample in samples) / len(samples) if samples else None


class LoadGenerator:
    """The generator process; use as `async with LoadGenerator() as generator`."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> LoadGenerator:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "swarm.bench.generator",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            env=_environment(), limit=_ANSWER_BYTES,
        )  # fmt: skip
        await self._answer(20.0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.wait()
        transport = getattr(process, "_transport", None)
        if transport is not None:
            transport.close()  # else asyncio complains when the pipes are collected after the loop

    async def run(
        self, base_url: str, target: Target, payload_root: Path, *, rate: float, seconds: float, seed: int,
        first_number: int = 0, timeout_s: float = TIMEOUT_S, numbers: Sequence[int] | None = None,
    ) -> LoadRun:  # fmt: skip
        """One run of the requests from `first_number` on, or of `numbers`.

        It ends when the last answer came or timed out. Raises TargetError where no load can be made.
        """
        order = {
            "base_url": base_url, "target": target.model_dump(mode="json", by_alias=True),
            "payload_root": str(payload_root), "rate": rate, "seconds": seconds, "seed": seed,
            "first_number": first_number, "timeout_s": timeout_s,
            "numbers": None if numbers is None else list(numbers),
        }  # fmt: skip
        async with self._turn:
            process = self._process
            if process is None or process.stdin is None:
                raise RuntimeError("the generator is not running; use `async with LoadGenerator()`")
            process.stdin.write(json.dumps(order).encode() + b"\n")
            await process.stdin.drain()
            answer = await self._answer(seconds + timeout_s + 20.0)
        samples = tuple(
            Sample(due_s, latency_ms, status, 200 <= status < 300, error)
            for due_s, latency_ms, status, error in answer["samples"]
        )
        return LoadRun(samples, answer["behind_ms"], answer["on_schedule"], rate, seconds)

    async def _answer(self, deadline_s: float) -> dict[str, Any]:
        assert self._process is not None and self._process.stdout is not None
        async with asyncio.timeout(deadline_s):
            line = await self._process.stdout.readline()
        if not line:
            raise TargetError("the load generator ended early; is the machine out of memory?")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise TargetError(f"no load could be made: {answer['failed']}; check webhooks and payloads of the target")
        return answer


@asynccontextmanager
async def at_hand(generator: LoadGenerator | None) -> AsyncIterator[LoadGenerator]:
    """The generator that is lent, still running afterwards, or one of its own."""
    if generator is not None:
        yield generator
        return
    async with LoadGenerator() as own:
        yield own


async def run_load(
    base_url: str, target: Target, payload_root: Path, *, rate: float, seconds: float, seed: int,
    first_number: int = 0,
) -> LoadRun:  # fmt: skip
    """One run of load by a generator of its own."""
    async with LoadGenerator() as generator:
        return await generator.run(
            base_url, target, payload_root, rate=rate, seconds=seconds, seed=seed, first_number=first_number
        )


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ", "TMPDIR") if name in os.environ}
    home = str(Path(swarm.__file__).resolve().parent.parent)
    return {**kept, "PYTHONPATH": home, "PYTHONDONTWRITEBYTECODE": "1"}
