"""Tool: a range of lines of one file of the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from swarm.core.errors import ToolFailed
from swarm.tools.jail import inside, read_text
from swarm.tools.tool import Answer, Arguments, Tool

if TYPE_CHECKING:
    from swarm.tools.workbench import Workbench

_MOST_LINES = 400
_LINE_CHARS = 400


class ReadFileArguments(Arguments):
    """Which lines of which file."""

    file: str = Field(description="relative to the target's root")
    first_line: int = Field(1, ge=1)
    last_line: int | None = Field(None, ge=1, description="inclusive; at most 400 lines come back")


class ReadFile(Tool):
    """Lines with their numbers."""

    name = "read_file"
    group = "Read"
    description = "Reads lines of one text file of the target, each with its number. Ask for the range you need."
    arguments = ReadFileArguments
    ranged = True

    async def run(self, arguments: ReadFileArguments, bench: Workbench) -> Answer:
        """Raises ToolFailed for what is no text file or lies outside."""
        path = inside(bench.copy.path, arguments.file)
        text = read_text(path) if path.is_file() else None
        if text is None:
            raise ToolFailed(f"{arguments.file!r} is no readable text file")
        lines = bench.mask(text).splitlines()
        first = arguments.first_line
        last = min(arguments.last_line or len(lines), len(lines), first + _MOST_LINES - 1)
        shown = [f"{number}: {lines[number - 1][:_LINE_CHARS]}" for number in range(first, last + 1)]
        head = f"{arguments.file}, lines {first} to {last} of {len(lines)}"
        again = {"file": arguments.file, "lines": [first, last]}
        return Answer("\n".join([head, *shown]), served=again)
