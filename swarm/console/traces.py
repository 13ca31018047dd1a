"""OpenTelemetry traces of a run (run, agent, turn, tool) by the GenAI conventions, as OTLP over HTTP in JSON.

Each is sent as it ends, and only where OTEL_EXPORTER_OTLP_ENDPOINT names a collector. No SDK: spans are made of the
events that consoles see, secrets masked before. What models and tools said is not in them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from swarm.console.otlp import SpanSender
from swarm.core import events as e

ENDPOINT, TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_INTERNAL, _CLIENT = 1, 3
_ERROR = 2
Value = str | int | float | bool


def traces_from(environ: Mapping[str, str]) -> Traces | None:
    """The exporter that the environment asks for; None where it asks for none."""
    base = environ.get(ENDPOINT, "").rstrip("/")
    url = environ.get(TRACES_ENDPOINT) or (f"{base}/v1/traces" if base else "")
    if not url or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    pairs = (pair.split("=", 1) for pair in environ.get("OTEL_EXPORTER_OTLP_HEADERS", "").split(",") if "=" in pair)
    headers = {name.strip(): unquote(value.strip()) for name, value in pairs}
    return Traces(SpanSender(url, headers, environ.get("OTEL_SERVICE_NAME") or "swarm"))


class Traces:
    """An EventSink that makes spans; it neither raises nor waits."""

    def __init__(self, sender: SpanSender, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._sender, self._now_ns = sender, now_ns
        self._trace = os.urandom(16).hex()
        self._root = os.urandom(8).hex()
        self._began_ns = now_ns()
        self._run: dict[str, Value] = {}
        self._agents: dict[str, tuple[str, int, dict[str, Value]]] = {}

    def __call__(self, event: e.Event) -> None:
        """Take one event; the last one waits a moment for what is still to be sent."""
        now_ns = self._now_ns()
        match event:
            case e.RunStarted():
                self._began_ns = now_ns
                self._run = {"swarm.run.id": event.run_id, "swarm.target": event.target, "swarm.name": event.swarm,
                             "swarm.pattern": event.pattern}  # fmt: skip
            case e.AgentStarted():
                known = self._agents.get(event.agent)
                span, began_ns = known[:2] if known else (os.urandom(8).hex(), now_ns)
                own = _genai("invoke_agent", event.provider, event.model) | {"gen_ai.agent.name": event.agent}
                self._agents[event.agent] = (span, began_ns, own)
            case e.TurnFinished():
                own = {"swarm.tokens_are_estimated": event.estimated}
                self._chat(event, own, now_ns - round(event.duration_s * 1e9), now_ns)
            case e.TurnFailed():
                self._chat(event, {}, now_ns, now_ns, wrong="no whole turn")
            case e.ToolFinished():
                own = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": event.tool}
                began_ns = now_ns - round(event.duration_s * 1e9)
                wrong = "" if event.ok else "the tool failed"
                self._span(f"execute_tool {event.tool}", began_ns, now_ns, own, self._of(event.agent), wrong=wrong)
            case e.AgentFinished():
                self._agent(event, now_ns)
            case e.RunFinished():
                own = {**self._run, "swarm.status": event.status, "swarm.exit_code": event.exit_code}
                own |= {"swarm.patches.accepted": event.accepted, "swarm.patches.rejected": event.rejected}
                self._span("swarm run", self._began_ns, now_ns, own, "", self._root)
                self._sender.close()
            case _:
                pass

    def _chat(
        self, event: e.TurnFinished | e.TurnFailed, own: Mapping[str, Value], began_ns: int, now_ns: int,
        wrong: str = "",
    ) -> None:  # fmt: skip
        agent = self._agents.get(event.agent)
        asked = {key: value for key, value in (agent[2] if agent else {}).items() if key != "gen_ai.agent.name"}
        own = {
            **asked,
            "gen_ai.operation.name": "chat",
            "gen_ai.usage.input_tokens": event.input_tokens,
            "gen_ai.usage.output_tokens": event.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": event.cache_read_tokens,
            "gen_ai.usage.cache_creation.input_tokens": event.cache_write_tokens,
            **own,
        }
        if event.cost_usd is not None:
            own["swarm.cost_usd"] = event.cost_usd
        name = f"chat {own.get('gen_ai.request.model', '')}".strip()
        self._span(name, began_ns, now_ns, own, self._of(event.agent), kind=_CLIENT, wrong=wrong)

    def _agent(self, event: e.AgentFinished, now_ns: int) -> None:
        span, began_ns, own = self._agents.get(event.agent, (os.urandom(8).hex(), now_ns, {}))
        own = {**own, "swarm.agent.status": event.status, "swarm.findings": event.findings}
        wrong = "the agent failed" if event.status == "failed" else ""
        self._span(f"invoke_agent {event.agent}", began_ns, now_ns, own, self._root, span, wrong=wrong)

    def _of(self, agent: str) -> str:
        known = self._agents.get(agent)
        return known[0] if known else self._root

    def _span(
        self, name: str, began_ns: int, ended_ns: int, own: Mapping[str, Value], parent: str, span: str = "",
        kind: int = _INTERNAL, wrong: str = "",
    ) -> None:  # fmt: skip
        made: dict[str, Any] = {
            "traceId": self._trace,
            "spanId": span or os.urandom(8).hex(),
            "name": name,
            "kind": kind,
            "startTimeUnixNano": str(began_ns),
            "endTimeUnixNano": str(ended_ns),
            "attributes": [{"key": key, "value": _value(value)} for key, value in own.items()],
        }
        if parent:
            made["parentSpanId"] = parent
        if wrong:
            made["status"] = {"code": _ERROR, "message": wrong}
        self._sender.send(made)


def _genai(operation: str, provider: str, model: str) -> dict[str, Value]:
    return {"gen_ai.operation.name": operation, "gen_ai.provider.name": provider, "gen_ai.request.model": model}


def _value(value: Value) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case _:
            return {"stringValue": value}
