"""What a turn costs, and which model id an alias stands for: read from prices.yaml and a user's own file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from swarm.core.chat import Usage
from swarm.core.errors import UsageError

_MILLION = 1_000_000


class LongPrompt(BaseModel):
    """All rates are multiplied by `times` where the whole input is longer than `over_tokens`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    over_tokens: int = Field(gt=0)
    times: float = Field(gt=0)


class Rates(BaseModel):
    """US dollars per million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cache_write_5m: float = Field(ge=0)
    cache_write_1h: float = Field(ge=0)
    cache_read: float = Field(ge=0)
    long_prompt: LongPrompt | None = None


class _PriceFile(BaseModel):
    model_config = ConfigDict(extra="forbid")
    models: dict[str, Rates] = Field(default_factory=dict)
    aliases: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prices:
    """Rates by model id, and ids by alias."""

    rates: Mapping[str, Rates]
    aliases: Mapping[str, str]

    def model_id(self, name: str) -> str:
        """The id that an alias stands for; a name that is no alias is taken as an id."""
        return self.aliases.get(name, name)

    def cost_usd(self, model: str, usage: Usage, ttl: Literal["5m", "1h"] = "5m") -> float | None:
        """Dollars of one turn; None where the model's rates are not known."""
        rates = self.rates.get(self.model_id(model))
        if rates is None:
            return None
        write = rates.cache_write_5m if ttl == "5m" else rates.cache_write_1h
        dollars = (
            usage.input_tokens * rates.input
            + usage.output_tokens * rates.output
            + usage.cache_read_tokens * rates.cache_read
            + usage.cache_write_tokens * write
        ) / _MILLION
        long = rates.long_prompt
        return dollars * long.times if long and usage.context_tokens > long.over_tokens else dollars

    def most_usd(self, model: str, input_tokens: int, output_tokens: int) -> float | None:
        """Dollars of a turn at most: its input read plainly or written to the cache, whichever costs more."""
        plain = self.cost_usd(model, Usage(input_tokens, output_tokens))
        written = self.cost_usd(model, Usage(0, output_tokens, 0, input_tokens))
        return None if plain is None or written is None else max(plain, written)


def load_prices(override: Path | None = None) -> Prices:
    """The bundled table, with `override` laid over it. Raises UsageError where a file is wrong."""
    bundled = _read(Path(__file__).with_name("prices.yaml"))
    if override is None:
        return Prices(bundled.models, bundled.aliases)
    own = _read(override)
    return Prices({**bundled.models, **own.models}, {**bundled.aliases, **own.aliases})


def _read(path: Path) -> _PriceFile:
    try:
        return _PriceFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: prices cannot be read: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path}: prices: {where}: {first['msg']}") from None
