"""The findings and patches of the made-up report."""

from __future__ import annotations

from swarm.core.findings import Finding
from swarm.core.patches import Accepted, Effect, FileChange, GateResult, JudgedPatch, Patch, Rejected

ORDERS_0 = """import httpx


async def handle(order):
    async with httpx.AsyncClient() as client:
        price = await client.get(f"{PRICES}/{order.sku}")
    async with httpx.AsyncClient() as client:
        stock = await client.get(f"{STOCK}/{order.sku}")
    return price.json(), stock.json()
"""
ORDERS_1 = """import asyncio

import httpx


async def handle(order):
    async with httpx.AsyncClient() as client:
        price, stock = await asyncio.gather(
            client.get(f"{PRICES}/{order.sku}"),
            client.get(f"{STOCK}/{order.sku}"),
        )
    return price.json(), stock.json()
"""
ORDERS_2 = ORDERS_1.replace("httpx.AsyncClient()", "httpx.AsyncClient(timeout=10.0)")
SIGN_0 = "def check(given, wanted):\n    return given == wanted\n"
SIGN_1 = "import hmac\n\n\ndef check(given, wanted):\n    return hmac.compare_digest(given, wanted)\n"
METRICS = '"""Request metrics."""\n\nCOUNT = 0\n'


def finding(rule: str, severity: str, title: str, place: tuple[str, int], **more: object) -> Finding:
    """A finding with what most tests don't care about filled in."""
    values: dict[str, object] = {
        "category": "performance",
        "confidence": "high",
        "evidence": f"{place[0]}:{place[1]} seen in the source",
        "recommendation": f"Mend {rule} as `swarm explain {rule}` says.",
        "anchor": f"{rule}:{place}",
    }
    values.update(more)
    return Finding(
        rule=rule, severity=severity, title=title, file=place[0], line=place[1], end_line=place[1] + 1, **values
    )  # type: ignore[arg-type]


FINDINGS = (
    finding(
        "sequential-awaits",
        "high",
        "Two independent calls wait for each other",
        ("orders/hooks.py", 6),
        agent="performance_optimizer",
        measured_ms=212.5,
        mendable=True,
        confidence="proven",
    ),
    finding(
        "unsafe-compare",
        "critical",
        "A signature is compared in a way that leaks its length of match",
        ("orders/sign.py", 2),
        category="security",
        cwe=("CWE-208",),
        agent="security_hardener",
        mendable=True,
        sources=("https://cwe.mitre.org/data/definitions/208.html",),
    ),
    finding(
        "missing-timeout",
        "medium",
        "A call may wait for ever",
        ("orders/hooks.py", 7),
        category="api",
        agent="api_optimizer",
        mendable=True,
    ),
    finding(
        "no-metrics",
        "medium",
        "Nobody can see how long requests take",
        ("", 0),
        category="monitoring",
        agent="monitoring_specialist",
    ),
    finding(
        "n-plus-one",
        "high",
        "A query in a loop",
        ("orders/db.py", 31),
        agent="performance_optimizer",
        cwe=("CWE-1073",),
    ),
    finding(
        "oversized-body",
        "high",
        "A body of 32 MB is taken without a limit",
        ("", 0),
        category="security",
        cwe=("CWE-770",),
        agent="security_hardener",
        confidence="proven",
    ),
    finding(
        "swallowed-exception",
        "low",
        "An exception is swallowed",
        ("orders/db.py", 55),
        category="monitoring",
        agent="monitoring_specialist",
    ),
    finding(
        "broad-cors",
        "info",
        "CORS is open to all",
        ("orders/app.py", 9),
        category="compliance",
        agent="security_hardener",
        confidence="low",
    ),
)


def _gates(last: GateResult | None = None) -> tuple[GateResult, ...]:
    details = (
        ("applies", True, "fits after 0 patches"),
        ("parses", True, "2 files compile"),
        ("protects", True, ""),
        ("tests", True, "41 passed, none newly failing"),
        ("starts", True, "health answered 200"),
        ("replay", True, "24 of 24 alike"),
        ("probes", True, "9 passed before and after"),
        ("gone", True, ""),
        ("benchmark", None, "no performance patch"),
    )
    gates = [GateResult(name, passed, detail, 0.25) for name, passed, detail in details]  # type: ignore[arg-type]
    if last is None:
        return tuple(gates)
    place = [g.name for g in gates].index(last.name)
    return (*gates[:place], last)


def patches() -> tuple[JudgedPatch, ...]:
    """Four accepted ones that build on each other, and one rejected."""
    slow = finding("n-plus-one", "high", "", ("", 0))
    benchmark = GateResult("benchmark", True, "p95 −44 %, clear of 1", 6.5)
    gates = (*_gates()[:-1], benchmark)
    effect = Effect("webhook latency p95", 1045.0, 585.2, 0.56, (0.53, 0.6))
    gather = Patch(
        "001-sequential-awaits-orders",
        "Ask for price and stock at the same time",
        "sequential-awaits",
        "performance",
        (FINDINGS[0].id,),
        "performance_optimizer",
        "The two calls don't need each other's answer.\nMeasured: 212 ms of each request.",
        (FileChange("orders/hooks.py", ORDERS_0, ORDERS_1),),
    )
    compare = Patch(
        "002-unsafe-compare-sign",
        "Compare signatures in constant time",
        "unsafe-compare",
        "security",
        (FINDINGS[1].id,),
        "security_hardener",
        "`==` stops at the first byte that differs.",
        (FileChange("orders/sign.py", SIGN_0, SIGN_1),),
    )
    timeout = Patch(
        "003-missing-timeout-orders",
        "Give each call ten seconds",
        "missing-timeout",
        "api",
        (FINDINGS[2].id,),
        "api_optimizer",
        "A client without a timeout waits for ever.",
        (FileChange("orders/hooks.py", ORDERS_1, ORDERS_2),),
    )
    metrics = Patch(
        "004-no-metrics-app",
        "Count requests and their time",
        "no-metrics",
        "monitoring",
        (FINDINGS[3].id,),
        "monitoring_specialist",
        "Histogram of durations at /metrics.",
        (FileChange("orders/metrics.py", None, METRICS),),
    )
    wrong = Patch(
        "005-n-plus-one-db",
        "Load all rows in one query",
        "n-plus-one",
        "performance",
        (slow.id,),
        "performance_optimizer",
        "One query for each row.",
        (FileChange("orders/db.py", "rows = []\n", "rows = [1]\n"),),
    )
    failed = GateResult("replay", False, "request 7: the body differs", 3.5)
    return (
        JudgedPatch(gather, Accepted(gates, effect)),
        JudgedPatch(compare, Accepted(_gates())),
        JudgedPatch(timeout, Accepted(_gates())),
        JudgedPatch(metrics, Accepted(_gates())),
        JudgedPatch(wrong, Rejected("replay", "request 7: the answer's body differs at $.total", _gates(failed))),
    )
