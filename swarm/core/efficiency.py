"""What dividing the work saved, in context and in time, as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SavingBounds:
    """Why a swarm saves no more context than it did, from the outside in. Savings are shares from 0 to 1.

    `free` is what as many agents save with equal shares of the work, were their charters and tools free; `even` with
    those that they have: `least_prefix_tokens` to `most_prefix_tokens` each, `generalist_prefix_tokens` in one.
    `largest` held `largest_share` of the work, where an equal share is 1 / `agents`. `coordinator_peak_tokens` is
    what the coordinator held, which is shown digests alone.
    """

    agents: int
    free: float
    even: float
    least_prefix_tokens: int
    most_prefix_tokens: int
    generalist_prefix_tokens: int
    largest: str
    largest_share: float
    coordinator_peak_tokens: int | None


@dataclass(frozen=True, slots=True)
class SavingMeans:
    """What each means saves by itself of the largest context, beside one conversation with whole results.

    `isolation`: a conversation for each specialist, results whole in all of them. `digests`: one conversation,
    results shown in short, kept beside it and cleared. Shares from 0 to 1.
    """

    isolation: float
    digests: float
    together: float


@dataclass(frozen=True, slots=True)
class Makeup:
    """What the largest context of a specialist was made of at its largest, in tokens by characters."""

    agent: str
    charter: int
    tools: int
    results: int
    words: int


@dataclass(frozen=True, slots=True)
class ContextEfficiency:
    """Tokens of the swarm against one generalist; None where they are not known.

    `saving` is of the largest context, `total_saving` of the tokens of all turns; `whole_peak_tokens` is what the
    generalist would hold with whole results of which none leaves the conversation; `bounds` are why no more was
    saved, None where there was nothing to divide; `means` say what brought it, `makeup` where the rest goes.
    """

    swarm_peak_tokens: int | None
    swarm_total_tokens: int | None
    generalist_peak_tokens: int | None
    generalist_total_tokens: int | None
    saving: float | None
    method: str
    total_saving: float | None = None
    whole_peak_tokens: int | None = None
    bounds: SavingBounds | None = None
    means: SavingMeans | None = None
    makeup: Makeup | None = None


@dataclass(frozen=True, slots=True)
class TimeEfficiency:
    """Wall time of the specialists against their sum; saving = 1 - wall / sum."""

    wall_s: float | None
    sum_of_agents_s: float | None
    critical_path_s: float | None
    saving: float | None
