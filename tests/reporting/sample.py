"""A made-up but complete Report, the same in every run: golden files and screenshots are made of it."""

from __future__ import annotations

import math
import random
from dataclasses import replace

from swarm.core.alerts import AlertDraft
from swarm.core.efficiency import ContextEfficiency, TimeEfficiency
from swarm.core.metrics import Comparison, Ratio, Summary
from swarm.core.report import (
    AgentInfo,
    CacheUse,
    Capacity,
    ErrorRates,
    MonitoringFiles,
    PhaseTime,
    PlantedFault,
    ProfileLine,
    ReadinessLine,
    ReplayOutcome,
    Report,
    ResourceUse,
    RunInfo,
    Score,
    ScoreCheck,
    Side,
    TargetOutcome,
    TestCounts,
    UpstreamUse,
    ValidatedArea,
    Verification,
    Waterfall,
    WaterfallSpan,
    WorkDone,
)
from swarm.core.sweep import Sweep, SweepLevel
from tests.reporting.sample_patches import FINDINGS, patches


def _rounded(value: float) -> float:
    return float(f"{value:.7g}")


def samples(seed: int, median_ms: float, spread: float, n: int = 240) -> tuple[float, ...]:
    """Log-normal latencies, rounded as report.json rounds them."""
    chance = random.Random(seed)
    return tuple(_rounded(median_ms * math.exp(chance.gauss(0, spread))) for _ in range(n))


def summary(values: tuple[float, ...]) -> Summary:
    """Nearest-rank percentiles."""
    ordered = sorted(values)

    def at(q: float) -> float:
        return ordered[math.ceil(q * len(ordered)) - 1]

    mean = _rounded(sum(ordered) / len(ordered))
    return Summary(len(ordered), mean, at(0.5), at(0.9), at(0.95), at(0.99), ordered[-1])


def _agent(name: str, start: float, end: float, findings: int, **more: object) -> AgentInfo:
    steps = 5
    width = (end - start) / steps
    names = ("read_file", "list_rules", "measure_waterfall", "run_probes", "search_code")
    spans = tuple(
        (names[k], round(start + k * width + 0.1, 3), round(start + (k + 0.8) * width, 3)) for k in range(steps)
    )
    values: dict[str, object] = {
        "role": "specialist",
        "model": "playbook",
        "provider": "offline",
        "status": "done",
        "turns": 9,
        "tool_calls": 14,
        "input_tokens": 18200,
        "output_tokens": 2100,
        "cache_read_tokens": 9000,
        "cache_write_tokens": 0,
        "peak_context_tokens": 12400,
        "tokens_are": "estimated",
        "cost_usd": None,
        "tool_spans": spans,
        "tools": ("Read", "API-Testing"),
    }
    values.update(more)
    return AgentInfo(name=name, started_s=start, finished_s=end, findings=findings, **values)  # type: ignore[arg-type]


AGENTS = (
    _agent("performance_optimizer", 8.0, 21.5, 2, focus="webhook-latency-reduction"),
    _agent(
        "security_hardener",
        8.0,
        18.0,
        3,
        focus="api-security-enhancement",
        status="degraded",
        note="the model failed twice; the playbook went on",
    ),
    _agent("api_optimizer", 8.5, 16.0, 1, focus="api-integration-reliability"),
    _agent("monitoring_specialist", 8.5, 15.5, 2, focus="observability"),
    _agent("integration-architect", 21.5, 23.0, 0, role="coordinator", tool_spans=(), turns=2, tool_calls=0),
)


def _span(kind: str, start: float, length: float, place: tuple[str, int, str], **more: object) -> WaterfallSpan:
    return WaterfallSpan(kind, f"{kind} of {place[2]}", start, length, *place, (f"orders/hooks.py:3 handle",), **more)  # type: ignore[arg-type]  # noqa: F541


BEFORE = Waterfall(
    "POST /hooks/order",
    200,
    1012.0,
    (
        _span("http", 4, 402, ("orders/pricing.py", 41, "price_of")),
        _span("sql", 408, 290, ("orders/db.py", 31, "matching_rows"), count=48),
        _span("http", 700, 205, ("orders/hooks.py", 7, "handle")),
        _span("sleep", 906, 40, ("orders/hooks.py", 9, "handle"), blocks_loop=True),
        _span("sql", 948, 58, ("orders/db.py", 55, "store_outcome")),
    ),
)
AFTER = Waterfall(
    "POST /hooks/order",
    200,
    428.0,
    (
        _span("http", 4, 401, ("orders/pricing.py", 41, "price_of")),
        _span("sql", 5, 36, ("orders/db.py", 31, "matching_rows"), count=2),
        _span("http", 6, 204, ("orders/hooks.py", 7, "handle")),
        _span("sql", 407, 18, ("orders/db.py", 55, "store_outcome")),
    ),
)
ALERTS = (
    AlertDraft("WebhookLatencyHigh", "webhook_processing_time", "p95", ">", 450.0, "ms", 300, "warning",
               "half above the slowest of 4 requests"),
    AlertDraft("WebhookErrorRateHigh", "error_rate", "mean", ">", 5.0, "%", 300, "critical", "one in twenty fails"),
    AlertDraft("CacheMissesMany", "cache_hit_rate", "mean", "<", 80.0, "%", 600, "info", "the cache is cold"),
)  # fmt: skip


