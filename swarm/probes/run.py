"""Runs all probes of a session: the positive control first, then one probe after another, in lanes side by side."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import replace

from swarm.core.findings import Finding
from swarm.core.plugins import discover
from swarm.probes.lanes import REST_S, in_turn, lanes_beside, positive_control
from swarm.probes.probe import Probe, ProbeContext, ProbeResult
from swarm.probes.traces import settled

NO_CONTROL = "positive control failed"  # how the reason begins where no probe can say anything
_SESSION_DEADLINE_S = 120.0


def all_probes() -> tuple[Probe, ...]:
    """Every probe, in the order in which they run."""
    kinds: list[type[Probe]] = discover("swarm.probes", Probe)  # type: ignore[type-abstract]
    probes = [kind() for kind in kinds]
    return tuple(sorted(probes, key=lambda probe: (probe.order, probe.id)))


async def run_probes(context: ProbeContext, only: Collection[str] = ()) -> tuple[ProbeResult, ...]:
    """Every probe's result, or those of `only` some ids, in the order of the probes.

    Without a good answer to a good request, all are skipped: a service that refuses everything would pass them. Lanes
    go side by side, each on a service of its own; where none can be had, on the session's, when that is free.
    """
    probes = [probe for probe in all_probes() if not only or probe.id in only]
    ends_s = time.monotonic() + _SESSION_DEADLINE_S
    context.lanes.append(context)
    by_lane: dict[str, list[Probe]] = {"": []}
    for probe in probes:
        if not probe.looks_back:
            by_lane.setdefault(probe.lane, []).append(probe)
    own = by_lane.pop("")
    async with lanes_beside(context, by_lane, ends_s) as beside:
        refusal = await positive_control(context)
        if refusal:
            return tuple(probe.skipped(f"{NO_CONTROL}: {refusal}") for probe in probes)
        controlled = sum(context.validations), len(context.validations)
        await settled(context, REST_S)  # work behind the answers of the control is no effect of what comes next
        found = await in_turn(own, context, ends_s)
        context.over.set()
        for lane, waiting in by_lane.items():
            theirs = await beside[lane] if lane in beside else None
            found |= await in_turn(waiting, context, ends_s) if theirs is None else theirs
        whole = [answer for lane in context.lanes for answer in lane.answers]
        back = replace(context, answers=whole)
        found |= await in_turn([probe for probe in probes if probe.looks_back], back, ends_s)
    results = [found[probe.id] for probe in probes]
    if results:  # what the positive control judged counts with the first probe
        results[0] = replace(results[0], validated=_sum(results[0].validated, controlled))
    return tuple(results)


def _sum(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] + other[0], one[1] + other[1]


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
