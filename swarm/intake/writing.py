"""Writes a draft as agents.yaml: each doubt a comment above its line, and its line told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from swarm.config.schema import Target, Upstream, UpstreamRoute, Webhook
from swarm.intake.draft import Doubt, Draft

_HEAD = (
    "# Written by `swarm init`: it read the code, started the service on loopback, sent it events and saw whom it\n"
    "# calls. Every value is a guess that you may change; `unsure` marks those that want your eyes.\n"
)
_WIDTH = 116


@dataclass(frozen=True, slots=True)
class Written:
    """The file's text, and the doubts with their lines in it."""

    text: str
    doubts: tuple[tuple[int, Doubt], ...]


class _Flow(dict[str, Any]):
    """A mapping on one line."""


class _FlowList(list[Any]):
    """A list on one line."""


class _Block(str):
    """A text of several lines, written as it stands: a key in PEM."""


class _Dumper(yaml.SafeDumper):
    """Keeps the order, and lets some mappings stand on one line."""

    def ignore_aliases(self, data: Any) -> bool:
        """No anchors: the same value is written again."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Lists stand further in than their key."""
        super().increase_indent(flow, False)


_Dumper.add_representer(
    _Flow, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data.items(), True)
)
_Dumper.add_representer(
    _FlowList, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, True)
)
_Dumper.add_representer(
    _Block, lambda dumper, data: dumper.represent_scalar("tag:yaml.org,2002:str", data, style="|")
)


def render(draft: Draft) -> Written:
    """agents.yaml for one target. Where a doubt's place is not in the file, the nearest place above it is meant."""
    data = {"version": 1, "targets": {draft.name: _target(draft.target)}}
    text = yaml.dump(
        data, Dumper=_Dumper, sort_keys=False, width=_WIDTH, allow_unicode=True, default_flow_style=False
    )
    lines = (_HEAD + text).splitlines()
    root = yaml.compose("\n".join(lines), Loader=yaml.SafeLoader)
    assert root is not None
    placed = sorted(
        ((_line_of(root, ["targets", draft.name, *doubt.where]), doubt) for doubt in draft.doubts),
        key=lambda pair: pair[0],
    )
    told: list[tuple[int, Doubt]] = []
    for number, (line, doubt) in enumerate(placed):
        at = line - 1 + number
        indent = " " * (len(lines[at]) - len(lines[at].lstrip()))
        lines.insert(at, f"{indent}# unsure: {' '.join(doubt.words.split())}")
        told.append((at + 2, doubt))
    return Written("\n".join(lines) + "\n", tuple(told))


def _target(target: Target) -> dict[str, Any]:
    found: dict[str, Any] = {"path": target.path, "start": target.start}
    if "start_seconds" in target.model_fields_set:
        found["start_seconds"] = target.start_seconds
    for key in ("python", "cwd", "health", "setup", "tests"):
        value = getattr(target, key)
        if value is not None:
            found[key] = value
    if target.env:
        found["env"] = {name: _Block(value) if "\n" in value else value for name, value in target.env.items()}
    found["load"] = _Flow(rate=target.load.rate, seconds=target.load.seconds)
    found["webhooks"] = [_webhook(webhook) for webhook in target.webhooks]
    if target.upstreams:
        found["upstreams"] = [_upstream(upstream) for upstream in target.upstreams]
    return found


def _webhook(webhook: Webhook) -> dict[str, Any]:
    found: dict[str, Any] = {"path": webhook.path, "method": webhook.method, "content_type": webhook.content_type}
    if webhook.headers:
        found["headers"] = dict(webhook.headers)
    sign = webhook.sign
    if sign.scheme == "none":
        found["sign"] = _Flow(scheme="none")
    else:
        found["sign"] = _Flow(sign.model_dump(include=sign.model_fields_set, exclude_none=True))
    found["payloads"] = [
        p if isinstance(p, str) else _Flow(p) if isinstance(p, dict) else _FlowList(p) for p in webhook.payloads
    ]
    return found


def _upstream(upstream: Upstream) -> dict[str, Any]:
    found: dict[str, Any] = {"name": upstream.name}
    for key in ("env", "host", "start"):
        value = getattr(upstream, key)
        if value is not None:
            found[key] = _Flow(value) if isinstance(value, dict) else value
    if "url" in upstream.model_fields_set:
        found["url"] = upstream.url
    if upstream.routes:
        found["routes"] = [_route(route) for route in upstream.routes]
    return found


def _route(route: UpstreamRoute) -> _Flow:
    return _Flow(route.model_dump(by_alias=True, exclude_none=True, include=route.model_fields_set | {"status"}))


def _line_of(node: yaml.Node, where: list[str | int]) -> int:
    line = node.start_mark.line + 1
    for part in where:
        inner: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == part:
                    inner, line = value, key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            inner = node.value[part]
            line = inner.start_mark.line + 1
        if inner is None:
            break
        node = inner
    return line
