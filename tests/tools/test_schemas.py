"""Schemas as models read them: nothing that decides what is right is lost, and what is checked anyhow is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from swarm.agents.submission import submission_closing
from swarm.tools.finding_store import FindingStore
from swarm.tools.registry import all_tools
from swarm.tools.schemas import input_schema


class Inner(BaseModel):
    """A docstring for people."""

    model_config = ConfigDict(extra="forbid")
    title: str = Field(max_length=9)
    kind: Literal["a", "b"]


class Outer(BaseModel):
    """Another one."""

    model_config = ConfigDict(extra="forbid")
    one: Inner | None = Field(None, description="may be left out")
    many: list[Inner] = Field(min_length=1, max_length=4)
    either: int | str = 7
    named: dict[str, int] = Field(default_factory=dict)


def test_references_nulls_and_upper_bounds_are_gone_and_the_rest_stays() -> None:
    inner = {
        "properties": {"title": {"type": "string"}, "kind": {"enum": ["a", "b"], "type": "string"}},
        "required": ["title", "kind"],
        "type": "object",
    }
    assert input_schema(Outer) == {
        "additionalProperties": False,
        "properties": {
            "one": {**inner, "description": "may be left out"},
            "many": {"items": inner, "minItems": 1, "type": "array"},
            "either": {"anyOf": [{"type": "integer"}, {"type": "string"}], "default": 7},
            "named": {"additionalProperties": {"type": "integer"}, "type": "object"},
        },
        "required": ["many"],
        "type": "object",
    }


def test_no_tool_names_what_is_not_there() -> None:
    specs = [*(tool.spec() for tool in all_tools()), submission_closing(FindingStore(), Path()).spec()]
    for spec in specs:
        text = json.dumps(spec.input_schema)
        assert "$ref" not in text and "$defs" not in text and '"null"' not in text
        assert set(spec.input_schema.get("required", ())) <= set(spec.input_schema["properties"])
