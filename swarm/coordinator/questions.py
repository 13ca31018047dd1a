"""How long a service waits for answers of models, by the question that it asks. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from swarm.bench.statistics import summarize
from swarm.bench.watched import Whole
from swarm.core.metrics import Summary, TargetExpression
from swarm.core.model_calls import instructions, is_model_path

SHOWN = 48  # characters of a system prompt
LISTED = 6  # questions by name in a remark


@dataclass(frozen=True, slots=True)
class Questions:
    """The times of one kind of question in ms; `saved` were answered without a call, and stand as 0 in `after`."""

    prompt: str
    before: tuple[float, ...]
    after: tuple[float, ...]
    saved: int

    @property
    def told(self) -> str:
        """`"You coach …": mean 210 → 12 ms (9 of 10 without a call)`."""
        name = self.prompt if len(self.prompt) <= SHOWN else self.prompt[:SHOWN].rstrip() + "…"
        sides = [f"{summarize(side).mean:.0f}" if side else "–" for side in (self.before, self.after)]
        spared = f" ({self.saved} of {len(self.before)} without a call)" if self.saved else ""
        return f"{f'“{name}”' if name else 'without a system prompt'} mean {' → '.join(sides)} ms{spared}"


def questions_of(before: Sequence[Whole], after: Sequence[Whole]) -> tuple[Questions, ...]:
    """The questions of the requests that both sides answered well, by their system prompts.

    A question that needs no call any more took no time.
    """
    good = {one.number for one in before if one.ok} & {one.number for one in after if one.ok}
    sides = [_times(one for one in side if one.number in good) for side in (before, after)]
    found = []
    for prompt in dict.fromkeys([*sides[0], *sides[1]]):
        first, second = sides[0].get(prompt, []), sides[1].get(prompt, [])
        saved = max(0, len(first) - len(second))
        found.append(Questions(prompt, tuple(first), (*second, *[0.0] * saved), saved))
    return tuple(found)


def model_times(
    before: Sequence[Whole], after: Sequence[Whole], expression: TargetExpression
) -> tuple[Summary | None, Summary | None, str]:
    """Before, after and a remark, over the questions that the expression names."""
    known = questions_of(before, after)
    chosen = [one for one in known if expression.selects(one.prompt)]
    if not chosen:
        asked = "; ".join(one.told for one in known[:LISTED])
        return (
            None,
            None,
            f"no question was asked that it names, but {asked}" if asked else "no call to a model was seen",
        )
    first = [value for one in chosen for value in one.before]
    second = [value for one in chosen for value in one.after]
    remark = f"per question that the original asks (n = {len(first)})"
    saved = sum(one.saved for one in chosen)
    if saved:
        remark += f"; {saved} were answered without a call and count as 0 ms"
    if len(chosen) > 1 or expression.of:
        remark += "; " + "; ".join(one.told for one in chosen[:LISTED])
    return summarize(first) if first else None, summarize(second) if second else None, remark


def _times(wholes: Iterable[Whole]) -> Mapping[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for whole in wholes:
        for call in whole.calls:
            if is_model_path(call.path):
                found[instructions(call.body)].append(1000.0 * (call.end_s - call.start_s))
    return found
