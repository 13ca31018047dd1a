"""Runs all probes of a session: the positive control first, then one probe after another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from dataclasses import replace
from itertools import groupby

from swarm.core.findings import Finding
from swarm.core.plugins import discover
from swarm.probes.effects import send_watched
from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of
from swarm.probes.traces import settled

NO_CONTROL = "positive control failed"  # how the reason begins where no probe can say anything
_CONTROL_ATTEMPTS = 4
_REST_S = 0.6
_SESSION_DEADLINE_S = 120.0


def all_probes() -> tuple[Probe, ...]:
    """Every probe, in the order in which they run."""
    kinds: list[type[Probe]] = discover("swarm.probes", Probe)  # type: ignore[type-abstract]
    probes = [kind() for kind in kinds]
    return tuple(sorted(probes, key=lambda probe: (probe.order, probe.id)))


async def run_probes(context: ProbeContext, only: Collection[str] = ()) -> tuple[ProbeResult, ...]:
    """Every probe's result, or those of `only` some ids. Without a good answer to a good request, all are skipped: a
    service that refuses everything would pass them."""
    probes = [probe for probe in all_probes() if not only or probe.id in only]
    refusal = await _positive_control(context)
    if refusal:
        return tuple(probe.skipped(f"{NO_CONTROL}: {refusal}") for probe in probes)
    await settled(context, _REST_S)  # work behind the answers of the control is no effect of what comes next
    controlled = len(context.validations)
    ends_s = time.monotonic() + _SESSION_DEADLINE_S
    results: list[ProbeResult] = []
    for together, group in groupby(probes, key=lambda probe: probe.together):
        if together:
            results += await asyncio.gather(*(_one(probe, context, ends_s) for probe in group))
        else:
            results += [await _one(probe, context, ends_s) for probe in group]
    # what the positive control judged counts with the first probe
    first = sum(context.validations[:controlled]), controlled
    return (replace(results[0], validated=_sum(results[0].validated, first)), *results[1:]) if results else ()


async def _one(probe: Probe, context: ProbeContext, ends_s: float) -> ProbeResult:
    """One probe's result within its time; its count of judged signatures is right where it runs alone."""
    left_s = min(probe.deadline_s, ends_s - time.monotonic())
    if left_s <= 0:
        return probe.skipped("the session's time was used up")
    before = len(context.validations)
    try:
        result = await asyncio.wait_for(probe.run(context), left_s)
    except TimeoutError:
        result = probe.skipped(f"not done within {left_s:.0f} s")
    judged = [] if probe.together else context.validations[before:]
    return replace(result, validated=(sum(judged), len(judged)))


def _sum(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] + other[0], one[1] + other[1]


async def _positive_control(context: ProbeContext) -> str:
    """Empty where each webhook takes a good request; else what was answered instead."""
    if not context.webhooks():
        return "the target declares no webhook"
    for webhook in context.webhooks():
        seen: list[str] = []
        for _ in range(_CONTROL_ATTEMPTS):  # upstreams may fail now and then, as real ones do
            request = context.fresh(webhook)
            answer, effects = await send_watched(context, request)
            context.judged(answer, good=True)
            if answer.ok:
                context.good_requests[route_of(webhook)] = request
                context.good_effects[route_of(webhook)] = effects
                break
            seen.append(str(answer.status or answer.text))
        else:
            return f"a correctly signed request to {route_of(webhook)} got {', '.join(seen)}"
    return ""


def findings_from(results: tuple[ProbeResult, ...]) -> tuple[Finding, ...]:
    """What the failed probes prove. `rule` is the static rule that mends it, where there is one."""
    probes = {probe.id: probe for probe in all_probes()}
    findings = []
    for result in results:
        probe = probes.get(result.probe)
        if probe is None or result.outcome != "failed":
            continue
        findings.append(
            Finding(
                rule=result.rule or (probe.proves[0] if probe.proves else f"probe-{probe.id}"),
                category=probe.category,
                severity=result.severity or probe.severity,
                confidence="proven",
                title=f"{probe.title}: {result.route}" if result.route else probe.title,
                file="",
                line=0,
                end_line=0,
                evidence=result.evidence,
                recommendation=probe.recommendation,
                anchor=f"{probe.id} {result.route}",
                cwe=probe.cwe,
                mendable=False,
                sources=(f"probe {probe.id}", *probe.sources),
            )
        )
    return tuple(findings)