def sample_report() -> Report:
    """Everything filled in, on a made-up target."""
    before, after = samples(1, 960, 0.09), samples(2, 402, 0.11)
    ratio = Ratio(0.42, (0.39, 0.46))
    acks_before, acks_after = samples(3, 11.2, 0.2), samples(4, 11.4, 0.2)
    checks = (
        ScoreCheck("W02", "A wrong signature is refused", "live", 10.0, 1.0, 1.0, "401 for 6 of 6",
                   "proven", "proven"),
        ScoreCheck("S01", "Signatures are compared in constant time", "static", 7.5, 0.0, 0.83,
                   "nothing found (before: orders/sign.py:2)", "failed", "static"),
        ScoreCheck("W20", "No address is fetched that a sender names", "live", 10.0, None, None,
                   "no call goes to an address from a payload", "not applicable", "not applicable"),
    )  # fmt: skip
    return Report(
        run=RunInfo(
            "20260102-101500-orders-3f9a",
            "2026-01-02T10:15:00+00:00",
            "2026-01-02T10:16:02+00:00",
            62.4,
            "webhook_swarm",
            "orders",
            "parallel",
            "offline",
            "complete",
            ("no key was set: the embedded playbook worked in the model's place",),
            "0.1.0",
            "0123456789abcdef0123456789abcdef01234567",
        ),
        agents=AGENTS,
        findings=(
            *tuple(
                replace(f, status="patched", patch=p.patch.id) for f, p in zip(FINDINGS[:4], patches(), strict=False)
            ),
            replace(FINDINGS[4], status="rejected", patch="005-n-plus-one-db"),
            *FINDINGS[5:],
        ),
        patches=patches(),
        benchmarks=(
            Comparison(
                "webhook latency",
                "ms",
                summary(before),
                summary(after),
                Ratio(0.43, (0.41, 0.44)),
                ratio,
                before,
                after,
            ),
            Comparison(
                "health latency",
                "ms",
                summary(acks_before),
                summary(acks_after),
                Ratio(1.01, (0.97, 1.06)),
                Ratio(1.02, (0.94, 1.09)),
                acks_before,
                acks_after,
            ),
        ),
        capacity=Capacity(22.5, 61.0, "under 1 % errors and p95 under 1,500 ms"),
        errors=ErrorRates(0.021, 0.004),
        resources_before=ResourceUse(61.4, 22.0),
        resources_after=ResourceUse(58.9, 19.5),
        targets=(
            TargetOutcome("webhook_processing_time < 500ms", "performance_optimizer", 1112.0, 481.0, True),
            TargetOutcome(
                "database_write_time < 10ms", "performance_optimizer", 58.0, 18.0, False, "one commit a row"
            ),
            TargetOutcome("cache_hit_rate > 80%", "api_optimizer", None, None, None, "the target has no cache"),
        ),
        security_score=Score(
            40.0,
            92.7,
            checks,
            registry="0123456789ab",
            caps_before=("69: high and open, S01",),
            run_before=1.0,
            run_after=1.0,
            planted=(PlantedFault("signature", 3, 3), PlantedFault("compare", 2, 2, 2, 0)),
        ),
        compliance_score=Score(None, None, reason="no check of compliance ran"),
        areas=(
            ValidatedArea("security_hardener", "webhook_signature_validation", ("W01", "S01"), 2, 1, 2, ()),
            ValidatedArea("security_hardener", "bus_factor"),
        ),
        context=ContextEfficiency(12400, 109500, None, None, None, "no generalist ran beside the swarm"),
        time=TimeEfficiency(13.5, 38.0, 13.5, 0.644737),
        verification=Verification(TestCounts(41, 0, 1), TestCounts(41, 0, 1), ReplayOutcome(24, 24), "bubblewrap"),
        monitoring=MonitoringFiles(("monitoring/prometheus-rules.yml",), ("promtool check rules",)),
        waterfall_before=BEFORE,
        waterfall_after=AFTER,
        profile_before=(
            ProfileLine("orders/db.py", 31, "matching_rows", 0.412),
            ProfileLine("orders/app.py", 9, "main", 0.08),
        ),
        sweep=Sweep(
            levels=(
                SweepLevel(1, 4, 0, 2.7, 372.0, 390.0, 0.2, 0.1, (("upstream", 240.0),), 3.0),
                SweepLevel(4, 6, 0, 9.8, 410.0, 520.0, 0.6, 0.35, (("upstream", 250.0),), 90.0),
                SweepLevel(8, 9, 1, 10.4, 770.0, 1400.0, 0.7, 0.82, (("upstream", 260.0),), 640.0),
            ),
            knee=4,
            resource="event loop",
            words="4 at once get 10 answers/s, 8 at once 10/s: the event loop is held up 82% of the time",
            file="orders/db.py",
            line=31,
            function="matching_rows",
            health_idle_ms=2.0,
        ),
        phases=(
            PhaseTime("baseline", 8.0),
            PhaseTime("specialists", 13.5),
            PhaseTime("plan", 1.5),
            PhaseTime("verify", 19.0),
            PhaseTime("benchmark", 16.0),
            PhaseTime("monitoring", 1.2),
            PhaseTime("report", 0.4),
        ),
        alerts=ALERTS,
        side_before=Side(
            WorkDone(24, 0.0, 48, 48, 0), UpstreamUse(4.2, 0.02), CacheUse(reason="it serves no metrics")
        ),
        side_after=Side(
            WorkDone(24, 0.8, 40, 40, 0),
            UpstreamUse(1.9, 0.005),
            CacheUse((("prices", 91, 100),), 0.91, 0.4),
            ("cache_requests_total", "http_server_request_duration_seconds_count"),
        ),
        readiness=(
            ReadinessLine("Cache hit rates validated", True, "– → 91 %", "Before deployment"),
            ReadinessLine(
                "Rollback procedures tested", False, "app.py differs from the original", "Before deployment"
            ),
            ReadinessLine("Alerts find their receivers", None, "amtool is not on this machine", "Monitoring"),
        ),
        load_note="Open loop at 20 requests a second, before and after in alternating slices of 2 s.",
    )
