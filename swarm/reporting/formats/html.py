"""report.html: one offline file with the verdict, curves, waterfalls, timeline, findings and every patch."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources
from typing import Any

from swarm.core.report import Report
from swarm.core.spending import money, spent
from swarm.reporting import numbers, verdict
from swarm.reporting.escape import clean, one_line
from swarm.reporting.page.svg import Safe
from swarm.reporting.page.view import Limits, page_view

NAME = "html"
FILENAME = "report.html"
MOST_BYTES = 390_000

_TEMPLATES = "swarm.reporting.page"


def render(report: Report) -> str:
    """The whole page; long diffs and tables are cut, with a word where the rest is, until it fits MOST_BYTES."""
    page = ""
    for share in (1.0, 0.5, 0.2, 0.05, 0.01):
        page = _render(report, Limits.scaled(share))
        if len(page.encode("utf-8", "replace")) <= MOST_BYTES:
            break
    return page


def _render(report: Report, limits: Limits) -> str:
    import jinja2

    script, style = _read("report.js"), _read("report.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True,
                                     undefined=jinja2.StrictUndefined, finalize=_finalize)  # fmt: skip
    environment.filters.update(
        plain=numbers.plain, quantity=numbers.quantity, share=numbers.share, change=numbers.change,
        seconds=numbers.seconds, line=one_line, tight=_tight, clean=clean, money=money, spent=spent,
    )  # fmt: skip
    template = environment.from_string(_read("report.html.j2"))
    return template.render(
        report=report, run=report.run, view=page_view(report, limits), verdict=verdict.verdict_of(report),
        script=Safe(script), style=Safe(style), script_digest=digest,
    ) + "\n"  # fmt: skip


def _tight(text: str) -> str:
    """A number stays on one line with its unit."""
    return re.sub(r"(?<=\d) (?=%|ms\b|s\b|/s\b)", "\u00a0", text)


def _finalize(value: Any) -> Any:
    """No control character reaches the page, wherever a value is shown."""
    return clean(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _read(name: str) -> str:
    return resources.files(_TEMPLATES).joinpath("templates", name).read_text(encoding="utf-8")
