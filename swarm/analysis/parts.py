"""What the index is made of: functions, classes, routes and application objects, as values."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Literal

from swarm.analysis.source import FunctionNode, Module

Framework = Literal["fastapi", "starlette", "flask"]


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A function or method of the target; `qualname` is dotted within the module, nested ones included."""

    module: Module
    node: FunctionNode
    qualname: str
    is_async: bool
    class_name: str | None

    @property
    def dotted(self) -> str:
        """Module and qualified name."""
        return f"{self.module.dotted}.{self.qualname}"

    @property
    def name(self) -> str:
        """The plain name."""
        return self.node.name


@dataclass(frozen=True, slots=True, eq=False)
class ClassInfo:
    """A class of the target with its methods and what its attributes were assigned."""

    module: Module
    node: ast.ClassDef
    dotted: str
    methods: dict[str, Function] = field(default_factory=dict)
    attributes: dict[str, ast.expr] = field(default_factory=dict)
    annotations: dict[str, ast.expr] = field(default_factory=dict)

    @property
    def bases(self) -> list[ast.expr]:
        """What it derives from, without what fills in its types: `Repository` for `Repository[Order]`."""
        return [base.value if isinstance(base, ast.Subscript) else base for base in self.node.bases]


@dataclass(frozen=True, slots=True)
class Route:
    """One route: `path` is as far as it is known from constants, "" where it is computed.

    `owner` is the application, router or blueprint that it is registered on, where it is known.
    """

    methods: tuple[str, ...]
    path: str
    function: Function
    framework: Framework
    module: Module
    owner: AppObject | None = None


@dataclass(frozen=True, slots=True, eq=False)
class AppObject:
    """An application, router or blueprint: `node` is the assignment that makes it."""

    module: Module
    node: ast.stmt
    name: str
    framework: Framework
    inside_function: bool
    is_app: bool
    call: ast.Call
