"""Tool: lines of the target that match a pattern."""

from __future__ import annotations

import asyncio
import fnmatch
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from swarm.core.errors import ToolFailed
from swarm.tools.jail import inside, read_text, walk
from swarm.tools.tool import Answer, Arguments, Tool, as_json

if TYPE_CHECKING:
    from swarm.tools.workbench import Workbench

_MOST_HITS = 100
_LINE_CHARS = 200


class SearchCodeArguments(Arguments):
    """What to look for, where."""

    text: str = Field(min_length=1, max_length=200, description="literal text; letter case counts")
    files: str = Field("*", description="a glob over file names or paths, such as '*.py'")


class SearchCode(Tool):
    """Literal search: a model's regular expression could run for minutes on one line."""

    name = "search_code"
    group = "Read"
    description = "Finds lines of the target's text files that hold a literal text; gives file, line and text."
    arguments = SearchCodeArguments

    async def run(self, arguments: SearchCodeArguments, bench: Workbench) -> Answer:
        """At most 100 hits, each as `file:line: text`. Raises ToolFailed for a text of several lines."""
        if "\n" in arguments.text:
            raise ToolFailed("one line of text at a time")
        hits, more = await asyncio.to_thread(_search, bench.copy.path, arguments.text, arguments.files, bench.mask)
        return Answer(as_json({"hits": hits, "more": more}))


def _search(root: Path, text: str, files: str, mask: Callable[[str], str]) -> tuple[list[str], bool]:
    pattern = re.compile(re.escape(text))
    hits: list[str] = []
    for name, path in walk(root, inside(root, ".")):
        if not (fnmatch.fnmatch(name, files) or fnmatch.fnmatch(path.name, files)):
            continue
        for number, line in enumerate(mask(read_text(path) or "").splitlines(), 1):
            if pattern.search(line):
                if len(hits) == _MOST_HITS:
                    return hits, True
                hits.append(f"{name}:{number}: {line.strip()[:_LINE_CHARS]}")
    return hits, False
