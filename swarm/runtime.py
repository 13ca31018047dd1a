"""The composition root: puts the parts of a run together from a choice and the environment."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swarm.config.choice import Choice
from swarm.core.errors import UsageError
from swarm.core.events import Event
from swarm.core.masking import MASKED, masked, passwords, tells_secret
from swarm.core.metrics import did_you_mean
from swarm.core.ports import EventSink, Model

if TYPE_CHECKING:
    from swarm.agents.conversation.surroundings import Candidate
    from swarm.coordinator.state import Parts, RunRequest
    from swarm.models.prices import Prices
    from swarm.models.recording import Traffic


_SHORTEST_SECRET = 6


class SystemClock:
    """The real time."""

    def now_s(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def wall(self) -> str:
        """UTC, ISO 8601 with seconds."""
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class RunWords:
    """The options of `swarm run`."""

    provider: str = "auto"
    pattern: str | None = None
    only: tuple[str, ...] = ()
    budget_usd: float | None = None
    budget_tokens: int | None = None
    deadline_s: float | None = None
    record: str | None = None
    replay: str | None = None


def new_run_id(target: str) -> str:
    """Sorts by time and is unique: `20261123-184729-reference-3f2a`."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return f"{stamp}-{target}-{secrets.token_hex(2)}"


def swarm_version() -> str:
    """The installed version of swarm."""
    try:
        return version("swarm")
    except PackageNotFoundError:
        return "unknown"


def known_secrets(target_env: Mapping[str, str], environ: Mapping[str, str]) -> tuple[str, ...]:
    """Values that must never stand in a file of a run: by the name of their variable, or in an address."""
    variables = (*environ.items(), *target_env.items())
    values = [value for name, value in variables if tells_secret(name)]
    values += [password for _, value in variables for password in passwords(value)]
    values = [value for value in values if len(value) >= _SHORTEST_SECRET]
    return tuple(sorted(set(values), key=len, reverse=True))


def make_mask(values: tuple[str, ...]) -> Callable[[str], str]:
    """A function that blots out every known secret value in a text."""

    def mask(text: str) -> str:
        for value in values:
            text = text.replace(value, MASKED)
        return text

    return mask


def make_request(choice: Choice, words: RunWords, run_id: str, provider: str, reason: str) -> RunRequest:
    """The request of one run. Raises UsageError for words that don't fit the swarm."""
    from swarm.coordinator.state import RunRequest

    for name in words.only:
        if name not in choice.swarm.specialists:
            known = list(choice.swarm.specialists)
            raise UsageError(
                f"--only {name}: no such specialist; it has {', '.join(known)}{did_you_mean(name, known)}"
            )
    budget = choice.swarm.budget
    return RunRequest(
        run_id=run_id,
        swarm_name=choice.swarm_name,
        swarm=choice.swarm,
        target_name=choice.target_name,
        target=choice.target,
        folder=choice.folder,
        pattern=words.pattern or choice.swarm.pattern,
        provider=provider,
        provider_reason=reason,
        only=words.only,
        deadline_s=words.deadline_s or budget.seconds,
        budget_usd=words.budget_usd or budget.usd,
        budget_tokens=words.budget_tokens or budget.tokens,
    )


def make_candidates(
    choice: Choice, provider: str, prices: Prices, mask: Callable[[str], str], traffic: Traffic | None = None
) -> Callable[[str], tuple[Candidate, ...]]:
    """For a model's name in agents.yaml, the models to try in order; the playbook is the last of every chain.

    Raises UsageError where `traffic` names a recording that cannot be written or played.
    """
    from swarm.agents.casting import cast
    from swarm.agents.charters import full_charter
    from swarm.models.playbook import PlaybookModel

    claude: Model | None = None
    if provider == "anthropic":
        from swarm.models.anthropic import AnthropicModel

        def live() -> Model:
            return AnthropicModel(os.environ)

        claude = traffic.model(live, mask) if traffic else live()
    playbook = PlaybookModel(full_charter())
    return lambda name: cast(name, choice.agents.models, prices, provider=claude, playbook=playbook)


def make_traffic(request: RunRequest, words: RunWords, *, going_on: bool) -> Traffic:
    """What becomes of the run's model traffic."""
    from swarm.models.recording import Heading, Traffic

    heading = Heading(request.swarm_name, request.target_name, request.pattern, request.only)
    record, replay = (Path(one) if one else None for one in (words.record, words.replay))
    return Traffic(heading, record, replay, going_on)


def make_parts(
    choice: Choice,
    provider: str,
    run_id: str,
    emit: EventSink,
    folder: Path,
    records: Sequence[Mapping[str, Any]] = (),
    traffic: Traffic | None = None,
) -> Parts:
    """Adapters, rules, journal and scratch of one run; the journal lies in the run's folder.

    SWARM_PRICES names a user's own price table, laid over the bundled one. `records` are those of the cut-off run
    that this one goes on with. Parts' `emit` masks an event's strings, then hands it to the journal and to `emit`.
    """
    from swarm.console.journal import FileJournal
    from swarm.coordinator.state import Parts
    from swarm.models.prices import load_prices
    from swarm.rules.registry import all_rules
    from swarm.target.processes.children import reap_orphans
    from swarm.target.processes.scratch import scratch_folder
    from swarm.target.running.sandbox import choose_sandbox

    reap_orphans()
    mask = make_mask(known_secrets(choice.target.env, os.environ))
    own_prices = os.environ.get("SWARM_PRICES")
    prices = load_prices(Path(own_prices) if own_prices else None)
    candidates = make_candidates(choice, provider, prices, mask, traffic)
    journal = FileJournal(folder, mask)

    traces: EventSink | None = None
    if any(name.startswith("OTEL_EXPORTER_OTLP_") for name in os.environ):
        from swarm.console.traces import traces_from

        traces = traces_from(os.environ)

    def emit_and_journal(event: Event) -> None:
        shown = masked(event, mask)  # once, before anybody sees it: console, --json and journal alike
        journal.event(shown)
        emit(shown)
        if traces is not None:
            traces(shown)

    return Parts(
        candidates=candidates,
        prices=prices,
        sandbox=choose_sandbox(),
        clock=SystemClock(),
        emit=emit_and_journal,
        journal=journal,
        scratch=scratch_folder(run_id),
        rules={rule.id: rule for rule in all_rules()},
        mask=mask,
        version=swarm_version(),
        records=records,
    )
