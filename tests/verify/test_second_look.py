"""A probe that fails on a candidate is asked once more, and of the original too: a race is won by chance."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from swarm.probes.probe import Outcome, ProbeResult
from swarm.verify import judging

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


def seen(outcome: Outcome) -> ProbeResult:
    return ProbeResult("W07", outcome, "seen", "Title", "POST /hook")


@pytest.mark.parametrize(
    ("candidate", "original", "passes"),
    [
        ([PASSED], [], True),
        ([FAILED, PASSED], [], True),
        ([FAILED, FAILED], [FAILED], True),
        ([FAILED, FAILED], [PASSED], False),
        ([FAILED, SKIPPED], [FAILED], True),
        ([FAILED, SKIPPED], [PASSED], False),
    ],
)
async def test_what_the_original_fails_as_well_is_no_patchs_fault(
    monkeypatch: pytest.MonkeyPatch, candidate: list[Outcome], original: list[Outcome], passes: bool
) -> None:
    left = {"candidate": list(candidate), "original": list(original)}

    @asynccontextmanager
    async def running(lab: object, copy: object, name: str) -> AsyncIterator[str]:
        yield "original"

    async def probe_live(
        lab: object, live: str, index: object, only: Collection[str] = (), fresh_copy: Any = None
    ) -> tuple[ProbeResult, ...]:
        return (seen(left[live].pop(0)),)

    monkeypatch.setattr(judging, "running", running)
    monkeypatch.setattr(judging, "probe_live", probe_live)
    lab = SimpleNamespace(
        probes_before=(seen(PASSED),), fresh_copy=lambda name: None, rules={}, original=SimpleNamespace(index=None)
    )
    trial = SimpleNamespace(stack=SimpleNamespace(index=None), judged=())
    result, _ = await judging._probe(lab, trial, "candidate")  # type: ignore[arg-type]
    assert result.passed is passes, result.detail
    assert left == {"candidate": [], "original": []}
