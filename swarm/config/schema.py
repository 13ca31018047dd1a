"""agents.yaml as values: pydantic models that are strict about keys and frozen once read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from swarm.core.errors import UsageError
from swarm.core.metrics import parse_target_expression

TOOL_GROUPS = (
    "Read", "Bash", "Performance-Analysis", "API-Testing", "Security-Scanners", "Compliance-Tools",
    "Error-Analysis", "Monitoring-Tools", "Alerting-Setup",
)  # fmt: skip
PATTERNS = ("parallel", "sequential", "single")
SignScheme = Literal[
    "hmac-sha256", "hmac-sha1", "hmac-sha512", "ed25519", "standard-webhooks", "stripe", "github", "twilio", "none",
]  # fmt: skip
BodyTemplate = str | dict[str, Any] | list[Any]  # a file's name or glob, or a body


class Strict(BaseModel):
    """Unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Share(Strict):
    """Limits of one agent within its run; its turns are bounded by `max_turns`."""

    usd: float | None = Field(None, gt=0)
    tokens: int | None = Field(None, gt=0)
    seconds: float | None = Field(None, gt=0)


class Budget(Share):
    """Limits of a whole run."""

    turns: int | None = Field(None, gt=0)


class Specialist(Strict):
    """One agent of a swarm."""

    model: str | None = None
    description: str = ""
    tools: list[str] = Field(default_factory=list)
    focus: str = ""
    target_metrics: list[str] = Field(default_factory=list)
    validation_areas: list[str] = Field(default_factory=list)
    optimization_targets: list[str] = Field(default_factory=list)
    monitoring_scope: list[str] = Field(default_factory=list)
    max_turns: int = Field(24, ge=1, le=200)
    budget: Share | None = None

    @field_validator("target_metrics")
    @classmethod
    def _expressions(cls, values: list[str]) -> list[str]:
        for value in values:
            try:
                parse_target_expression(value)
            except UsageError as error:
                raise ValueError(str(error)) from None
        return values


class Edits(Strict):
    """Patches that models write themselves. `tries` bounds how often one that a gate refused may be written anew."""

    allowed: bool = True
    tries: int = Field(2, ge=0, le=5)


class Swarm(Strict):
    """A coordinator and its specialists."""

    coordinator: str = "coordinator"
    model: str = "sonnet"
    pattern: Literal["parallel", "sequential", "single"] = "parallel"
    budget: Budget = Budget(usd=None, tokens=None, seconds=None, turns=None)
    edits: Edits = Edits(allowed=True, tries=2)
    advice_only: list[str] = Field(default_factory=list)  # rules whose findings are reported and never mended
    specialists: dict[str, Specialist]


class Sign(Strict):
    """How a sender signs a webhook."""

    scheme: SignScheme = "none"
    header: str = ""
    secret_env: str = ""
    format: str = "{hex}"
    signed: str = "{body}"
    timestamp_header: str | None = None


class Webhook(Strict):
    """One route that senders call."""

    path: str
    method: str = "POST"
    content_type: str = "application/json"
    headers: dict[str, str] = Field(default_factory=dict)
    sign: Sign = Sign()
    payloads: list[BodyTemplate] = Field(default_factory=list)
    share: float = Field(1.0, gt=0)


class UpstreamRoute(Strict):
    """One answer of a played upstream. `effect` tells replay whether a call changes anything there."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    method: str = "GET"
    path: str
    latency_ms: float = Field(0, ge=0)
    jitter_ms: float = Field(0, ge=0)
    error_rate: float = Field(0, ge=0, le=1)
    status: int = 200
    json_body: Any = Field(None, alias="json")
    text: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    effect: Literal["read", "write"] | None = None


def _as_strings(value: Any) -> Any:
    """A mapping whose numbers are text: YAML reads `PORT: 80` as a number."""
    if isinstance(value, dict):
        return {key: str(item) if isinstance(item, (int, float)) else item for key, item in value.items()}
    return value


class Upstream(Strict):
    """A system that the target calls: declared by routes, started as a program, or a host to intercept.

    `env` is the variable that gets its URL, or a mapping of variables to values, for a service that is told the
    host, the port and the user one by one.
    """

    name: str
    env: str | dict[str, str] | None = None
    url: str = "http://127.0.0.1:{port}"
    start: str | None = None
    host: str | None = None
    routes: list[UpstreamRoute] = Field(default_factory=list)

    @field_validator("env", mode="before")
    @classmethod
    def _strings(cls, value: Any) -> Any:
        return _as_strings(value)

    def variables(self, port: int) -> dict[str, str]:
        """What the target's environment gets for it where it listens on `port`."""
        named = {self.env: self.url} if isinstance(self.env, str) else self.env or {}
        return {name: value.replace("{port}", str(port)) for name, value in named.items()}


class Load(Strict):
    """The load that bench offers."""

    rate: float = Field(10, gt=0, le=2000)
    seconds: float = Field(8, gt=0, le=300)


class Target(Strict):
    """A service to work on. Paths are as written; `resolved` in config.load makes them absolute."""

    path: str
    python: str | None = None
    start: str
    start_seconds: float = Field(20.0, gt=0, le=600)  # within which it must answer
    cwd: str | None = None
    health: str | None = None
    env: dict[str, str] = Field(default_factory=dict)
    setup: str | None = None
    tests: str | None = None
    protect: list[str] = Field(default_factory=list)
    advisories: str | None = None
    load: Load = Load(rate=10, seconds=8)
    webhooks: list[Webhook] = Field(default_factory=list)
    upstreams: list[Upstream] = Field(default_factory=list)

    @field_validator("env", mode="before")
    @classmethod
    def _strings(cls, value: Any) -> Any:
        return _as_strings(value)


class ModelAlias(Strict):
    """A name of the user's for a model id, with a chain of fallbacks."""

    id: str
    fallbacks: list[str] = Field(default_factory=list)


class AgentsFile(Strict):
    """The whole of agents.yaml, its swarms by name."""

    version: int = 1
    swarms: dict[str, Swarm]
    targets: dict[str, Target]
    models: dict[str, str | ModelAlias] = Field(default_factory=dict)
    source: Path

    def folder(self) -> Path:
        """The folder that relative paths count from."""
        return self.source.parent
