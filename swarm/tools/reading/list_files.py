"""Tool: the files of the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from swarm.tools.jail import inside, walk
from swarm.tools.tool import Answer, Arguments, Tool, as_json

if TYPE_CHECKING:
    from swarm.tools.workbench import Workbench

_MOST = 400


class ListFilesArguments(Arguments):
    """Which folder."""

    folder: str = Field(".", description="a folder of the target, relative to its root")


class ListFiles(Tool):
    """Names and sizes of the target's files."""

    name = "list_files"
    group = "Read"
    description = "Lists the target's files below a folder, with their sizes in bytes."
    arguments = ListFilesArguments

    async def run(self, arguments: ListFilesArguments, bench: Workbench) -> Answer:
        """At most 400 files; `left_out` counts the rest."""
        folder = inside(bench.copy.path, arguments.folder)
        files = [(name, path.stat().st_size) for name, path in walk(bench.copy.path, folder)]
        shown = [f"{name} ({size})" for name, size in files[:_MOST]]
        return Answer(as_json({"files": shown, "left_out": max(0, len(files) - _MOST)}))
