"""Which checks speak of an area that a specialist was told to validate, and how they came out. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from swarm.core.report import Score, ScoreCheck, ValidatedArea
from swarm.scores.registry import CHECKS, checks_of

# words of an area's name, and the checks that speak of it
_TOPICS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("signature|hmac|integrity|authentic", ("W01", "W02", "W03", "W04", "W05", "S01")),
    ("rotat|key|secret|credential|token", ("W27", "W05", "W23", "S02")),
    ("rate|limit|throttl|flood|denial", ("W14", "W17", "W09")),
    ("input|saniti|inject|schema|payload|xss|sql", ("W10", "W11", "W12", "W19", "W20", "W22", "S04")),
    ("replay|fresh|idempot|duplicat", ("W06", "W07", "W08")),
    ("error|leak|disclos|stack", ("W13", "W21", "S09")),
    ("authori[sz]|access|permission|tenant|isolation", ("W18", "W16", "W17")),
    ("cors|origin|browser", ("W25",)),
    ("tls|transport|certificate", ("S03",)),
    ("encrypt|at_rest", ("C11", "S03")),
    ("dependenc|supply|vulnerab", ("S10",)),
    ("random|crypto|hash|digest", ("S05", "S06")),
    ("logg|logs", ("C01", "W22", "W23")),
    ("ssrf|egress|third_part|processor|host", ("W20", "C16")),
    ("durab|resilien|upstream|timeout|availab", ("W15", "W21", "W26", "S08")),
    ("debug|surface|exposure|docs", ("W16", "S07")),
    ("privacy|personal|pii|gdpr|ccpa|data_protect|subject", (
        "C01", "C02", "C03", "C04", "C05", "C07", "C11", "C12", "C16", "C17",
    )),
    ("delet|eras|forget", ("C02",)),
    ("export|portab", ("C03",)),
    ("correct|rectif", ("C04",)),
    ("retention|purge|expir", ("C05",)),
    ("minimi", ("C12",)),
    ("consent|opt_|tcpa|contact|marketing|outreach|messag", ("C06", "C08", "C09")),
    ("fair|housing|discriminat|bias|steer|real_estate", ("C13", "C14")),
    ("audit|trail|tamper|accountab", ("C10",)),
    ("decision|explain|review|automat", ("C15",)),
    ("complian|regulat|legal", tuple(check.id for check in checks_of("compliance"))),
)  # fmt: skip


def checks_for(area: str) -> tuple[str, ...]:
    """The ids of the checks that speak of an area, in the order of the list."""
    words = re.sub(r"[^a-z]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", area).lower())
    named = {check for topic, checks in _TOPICS if re.search(rf"(?:^|_)(?:{topic})", words) for check in checks}
    return tuple(check.id for check in CHECKS if check.id in named)


def validated_areas(areas: Mapping[str, Sequence[str]], scores: Iterable[Score]) -> tuple[ValidatedArea, ...]:
    """By specialist, each area with its checks; nothing where nothing was scored."""
    rows = {check.id: check for score in scores for check in score.checks}
    if not rows:
        return ()
    return tuple(_area(name, area, rows) for name, several in areas.items() for area in several)


def _area(specialist: str, area: str, rows: Mapping[str, ScoreCheck]) -> ValidatedArea:
    checks = [rows[check] for check in checks_for(area) if check in rows]
    asked = [check for check in checks if "not applicable" not in (check.before_state, check.after_state)]
    return ValidatedArea(
        specialist=specialist,
        area=area,
        checks=tuple(check.id for check in checks),
        asked=len(asked),
        good_before=sum(bool(check.before) for check in asked),
        good_after=sum(bool(check.after) for check in asked),
        open=tuple(check.id for check in asked if not check.after),
    )
