"""The generated module answer_cache as a process has it, and something to ask."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import time
from types import ModuleType
from typing import Any

from swarm.rules.keeping.kept_answers import module_text


def load(name: str) -> ModuleType:
    """The module anew, as in a process of its own."""
    spec = importlib.util.spec_from_loader(name, loader=None)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    exec(compile(module_text(), "answer_cache.py", "exec"), module.__dict__)
    return module


class Source:
    """What is asked: counts how often, and may be told to fail, to wait, to change."""

    def __init__(self) -> None:
        self.asked = 0
        self.value: Any = {"name": "one", "parts": [1, 2.5, None, True]}
        self.error: Exception | None = None
        self.wait_s = 0.0

    async def read(self) -> Any:
        self.asked += 1
        value = self.value
        await asyncio.sleep(self.wait_s)
        if self.error:
            raise self.error
        return value

    def read_now(self) -> Any:
        self.asked += 1
        value = self.value
        time.sleep(self.wait_s)
        if self.error:
            raise self.error
        return value


def flow_of(module: ModuleType, source: Source) -> tuple[Any, Any]:
    """The same function, in one of two processes."""

    async def get_flow(flow_id: str) -> dict[str, Any]:
        return await source.read()

    async def change_flow(flow_id: str, value: dict[str, Any]) -> None:
        source.value = value

    return module.cached("flow", ttl_s=60)(get_flow), module.invalidates("flow", "flow_id")(change_flow)
