"""Carries out `swarm bench`."""

from __future__ import annotations

import asyncio
import math
import shutil
from contextlib import AsyncExitStack
from pathlib import Path

from swarm.bench.load import LoadRun, error_rate
from swarm.bench.sidebyside import compare, measure_alternating, resources
from swarm.bench.statistics import summarize
from swarm.cli.run_folders import config_of, config_words
from swarm.cli.say import next_command, say
from swarm.config.choice import Choice, choose
from swarm.core.errors import UsageError
from swarm.core.metrics import Summary
from swarm.core.place import TargetPlace
from swarm.runtime import new_run_id
from swarm.target.processes.children import reap_orphans
from swarm.target.processes.scratch import scratch_folder
from swarm.target.running.server import RunningServer, start_server
from swarm.target.tree.copies import make_copy
from swarm.target.tree.place import resolve_place
from swarm.target.upstream.upstreams import Upstreams

ROUNDS = 4
SEED = 7


def run_bench(
    word: str | None, config: Path | None, against: Path | None, rate: float | None, seconds: float | None
) -> int:
    """Measure one tree, or two side by side (`rate` in requests a second), and print the figures; the exit code.

    Raises UsageError for a rate or a time that is not above 0, and for a target without webhooks.
    """
    for name, value in (("--rate", rate), ("--seconds", seconds)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise UsageError(f"{name} {value:g} must be more than 0")
    choice = choose(word, config)
    if not choice.target.webhooks:
        raise UsageError(f"target {choice.target_name!r} names no webhooks; add `webhooks:` to load them")
    rate, seconds = rate or choice.target.load.rate, seconds or choice.target.load.seconds
    places = {"this tree": resolve_place(choice.target_name, choice.target, choice.folder)}
    if against is not None:
        other = choice.target.model_copy(update={"path": str(against.resolve()), "cwd": _other_cwd(choice, against)})
        places["the other"] = resolve_place(choice.target_name, other, choice.folder)
    reap_orphans()
    scratch = scratch_folder(new_run_id("bench"))
    say(f"{choice.target_name}: {rate:g} requests/s, {seconds:g} s a tree, in {ROUNDS} slices")
    try:
        runs = asyncio.run(_measure(choice, places, scratch, rate, seconds))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for name, measured in runs.items():
        _tell(name, measured)
    if against is not None:
        whole = compare("webhook latency", runs["this tree"], runs["the other"], SEED)
        for label, ratio in (("p50", whole.ratio_p50), ("p95", whole.ratio_p95)):
            if ratio:
                low, high = ratio.ci95
                say(f"{label}: the other / this = {ratio.value:.2f} [{low:.2f}, {high:.2f}]: {ratio.change}")
    next_command(" ".join(["swarm run", choice.target_name, *config_words(config_of(choice))]))
    return 0


def _other_cwd(choice: Choice, against: Path) -> str | None:
    """The other tree's cwd lies to it as the target's own cwd lies to the target."""
    if choice.target.cwd is None:
        return None
    own_path = (choice.folder / choice.target.path).resolve()
    own_cwd = (choice.folder / choice.target.cwd).resolve()
    try:
        below = own_path.relative_to(own_cwd)
    except ValueError:
        return str(against.resolve() / own_cwd.relative_to(own_path))
    root = against.resolve()
    return str(root.parents[len(below.parts) - 1]) if below.parts else str(root)


async def _measure(
    choice: Choice, places: dict[str, TargetPlace], scratch: Path, rate: float, seconds: float
) -> dict[str, tuple[LoadRun, ...]]:
    target = choice.target
    first = next(iter(places.values()))
    async with AsyncExitStack() as stack:
        copies = {name: make_copy(place, scratch / name.replace(" ", "-")) for name, place in places.items()}
        base = next(iter(copies.values()))
        upstreams = await Upstreams.start(first, base, target, tmp=scratch / "upstreams", seed=SEED)
        stack.push_async_callback(upstreams.stop)
        servers: dict[str, RunningServer] = {}
        for name, place in places.items():
            servers[name] = await start_server(
                place, copies[name], target, upstream_env=upstreams.env, inject=upstreams.inject,
                tmp=scratch / f"{name.replace(' ', '-')}-tmp",
            )  # fmt: skip
            stack.push_async_callback(servers[name].stop)
        return await measure_alternating(
            servers, target, first.path, rate=rate, slice_s=seconds / ROUNDS, rounds=ROUNDS, seed=SEED
        )


def _tell(name: str, runs: tuple[LoadRun, ...]) -> None:
    latencies = [value for run in runs for value in run.latencies_ms]
    sent = sum(len(run.samples) for run in runs)
    if not latencies:
        say(f"{name}: no good answer to {sent} requests")
        return
    summary: Summary = summarize(latencies)
    errors, used = error_rate(runs), resources(runs)
    say(
        f"{name}: p50 {summary.p50:.0f} · p95 {summary.p95:.0f} · p99 {summary.p99:.0f} · mean {summary.mean:.0f} ms"
        f" over {summary.n} good answers; errors {100 * (errors or 0):.1f} %"
        + (f"; {used.rss_mb:.0f} MB" if used.rss_mb else "")
    )
    if not all(run.valid for run in runs):
        say(f"{name}: the load generator fell behind its schedule; these figures are too high")
