"""What is known of a service so far, as a target of agents.yaml, and what could not be known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from swarm.config.schema import Target


@dataclass(frozen=True, slots=True)
class Doubt:
    """One thing that could not be known: `where` is a place in the target, ("webhooks", 0, "sign") for example."""

    where: tuple[str | int, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A target that grows, with its doubts."""

    name: str
    target: Target
    doubts: tuple[Doubt, ...] = ()

    def having(self, **fields: Any) -> Draft:
        """The same with some fields of the target set anew."""
        return replace(self, target=self.target.model_copy(update=fields))

    def doubting(self, words: str, *where: str | int) -> Draft:
        """The same with one more doubt; none is told twice."""
        doubt = Doubt(where, words)
        return self if doubt in self.doubts else replace(self, doubts=(*self.doubts, doubt))

    def with_env(self, values: dict[str, str]) -> Draft:
        """The same with more variables."""
        return self.having(env={**self.target.env, **values})
