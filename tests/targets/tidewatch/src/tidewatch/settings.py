"""What the environment says, read once and checked at the start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


class SettingsError(ValueError):
    """The environment lacks something, or holds something that makes no sense."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The service's settings. `port_secrets` are all that are valid now, so that one can be rotated."""

    port_secrets: tuple[str, ...]
    metrics_token: str
    database_url: str
    berths_url: str
    timeout_s: float = 2.0
    tolerance_s: int = 300
    max_body_bytes: int = 64 * 1024
    deliveries_per_minute: int = 3000

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ) -> Settings:
        """Read and check them. Raises SettingsError that names what is missing."""
        secrets = tuple(part.strip() for part in env.get("PORT_SECRETS", "").split(",") if part.strip())
        if not secrets:
            raise SettingsError("PORT_SECRETS is not set: no delivery could be verified")
        return cls(
            port_secrets=secrets,
            metrics_token=_required(env, "METRICS_TOKEN"),
            database_url=_required(env, "DATABASE_URL"),
            berths_url=_required(env, "BERTHS_URL"),
            timeout_s=float(env.get("BERTHS_TIMEOUT_S", "2.0")),
        )


def _required(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "").strip()
    if not value:
        raise SettingsError(f"{name} is not set")
    return value
