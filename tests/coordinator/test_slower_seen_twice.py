"""Patches that need not gain and were slower together are measured once more before each is looked at by itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from swarm.coordinator import benchmark
from swarm.core.patches import GateResult
from swarm.verify.fixes import Fix
from swarm.verify.ladder import Judged, Rung


def fix(name: str, category: Any = "api") -> Fix:
    return Fix(name, category, f"{name}.py", (name,), "a tester")


GAIN = Rung("rung 1", SimpleNamespace(name="below"), (fix("fast", "performance"),), True)  # type: ignore[arg-type]
REST = Rung("rung 2", SimpleNamespace(name="top"), (fix("one"), fix("two")), False)  # type: ignore[arg-type]


def judged(rung: Rung, passed: bool) -> Judged:
    return Judged(rung, GateResult("benchmark", passed, "slower" if not passed else "as quick"), None)


@pytest.mark.parametrize(("again", "guilty"), [(True, set()), (False, {"two:two.py"})])
async def test_slower_is_believed_when_seen_twice(
    monkeypatch: pytest.MonkeyPatch, again: bool, guilty: set[str]
) -> None:
    climbed: list[tuple[str, ...]] = []
    stopped: list[bool] = []

    async def climb(standing: object, steps: tuple[Rung, ...], base: Any = None) -> tuple[Judged, ...]:
        climbed.append((getattr(base, "name", "original"), *(rung.name for rung in steps)))
        if len(climbed) == 1:
            return judged(GAIN, True), judged(REST, False)
        if len(climbed) == 2:
            return (judged(REST, again),)
        return tuple(judged(rung, rung.fixes[0].rule != "two") for rung in steps)

    async def raised(standing: object, fixes: tuple[Fix, ...], one_by_one: bool = False, base: Any = None) -> Any:
        return tuple(Rung(one.rule, None, (one,), False) for one in fixes) if one_by_one else (GAIN, REST)  # type: ignore[arg-type]

    async def keep() -> None:
        stopped.append(True)

    monkeypatch.setattr(benchmark, "climb", climb)
    monkeypatch.setattr(benchmark, "raised", raised)
    parts = SimpleNamespace(emit=lambda event: None)
    results, found = await benchmark.climb_all(
        parts, SimpleNamespace(keep=keep), (*GAIN.fixes, *REST.fixes)  # type: ignore[arg-type]
    )  # fmt: skip
    assert set(found) == guilty
    assert set(results) == {"fast:fast.py", "one:one.py", "two:two.py"}
    assert climbed[1] == ("below", "rung 2")
    assert stopped, "who has had the events takes them for repeated ones"
