"""Carries out `swarm run --dry-run`: what a run may cost at most, said without a key and without a call."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from swarm.agents.casting import model_ids
from swarm.agents.conversation.loop import LoopLimits
from swarm.cli.learning import runs_of
from swarm.cli.run_folders import run_folders
from swarm.cli.running import check_words
from swarm.cli.say import next_command, say
from swarm.cli.words import Words
from swarm.config.choice import Choice, choose
from swarm.coordinator.cost_bound import AgentBound, bounds, revision_bound, total_usd
from swarm.coordinator.patterns import chosen_specialists
from swarm.coordinator.state import RunRequest
from swarm.core.report import Report
from swarm.core.spending import money, spent
from swarm.core.wording import counted
from swarm.models.choose import choose_provider
from swarm.models.prices import Prices, load_prices
from swarm.runtime import make_request


def dry_run(words: Words) -> int:
    """Print the bound of each agent and of the run; start nothing, write nothing. Gives the exit code."""
    check_words(words)
    choice = choose(words.target, words.config, words.swarm)
    if words.run.provider != "anthropic" and choose_provider(words.run.provider, os.environ)[0] == "offline":
        say("offline: the playbook asks no provider, so a run costs $0; see --provider anthropic --dry-run")
        return 0
    own = os.environ.get("SWARM_PRICES")
    prices = load_prices(Path(own) if own else None)
    request = make_request(choice, words.run, "dry-run", "anthropic", "asked for with --dry-run")
    for line in bound_lines(request, choice, prices):
        say(line)
    for line in earlier_lines(runs_of(run_folders(words.out), request.target_name, request.swarm_name)):
        say(line)
    next_command("swarm run --provider anthropic --budget-usd 5")
    return 0


def bound_lines(request: RunRequest, choice: Choice, prices: Prices) -> list[str]:
    """The table, the sum, and what the budget makes of it."""

    def models_of(name: str) -> Sequence[str]:
        return model_ids(name, choice.agents.models, prices)

    specialists = chosen_specialists(request)
    found = bounds(request.swarm, specialists, models_of, prices)
    again = revision_bound(request.swarm, specialists, models_of, prices)
    rows = [("agent", "model", "turns", "most input", "most output", "at most"), *map(_row, found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        f"At most, by the bounds of the loop ({request.pattern}); no provider was asked. Turns that break off and "
        f"are asked again, {LoopLimits().attempts - 1} times each at most, come on top."
    ]
    lines += ["  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
              for row in rows]  # fmt: skip
    first = [one for one in found if not one.fallback]
    lines.append(f"In all: {money(total_usd(first))}")
    if len(first) < len(found):
        lines.append(f"Were every model of every chain to fail at its end: {money(total_usd(found))}")
    if again is not None:
        lines.append(
            f"Each time that a refused patch of a model's own is written anew, beside that: {money(again.usd)}"
        )
    lines += _budget_lines(request, found)
    unknown = sorted({one.model for one in found if one.usd is None})
    if unknown:
        lines.append(f"No price is known of {', '.join(unknown)}: name a table of yours with SWARM_PRICES")
    return lines


def earlier_lines(reports: Sequence[Report]) -> list[str]:
    """What runs of this swarm over this target have cost so far; nothing where a provider was asked in none."""
    sums = [spent(report.agents).usd for report in reports if report.run.provider.startswith("anthropic")]
    known = [usd for usd in sums if usd]
    if not known:
        return []
    each = money(min(known)) if len(known) == 1 else f"{money(min(known))} to {money(max(known))}"
    return [f"What it took so far: {each} ({counted(len(known), 'run')} in the reports)"]


def _budget_lines(request: RunRequest, found: Sequence[AgentBound]) -> list[str]:
    if request.budget_usd is not None:
        if any(one.usd is None for one in found):
            return [f"The budget of ${request.budget_usd:g} counts only turns whose price is known"]
        return [f"The budget of ${request.budget_usd:g} ends it before: no turn begins that could pass it"]
    if request.budget_tokens is not None:
        return [f"The budget of {request.budget_tokens:,} tokens ends it before: no turn begins that could pass it"]
    return ["No budget is set: --budget-usd N ends a run there, with what it has"]


def _row(one: AgentBound) -> tuple[str, ...]:
    model = f"{one.model} (fallback)" if one.fallback else one.model
    return one.agent, model, str(one.turns), f"{one.input_tokens:,}", f"{one.output_tokens:,}", money(one.usd)
