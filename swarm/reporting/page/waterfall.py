"""The await waterfall of one request as SVG: what it waited for, when, and from which line."""

from __future__ import annotations

from swarm.core.report import Waterfall, WaterfallSpan
from swarm.reporting.escape import one_line
from swarm.reporting.numbers import plain, quantity
from swarm.reporting.page.svg import Safe, even_ticks, figure, line, tag, text

WIDTH = 960.0
GUTTER, RIGHT = 330.0, 940.0
ROW = 24.0
MOST_ROWS = 40


def chart(waterfall: Waterfall, longest_ms: float) -> Safe:
    """One request; `longest_ms` is the axis' end, so that before and after share a scale."""
    longest = max(longest_ms, waterfall.duration_ms, 0.001)
    spans = sorted(waterfall.spans, key=lambda s: (s.start_ms, -s.duration_ms))
    shown = spans[:MOST_ROWS]
    top = 30.0
    bottom = top + ROW * (len(shown) + 1)
    parts = []
    for value in even_ticks(longest):
        x = GUTTER + value / longest * (RIGHT - GUTTER)
        parts += [line(x, top - 6, x, bottom, "grid"), text(x, top - 12, plain(value), "tick", "middle")]
    whole = "until the answer" if any(span.behind_answer for span in spans) else "whole request"
    parts += _bar(top, whole, waterfall.request, "request", 0, waterfall.duration_ms, longest, "")
    for place, span in enumerate(shown, 1):
        parts += _row(top + ROW * place, span, longest)
    if len(spans) > MOST_ROWS:
        parts.append(text(GUTTER, bottom + 12, f"… and {len(spans) - MOST_ROWS} more waits in report.json", "tick"))
    parts.append(text(RIGHT, bottom + 14, "ms since the request began", "tick", "end"))
    label = f"Waits of {waterfall.request}: {quantity(waterfall.duration_ms, 'ms')} in all, {len(spans)} spans"
    return figure(WIDTH, bottom + 22, label, parts)


def _row(y: float, span: WaterfallSpan, longest: float) -> list[Safe]:
    name = span.file.rsplit("/", 1)[-1]
    place = f"{name}:{span.line} {span.function}" if span.file else span.function or span.name
    times = f" ×{span.count}" if span.count > 1 else ""
    notes = [span.name, f"{span.file}:{span.line}" if span.file else "", *span.path]
    if span.blocks_loop:
        times += " · blocks the loop"
    if span.behind_answer:
        times += " · behind the answer"
    kind = "blocked" if span.blocks_loop and span.kind != "blocked" else span.kind
    hint = " › ".join(one_line(note, 200) for note in notes if note)
    return _bar(y, place, hint, kind, span.start_ms, span.duration_ms, longest, times, span.kind)


def _bar(
    y: float,
    label: str,
    hint: str,
    css: str,
    start: float,
    duration: float,
    longest: float,
    extra: str,
    kind: str = "",
) -> list[Safe]:
    x = GUTTER + min(start, longest) / longest * (RIGHT - GUTTER)
    width = max(2.0, min(duration, longest - start) / longest * (RIGHT - GUTTER))
    words = f"{quantity(duration, 'ms')}{extra}" + (f" · {kind}" if kind else "")
    bar = tag("rect", tag("title", f"{hint}: {words}"), x=round(x, 1), y=round(y + 4, 1), width=round(width, 1),
              height=ROW - 8, rx=3, class_=f"span k-{css}")  # fmt: skip
    room = len(words) * 6.6
    if width > room + 12:
        note = text(x + 7, y + 16.5, words, "inbar")
    elif x + width + room < RIGHT + 16:
        note = text(x + width + 6, y + 16.5, words, "tick")
    else:
        note = text(x - 6, y + 16.5, words, "tick", "end")
    return [text(GUTTER - 12, y + 16.5, one_line(label, 46), "code", "end"), bar, note]
