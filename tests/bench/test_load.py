"""Load for real: the generator process against a server in this one, side by side, and capacity."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from swarm.bench.capacity import find_capacity, judge, settled
from swarm.bench.load import LoadGenerator, LoadRun, Sample, error_rate, run_load
from swarm.bench.sidebyside import compare, measure_sides, resources, slice_order
from swarm.bench.watched import Watched
from swarm.config.schema import Target
from swarm.core.errors import TargetError
from swarm.target.upstream.calls import CallLog
from swarm.target.upstream.view import View

TARGET = Target.model_validate(
    {
        "path": ".",
        "start": "serve --port {port}",
        "webhooks": [{"path": "/hook", "payloads": [{"id": "{{uuid}}", "n": "{{int:1:500}}"}]}],
    }
)


class Peer:
    """Answers after `delay_s`, `workers` at a time; every `fails_each`th answer is a 500."""

    def __init__(self, delay_s: float, workers: int, fails_each: int) -> None:
        self.delay_s, self.fails_each = delay_s, fails_each
        self.places = asyncio.Semaphore(workers)
        self.bodies: list[bytes] = []
        self.base_url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.bodies.append(await reader.readexactly(length))
                bad = self.fails_each and len(self.bodies) % self.fails_each == 0
                async with self.places:
                    await asyncio.sleep(0 if bad else self.delay_s)
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nok" % (500 if bad else 200))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def rss_bytes(self) -> int:
        return 50_000_000 + len(self.bodies)

    def cpu_s(self) -> float:
        return len(self.bodies) * 0.001


@asynccontextmanager
async def peer(delay_s: float = 0.02, workers: int = 500, fails_each: int = 0) -> AsyncIterator[Peer]:
    own = Peer(delay_s, workers, fails_each)
    server = await asyncio.start_server(own.serve, "127.0.0.1", 0)
    own.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield own
    server.close()


@pytest.mark.alone
async def test_requests_come_at_their_rate_and_count_from_their_due_time(tmp_path: Path) -> None:
    async with peer(0.03) as server:
        run = await run_load(server.base_url, TARGET, tmp_path, rate=40, seconds=1, seed=3)
    assert len(run.samples) == 40 == len(server.bodies)
    assert [round(sample.due_s * 40) for sample in run.samples] == list(range(40))
    assert all(sample.ok and sample.latency_ms >= 29 for sample in run.samples)
    assert len({json.loads(body)["id"] for body in server.bodies}) == 40


@pytest.mark.alone
async def test_a_queue_in_the_server_shows_in_the_latency(tmp_path: Path) -> None:
    # one worker of 50 ms takes 20/s; at 40/s the last of 40 waits for about a second: a closed loop would hide it
    async with peer(0.05, workers=1) as server:
        run = await run_load(server.base_url, TARGET, tmp_path, rate=40, seconds=1, seed=3)
    assert run.samples[-1].latency_ms > 800


async def test_the_same_numbers_send_the_same_requests_and_failures_are_errors(tmp_path: Path) -> None:
    async with peer(0.02) as good, peer(0.02, fails_each=4) as bad, LoadGenerator() as generator:
        first = await generator.run(good.base_url, TARGET, tmp_path, rate=50, seconds=0.4, seed=3, first_number=7)
        second = await generator.run(bad.base_url, TARGET, tmp_path, rate=50, seconds=0.4, seed=3, first_number=7)
    numbers = [sorted(json.loads(body)["n"] for body in server.bodies) for server in (good, bad)]
    assert numbers[0] == numbers[1]
    assert (error_rate([first]), error_rate([second])) == (0.0, 0.25)
    assert len(second.latencies_ms) == 15
    assert min(second.latencies_ms) >= 19  # no fast failure among them


async def test_nobody_there_is_all_errors_and_no_webhooks_is_a_target_error(tmp_path: Path) -> None:
    async with LoadGenerator() as generator:
        run = await generator.run("http://127.0.0.1:9", TARGET, tmp_path, rate=20, seconds=0.2, seed=1)
        assert error_rate([run]) == 1.0
        assert run.latencies_ms == ()
        broken = TARGET.model_copy(
            update={"webhooks": [TARGET.webhooks[0].model_copy(update={"payloads": ["no.json"]})]}
        )
        with pytest.raises(TargetError):
            await generator.run("http://127.0.0.1:9", broken, tmp_path, rate=20, seconds=0.2, seed=1)
        again = await generator.run("http://127.0.0.1:9", TARGET, tmp_path, rate=20, seconds=0.2, seed=1)
        assert len(again.samples) == 4  # it lives on


def test_no_side_is_always_first() -> None:
    assert slice_order(["A", "B"], 4) == list("ABBABAAB")
    order = slice_order(["A", "B", "C"], 6)
    assert {order[3 * n] for n in range(6)} == {"A", "B", "C"}
    assert all(order.count(name) == 6 for name in "ABC")


@pytest.mark.alone
async def test_side_by_side_finds_a_faster_server_and_leaves_the_cold_start_out(tmp_path: Path) -> None:
    told: list[str] = []
    async with peer(0.120) as slow, peer(0.030) as fast:
        sides = await measure_sides(
            {"before": slow, "after": fast}, TARGET, tmp_path, rate=30, slice_s=0.3, rounds=4, seed=5, warmup=4,
            progress=told.append,
        )  # fmt: skip
        sent = [sorted(json.loads(body)["n"] for body in server.bodies) for server in (slow, fast)]
    assert sent[0] == sent[1]
    assert [len(side.runs) for side in sides.values()] == [4, 4]
    cold = sides["before"].cold
    assert cold is not None and len(cold.samples) == 4
    comparison = compare("webhook_latency", sides["before"].runs, sides["after"].runs, seed=1)
    assert comparison.ratio_p50 is not None and comparison.ratio_p50.change == "better"
    assert 0.2 < comparison.ratio_p50.value < 0.6
    assert comparison.before is not None and comparison.before.n == 36 == len(comparison.before_samples)
    use = resources(sides["after"].runs)
    assert use.rss_mb == 50.0 and use.cpu_percent is not None and 0 < use.cpu_percent < 50
    assert len(told) == 10


def run_of(latencies_ms: list[float], *, failed: int = 0, valid: bool = True) -> LoadRun:
    samples = [Sample(0.0, latency, 200, True, "") for latency in latencies_ms]
    samples += [Sample(0.0, 1.0, 500, False, "")] * failed
    return LoadRun(tuple(samples), 0.0, valid, 10, 1)


def test_a_comparison_says_what_it_cannot_judge() -> None:
    comparison = compare("x", [run_of([10, 11], failed=2), run_of([10], valid=False)], [run_of([], failed=3)], 1)
    assert comparison.after is None and comparison.ratio_p95 is None
    for part in ("fell behind its schedule in 1 of 3", "errors 40.0% before, 100.0% after", "no ratio"):
        assert part in comparison.note


def test_slices_of_which_each_side_failed_another_give_no_ratio() -> None:
    before = [run_of([10.0]), run_of([], failed=1), run_of([11.0])]
    after = [run_of([], failed=1), run_of([10.0]), run_of([11.0])]
    comparison = compare("x", before, after, 1)
    assert comparison.before is not None and comparison.ratio_p95 is None and "no ratio" in comparison.note


def test_a_step_that_a_limit_refused_is_told_from_one_that_was_too_much() -> None:
    limited = LoadRun((*run_of([1.0] * 5).samples, *[Sample(0.0, 1.0, 429, False, "")] * 5), 0.0, True, 10, 1)
    assert judge(limited, 100.0).limited and judge(limited, 100.0).passed is False
    assert not judge(run_of([1.0], failed=5), 100.0).limited


async def test_what_an_overload_left_is_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("swarm.bench.capacity.LOOK_S", 0.01)
    used = iter([1.0, 1.2, 1.4, 1.4, 9.0])
    looks: list[float] = []

    def cpu_s() -> float:
        looks.append(next(used))
        return looks[-1]

    async with peer(0.001) as server:
        busy = watched(server)
        monkeypatch.setattr(server, "cpu_s", cpu_s)
        await settled(busy)
    assert looks == [1.0, 1.2, 1.4, 1.4]


@pytest.mark.alone
async def test_capacity_is_found_between_steps(tmp_path: Path) -> None:
    # 2 workers of 25 ms take 80/s: 50 passes, 75 passes, 112 queues up
    async with peer(0.025, workers=2) as server:
        found = await find_capacity(
            watched(server), TARGET, tmp_path, start_rate=30, step_s=0.6, max_steps=6, seed=1, p95_bound_ms=150
        )
    assert found.rps is not None and 40 <= found.rps <= 95
    assert found.steps[-1].rate < max(step.rate for step in found.steps) or found.steps[-1].passed is False
    assert "1%" in found.criterion and "150 ms" in found.criterion


async def test_a_rate_whose_work_goes_on_and_on_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarm.bench.capacity.QUIET_S", 0.3)
    monkeypatch.setattr("swarm.bench.capacity.SETTLE_S", 0.1)
    async with peer(0.001) as server:
        busy = watched(server)
        with busy.view.log.flight():  # answers at once, and works behind them
            found = await find_capacity(busy, TARGET, tmp_path, start_rate=20, step_s=0.3, max_steps=2, seed=1)
        assert found.rps is None
        assert [(step.passed, step.quiet) for step in found.steps] == [(False, False)] * 2
        found = await find_capacity(busy, TARGET, tmp_path, start_rate=20, step_s=0.3, max_steps=1, seed=1)
        assert found.rps == 20


def watched(server: Peer) -> Watched:
    """A server whose upstreams are always quiet."""
    return Watched(server, View(CallLog(), {}, {}, ()))


def test_failed_answers_are_slow_ones_for_capacity() -> None:
    assert judge(run_of([10.0] * 90, failed=10), 100).passed is False
    assert judge(run_of([10.0] * 100), 100).passed is True
    assert judge(run_of([500.0] * 100, valid=False), 100).passed is None


async def test_a_generator_cannot_outlive_whoever_started_it(tmp_path: Path) -> None:
    generator = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "swarm.bench.generator",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert generator.stdin is not None and generator.stdout is not None
    assert json.loads(await generator.stdout.readline()) == {"ready": True}
    order = {
        "base_url": "http://127.0.0.1:9", "target": TARGET.model_dump(mode="json", by_alias=True),
        "payload_root": str(tmp_path), "rate": 5, "seconds": 60, "seed": 1,
    }  # fmt: skip
    generator.stdin.write(json.dumps(order).encode() + b"\n")
    await generator.stdin.drain()
    await asyncio.sleep(0.3)
    assert generator.returncode is None
    generator.stdin.close()  # as when swarm is killed in the middle of a run
    async with asyncio.timeout(5):
        await generator.wait()
