"""Which tools there are: found once by walking this package, handed out by group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from swarm.config.schema import TOOL_GROUPS
from swarm.core.plugins import BrokenPlugin, discover
from swarm.models.playbook import Step
from swarm.tools.tool import Tool


@cache
def all_tools() -> tuple[Tool, ...]:
    """Every tool, sorted by name. Raises BrokenPlugin where one is not usable."""
    tools = sorted((kind() for kind in discover("swarm.tools", Tool)), key=lambda tool: tool.name)  # type: ignore[type-abstract]
    seen: set[str] = set()
    for tool in tools:
        where = type(tool).__module__
        if tool.name in seen:
            raise BrokenPlugin(f"{where}: the tool name {tool.name!r} is taken")
        if tool.group not in TOOL_GROUPS:
            raise BrokenPlugin(f"{where}: {tool.group!r} is none of the groups {', '.join(TOOL_GROUPS)}")
        if not tool.description.strip():
            raise BrokenPlugin(f"{where}: the tool {tool.name!r} needs a description")
        seen.add(tool.name)
    return tuple(tools)


def tools_for(groups: Iterable[str], tools: Sequence[Tool] | None = None) -> tuple[Tool, ...]:
    """The tools of the groups that a specialist names, and no others."""
    wanted = set(groups)
    return tuple(tool for tool in (all_tools() if tools is None else tools) if tool.group in wanted)


def playbook_charter(tools: Iterable[Tool]) -> dict[str, Step]:
    """What the playbook calls when, by tool name."""
    return {
        tool.name: Step(tool.playbook_stage, tool.playbook_arguments)
        for tool in tools
        if tool.playbook_stage is not None
    }
