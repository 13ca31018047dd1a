"""The words that an agent begins with: its system prompt and its first message."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Template

from swarm.config.schema import Specialist, Target
from swarm.models.playbook import Step
from swarm.tools.registry import all_tools, playbook_charter

READ_FINDINGS = "read_findings"


def full_charter() -> dict[str, Step]:
    """What the playbook calls when, as any specialist or as the coordinator."""
    return {**playbook_charter(all_tools()), READ_FINDINGS: Step(0)}


def specialist_system(name: str, specialist: Specialist) -> str:
    """The system prompt of a specialist, from its place in agents.yaml."""
    return _filled(
        "specialist.md",
        {
            "name": name,
            "description": specialist.description or "(none given: go by the focus and your tools)",
            "focus": specialist.focus or "(none given)",
            "lists": _lists(specialist),
            "max_turns": str(specialist.max_turns),
        },
    )


def coordinator_system(name: str, max_turns: int) -> str:
    """The system prompt of the coordinator."""
    return _filled("coordinator.md", {"name": name, "max_turns": str(max_turns)})


def revision_system(name: str, max_turns: int) -> str:
    """The system prompt of a specialist whose own patch was refused."""
    return _filled("revision.md", {"name": name, "max_turns": str(max_turns)})


def first_words(target: Target) -> str:
    """The first message to a specialist: the few facts that everyone needs."""
    webhooks = [f"- {hook.method} {hook.path} (signed: {hook.sign.scheme})" for hook in target.webhooks]
    upstreams = [f"- {upstream.name}" for upstream in target.upstreams]
    parts = [
        "Work on this service.",
        "Its webhooks:\n" + ("\n".join(webhooks) or "- none declared: it cannot be sent traffic"),
        "The systems that it calls:\n" + ("\n".join(upstreams) or "- none declared"),
        "It has tests of its own." if target.tests else "It has no tests of its own.",
        "Begin.",
    ]
    return "\n\n".join(parts)


def _lists(specialist: Specialist) -> str:
    lists = {
        "Targets to reach": specialist.target_metrics,
        "Areas to validate": specialist.validation_areas,
        "To optimize": specialist.optimization_targets,
        "To monitor": specialist.monitoring_scope,
    }
    return "\n".join(f"{title}: {', '.join(items)}" for title, items in lists.items() if items)


def _filled(file: str, values: Mapping[str, str]) -> str:
    text = (Path(__file__).parent / "prompts" / file).read_text(encoding="utf-8")
    return Template(text).substitute(values)
