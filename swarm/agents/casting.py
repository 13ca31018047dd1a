"""Which models may play an agent: the name in agents.yaml, its fallbacks, and the playbook at the end. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from swarm.agents.conversation.surroundings import Candidate
from swarm.config.schema import ModelAlias
from swarm.core.ports import Model
from swarm.models.playbook import MODEL_NAME
from swarm.models.prices import Prices


def cast(
    wanted: str,
    aliases: Mapping[str, str | ModelAlias],
    prices: Prices,
    *,
    provider: Model | None,
    playbook: Model | None,
) -> tuple[Candidate, ...]:
    """The candidates for an agent that names the model `wanted`, in the order in which they are tried.

    `aliases` is the `models` block of agents.yaml; a name that it lacks is an alias of prices.yaml or a model id.
    `provider` is None where the run is offline, `playbook` is None where no fallback to it is allowed.
    """
    candidates: list[Candidate] = []
    if provider is not None:
        candidates += [Candidate(provider, model_id) for model_id in model_ids(wanted, aliases, prices)]
    if playbook is not None:
        candidates.append(Candidate(playbook, MODEL_NAME))
    return tuple(candidates)


def model_ids(wanted: str, aliases: Mapping[str, str | ModelAlias], prices: Prices) -> tuple[str, ...]:
    """The ids that a name in agents.yaml stands for, fallbacks after the first."""
    entry = aliases.get(wanted, wanted)
    names = [entry] if isinstance(entry, str) else [entry.id, *entry.fallbacks]
    return tuple(dict.fromkeys(prices.model_id(name) for name in names))
