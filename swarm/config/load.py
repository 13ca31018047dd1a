"""Reads agents.yaml strictly: every mistake with its line, and a "did you mean"."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from swarm.config import schema
from swarm.core.errors import UsageError

RESERVED = ("version", "targets", "models")
_MERGE_TAG = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake; `line` counts from 1, 0 where the whole file is meant."""

    line: int
    where: str
    message: str


class ConfigMistakes(UsageError):
    """agents.yaml has mistakes; `str()` holds one line for each."""

    def __init__(self, source: Path, mistakes: list[Mistake]) -> None:
        self.source = source
        self.mistakes = mistakes
        lines = [
            f"{source.name}:{m.line}: {m.where}: {m.message}" if m.where else f"{source.name}:{m.line}: {m.message}"
            for m in mistakes
        ]
        super().__init__("\n".join(lines))


def load_agents(path: Path) -> schema.AgentsFile:
    """Read and check a whole agents.yaml.

    Raises ConfigMistakes with every mistake found, and UsageError where the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; `swarm run -c FILE` names another") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigMistakes(path, [_yaml_mistake(error)]) from None
    if not isinstance(data, dict) or not isinstance(node, yaml.MappingNode):
        raise ConfigMistakes(path, [Mistake(1, "", "must be a mapping with a swarm by its name")])
    mistakes = list(_duplicate_keys(node, ""))
    raw: dict[str, Any] = {key: data[key] for key in RESERVED if data.get(key) is not None}
    raw["swarms"] = {str(key): value for key, value in data.items() if key not in RESERVED}
    raw.setdefault("targets", {})
    raw["source"] = path.resolve()
    agents: schema.AgentsFile | None = None
    try:
        agents = schema.AgentsFile.model_validate(raw)
    except ValidationError as error:
        mistakes += [_mistake(node, item) for item in error.errors(include_url=False)]
    if agents is not None:
        mistakes += _cross_checks(agents, node)
    if agents is None or mistakes:
        raise ConfigMistakes(path, sorted(mistakes, key=lambda m: m.line))
    return agents


def _yaml_mistake(error: yaml.YAMLError) -> Mistake:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return Mistake(mark.line + 1 if mark else 1, "", f"is not YAML: {problem}")


def _duplicate_keys(node: yaml.Node, where: str) -> Iterator[Mistake]:
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _duplicate_keys(child, where)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if key.tag != _MERGE_TAG and isinstance(key, yaml.ScalarNode):
            if key.value in seen:
                yield Mistake(line, where, f"key {key.value!r} stands twice (first in line {seen[key.value]})")
            seen[key.value] = line
        yield from _duplicate_keys(value, str(key.value))


def _mistake(root: yaml.Node, item: Any) -> Mistake:
    """One pydantic error as a line of the file, with a near key or value where there is one."""
    loc = list(item["loc"])
    if loc and loc[0] == "swarms":
        loc = loc[1:]
    line = _line_of(root, loc)
    where = ".".join(str(part) for part in loc if not str(part).startswith("function-"))
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = f"unknown key{_near(str(loc[-1]), _fields_at(item['loc'][:-1]))}"
    elif item["type"] == "missing":
        message = "is missing"
    elif item["type"] == "literal_error":
        expected = [word.strip("' ") for word in str(item["ctx"]["expected"]).replace(" or ", ", ").split(",")]
        message = (
            f"{item['input']!r} is unknown; use one of {', '.join(expected)}{_near(str(item['input']), expected)}"
        )
    elif item["type"] in ("model_type", "dict_type"):
        message = "must be a mapping"
    return Mistake(line, where, message)


def _near(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _fields_at(loc: tuple[Any, ...]) -> list[str]:
    """The keys that are known at a place of the schema."""
    model: Any = schema.AgentsFile
    for part in loc:
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return []
        field = model.model_fields.get(str(part))
        if field is None:
            continue
        model = _inner_model(field.annotation)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return []
    return [field.alias or name for name, field in model.model_fields.items()]


def _inner_model(annotation: Any) -> Any:
    """The pydantic model inside `list[X]`, `dict[str, X]` or `X | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        inner = _inner_model(argument)
        if inner is not None:
            return inner
    return None


def _line_of(node: yaml.Node, loc: list[Any]) -> int:
    """The line of the deepest part of `loc` that the file holds."""
    line = node.start_mark.line + 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if str(key.value) == str(part):
                    node, line = value, key.start_mark.line + 1
                    break
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def _cross_checks(agents: schema.AgentsFile, node: yaml.Node) -> list[Mistake]:
    """What one field alone cannot show: tool names, empty swarms, upstreams that nothing reaches."""
    mistakes: list[Mistake] = []
    for swarm_name, swarm in agents.swarms.items():
        if not swarm.specialists:
            loc = [swarm_name, "specialists"]
            mistakes.append(Mistake(_line_of(node, loc), ".".join(loc), "a swarm needs at least one specialist"))
        for name, specialist in swarm.specialists.items():
            loc_tools: list[Any] = [swarm_name, "specialists", name, "tools"]
            for number, tool in enumerate(specialist.tools):
                if tool not in schema.TOOL_GROUPS:
                    near = _near(tool, list(schema.TOOL_GROUPS))
                    mistakes.append(
                        Mistake(
                            _line_of(node, [*loc_tools, number]),
                            f"{name}.tools",
                            f"{tool!r} is unknown{near}",
                        )
                    )
    for target_name, target in agents.targets.items():
        for number, upstream in enumerate(target.upstreams):
            loc_upstream: list[Any] = ["targets", target_name, "upstreams", number]
            line, where = _line_of(node, loc_upstream), f"{target_name}.upstreams.{upstream.name}"
            if not upstream.env and not upstream.host:
                mistakes.append(
                    Mistake(line, where, "needs `env` (the variable for its URL, or a mapping) or `host`")
                )
            if bool(upstream.start) == bool(upstream.routes):
                mistakes.append(Mistake(line, where, "needs either `start` (a program) or `routes`, and not both"))
        for number, webhook in enumerate(target.webhooks):
            if webhook.sign.scheme != "none" and not webhook.sign.secret_env:
                line = _line_of(node, ["targets", target_name, "webhooks", number, "sign"])
                mistakes.append(
                    Mistake(line, f"{webhook.path}.sign", "needs `secret_env`, the variable with the secret")
                )
    return mistakes
