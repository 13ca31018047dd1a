"""Chooses the provider of turns from what the user asked for and what the environment offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from swarm.core.errors import UsageError
from swarm.core.metrics import did_you_mean

Provider = Literal["anthropic", "offline"]
REQUESTS = ("auto", "anthropic", "offline")
_CREDENTIALS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
_BASE_URL = "ANTHROPIC_BASE_URL"


def choose_provider(
    requested: str, environ: Mapping[str, str], *, record: str | None = None, replay: str | None = None
) -> tuple[Provider, str]:
    """The provider and, in a few words, why it; `record` and `replay` are folders of recorded model traffic.

    Raises UsageError where `requested` is unknown, is anthropic and nothing to reach it with is set, or where there
    would be no traffic to keep.
    """
    if requested not in REQUESTS:
        raise UsageError(
            f"provider {requested!r} is unknown{did_you_mean(requested, REQUESTS)}; use one of {', '.join(REQUESTS)}"
        )
    if replay and requested != "offline":
        return "anthropic", f"replayed from {replay}"
    if record or replay:
        _check_traffic(requested, environ, record, replay)
    if requested == "offline":
        return "offline", "asked for with --provider offline"
    found = next((name for name in (*_CREDENTIALS, _BASE_URL) if environ.get(name)), None)
    if found is not None:
        return "anthropic", f"{found} is set"
    if requested == "anthropic":
        raise UsageError(
            "--provider anthropic needs ANTHROPIC_API_KEY (or ANTHROPIC_BASE_URL for a local server); "
            "set one, or use --provider offline"
        )
    return "offline", f"no {_CREDENTIALS[0]} and no {_BASE_URL} is set"


def _check_traffic(requested: str, environ: Mapping[str, str], record: str | None, replay: str | None) -> None:
    if replay:
        raise UsageError("--replay plays a model's turns, and --provider offline has none; leave one of them out")
    reachable = any(environ.get(name) for name in (*_CREDENTIALS, _BASE_URL))
    if record and (requested == "offline" or not reachable):
        raise UsageError(
            "--record keeps a model's turns, and this run would have none: "
            f"set {_CREDENTIALS[0]} or {_BASE_URL}, and leave out --provider offline"
        )
