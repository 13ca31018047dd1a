"""How a provider fails: a ModelFailed that also knows how long the provider asks to wait."""

from __future__ import annotations

from swarm.core.chat import ModelFailed


class ProviderFailed(ModelFailed):
    """No usable turn from a provider; `retry_after_s` is its own wish, None where it has none."""

    def __init__(self, message: str, *, retryable: bool, retry_after_s: float | None = None) -> None:
        super().__init__(message, retryable=retryable)
        self.retry_after_s = retry_after_s
