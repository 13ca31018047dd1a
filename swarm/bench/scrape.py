"""Reads a service's own Prometheus metrics: what its caches say of themselves."""

from __future__ import annotations

import asyncio
import re
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass

PATHS = ("/metrics", "/metrics/", "/prometheus/metrics", "/actuator/prometheus")
HITS = "cache_requests_total"
SECONDS = "cache_operation_seconds"
_SAMPLE = re.compile(r"^([A-Za-z_:][A-Za-z0-9_:]*)(?:\{(.*)\})?\s+([-+0-9.eEInfNa]+)")
_LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"')
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@dataclass(frozen=True, slots=True)
class CacheKind:
    """One kind of cached value: how many reads found it, of how many."""

    kind: str
    hits: int
    asked: int


@dataclass(frozen=True, slots=True)
class CacheFigures:
    """What the caches of a service say; `operation_ms` is the mean of one operation, by tier."""

    kinds: tuple[CacheKind, ...]
    operation_ms: tuple[tuple[str, float], ...]

    @property
    def hit_rate(self) -> float | None:
        """Hits by all that was asked, 0 to 1."""
        asked = sum(kind.asked for kind in self.kinds)
        return sum(kind.hits for kind in self.kinds) / asked if asked else None

    @property
    def slowest_operation_ms(self) -> float | None:
        """The mean of the slowest tier."""
        return max((ms for _, ms in self.operation_ms), default=None)


async def scrape(base_url: str) -> Samples | None:
    """The samples that the service serves, or None where it serves none."""
    return await asyncio.to_thread(_scrape, base_url)


def _scrape(base_url: str) -> Samples | None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for path in PATHS:
        try:
            with opener.open(base_url + path, timeout=3) as answer:
                text = answer.read(4_000_000).decode("utf-8", "replace")
        except (OSError, urllib.error.URLError, ValueError):
            continue
        if samples := read_samples(text):
            return samples
    return None


def read_samples(text: str) -> Samples:
    """The samples of Prometheus' text format, by name and sorted labels."""
    samples: Samples = {}
    for line in text.splitlines():
        found = None if line.startswith("#") else _SAMPLE.match(line)
        if found:
            labels = tuple(sorted(_LABEL.findall(found[2] or "")))
            try:
                samples[found[1], labels] = float(found[3])
            except ValueError:
                continue
    return samples


def since(before: Samples | None, after: Samples) -> Samples:
    """What was counted between two readings of counters."""
    return {key: value - (before or {}).get(key, 0.0) for key, value in after.items()}


def cache_figures(samples: Samples | None) -> CacheFigures | None:
    """The caches' own figures, or None where the service exports none."""
    if not samples or not any(name == HITS for name, _ in samples):
        return None
    kinds: dict[str, dict[str, float]] = {}
    for labels, value in _of(samples, HITS):
        counted = kinds.setdefault(labels.get("kind", ""), {})
        tier_result = f"{labels.get('tier', '')} {labels.get('result', '')}"
        counted[tier_result] = counted.get(tier_result, 0.0) + value
    seconds = {labels.get("tier", ""): 0.0 for labels, _ in _of(samples, f"{SECONDS}_count")}
    counts = dict(seconds)
    for labels, value in _of(samples, f"{SECONDS}_sum"):
        seconds[labels.get("tier", "")] = seconds.get(labels.get("tier", ""), 0.0) + value
    for labels, value in _of(samples, f"{SECONDS}_count"):
        counts[labels.get("tier", "")] += value
    return CacheFigures(
        tuple(_kind(name, counted) for name, counted in sorted(kinds.items())),
        tuple((tier, 1000.0 * seconds[tier] / counts[tier]) for tier in sorted(counts) if counts[tier] > 0),
    )


def _kind(name: str, counted: dict[str, float]) -> CacheKind:
    """A read asks the first tier and, where that misses, the next: it is asked once, and a hit of any counts."""
    by_tier: dict[str, float] = {}
    for tier_result, value in counted.items():
        tier = tier_result.split(" ")[0]
        by_tier[tier] = by_tier.get(tier, 0.0) + value
    hits = sum(value for tier_result, value in counted.items() if tier_result.endswith(" hit"))
    return CacheKind(name, round(hits), round(max(by_tier.values(), default=0.0)))


def _of(samples: Samples, name: str) -> Iterable[tuple[dict[str, str], float]]:
    for (found, labels), value in samples.items():
        if found == name:
            yield dict(labels), value
