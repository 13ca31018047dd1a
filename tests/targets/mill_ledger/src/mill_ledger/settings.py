"""The environment, read once and checked."""

from __future__ import annotations

import os
from dataclasses import dataclass


class MissingSetting(RuntimeError):
    """A setting that the service cannot do without is not there."""


@dataclass(frozen=True)
class Settings:
    """Settings. `bank_secrets` may be two while one is being replaced."""

    bank_secrets: tuple[str, ...]
    ledger_path: str
    shop_url: str
    max_body_bytes: int = 32 * 1024
    tolerance_s: int = 300
    requests_per_minute: int = 1200

    @classmethod
    def from_environment(cls) -> Settings:
        """All of them. Raises MissingSetting with the name."""
        return cls(
            bank_secrets=tuple(part for part in _wanted("BANK_SECRET").split(",") if part),
            ledger_path=_wanted("LEDGER_DB"),
            shop_url=_wanted("SHOP_URL"),
        )


def _wanted(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise MissingSetting(f"set {name}")
    return value
