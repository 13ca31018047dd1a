"""Tools and a closing call for tests of the loop."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import Field

from swarm.agents.conversation.closing import Closing
from swarm.core.errors import ToolFailed
from swarm.tools.tool import Answer, Arguments, Tool, as_json
from swarm.tools.workbench import Workbench


class EchoArguments(Arguments):
    words: str = "hello"
    wait_s: float = Field(0.0, ge=0)


class Echo(Tool):
    name = "echo"
    group = "Read"
    description = "gives its words back"
    arguments = EchoArguments
    deadline_s = 0.5
    running = 0
    most_running = 0

    async def run(self, arguments: Any, bench: Workbench) -> Answer:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(arguments.wait_s)
        finally:
            self.running -= 1
        if arguments.words == "fail":
            raise ToolFailed("try other words")
        if arguments.words == "bug":
            raise ZeroDivisionError("secret internals")
        if arguments.words == "exit":
            raise SystemExit(2)
        return Answer(as_json({"words": arguments.words, "findings": []}))


class DoneArguments(Arguments):
    answer: int


def done() -> Closing:
    def check(arguments: DoneArguments) -> None:
        if arguments.answer != 42:
            raise ToolFailed("the answer is another one")

    return Closing("submit", "ends it", DoneArguments, check)
