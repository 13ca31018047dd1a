"""What a tree defines: its functions, classes and methods by name, and where names and calls stand."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TypeVar, overload

from swarm.analysis.parts import ClassInfo, Function
from swarm.analysis.source import FunctionNode, Module, SourceTree, own_nodes, own_of

N = TypeVar("N", bound=ast.AST)
M = TypeVar("M", bound=ast.AST)


class Definitions:
    """The tree's definitions, collected once; what is looked up is kept."""

    def __init__(self, tree: SourceTree) -> None:
        self.tree = tree
        self.functions: list[Function] = []
        self.classes: dict[str, ClassInfo] = {}
        self._by_node: dict[ast.AST, Function] = {}
        self._by_dotted: dict[str, Function] = {}
        self._resolved: dict[ast.AST, str | None] = {}
        self._written: dict[str, list[tuple[Module, ast.Name | ast.Attribute]]] = {}
        self._methods: dict[tuple[str, str], Function | None] = {}
        for module in tree.modules.values():
            self._collect(module)
        self._methods_by_name: dict[str, list[Function]] = {}
        for function in self.functions:
            if function.class_name:
                self._methods_by_name.setdefault(function.name, []).append(function)

    def _collect(self, module: Module) -> None:
        for node in module.nodes(ast.ClassDef):
            dotted = f"{module.dotted}.{_qualname(module, node)}"
            self.classes[dotted] = ClassInfo(module, node, dotted)
        nodes: list[FunctionNode] = [*module.nodes(ast.FunctionDef), *module.nodes(ast.AsyncFunctionDef)]
        for function_node in sorted(nodes, key=lambda n: n.lineno):
            parent = module.parent(function_node)
            class_name = parent.name if isinstance(parent, ast.ClassDef) else None
            qualname = _qualname(module, function_node)
            is_async = isinstance(function_node, ast.AsyncFunctionDef)
            function = Function(module, function_node, qualname, is_async, class_name)
            self.functions.append(function)
            self._by_node[function_node] = function
            self._by_dotted.setdefault(function.dotted, function)
            if isinstance(parent, ast.ClassDef):
                self._add_method(function, parent)
        for node in module.nodes(ast.ClassDef):
            info = self.classes[f"{module.dotted}.{_qualname(module, node)}"]
            for statement in node.body:
                if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                    info.annotations[statement.target.id] = statement.annotation
                elif isinstance(statement, ast.Assign):
                    for target in statement.targets:
                        if isinstance(target, ast.Name):
                            info.attributes.setdefault(target.id, statement.value)

    def _add_method(self, function: Function, parent: ast.ClassDef) -> None:
        info = self.classes[f"{function.module.dotted}.{_qualname(function.module, parent)}"]
        info.methods.setdefault(function.name, function)
        for node in self.own_nodes(function):
            targets = node.targets if isinstance(node, ast.Assign) else []
            if isinstance(node, ast.AnnAssign):
                targets = [node.target]
            for target in targets:
                if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) \
                        and target.value.id == "self":  # fmt: skip
                    if isinstance(node, ast.AnnAssign):
                        info.annotations.setdefault(target.attr, node.annotation)
                    elif isinstance(node, ast.Assign) and not is_none(node.value):
                        info.attributes.setdefault(target.attr, node.value)

    def functions_of(self, module: Module) -> Sequence[Function]:
        """The functions of one module, in order."""
        return self._by_module.get(module, ())

    @cached_property
    def _by_module(self) -> dict[Module, list[Function]]:
        found: dict[Module, list[Function]] = {}
        for function in self.functions:
            found.setdefault(function.module, []).append(function)
        return found

    def own_nodes(self, function: Function) -> tuple[ast.AST, ...]:
        """The nodes of the function's body in order, those of nested functions left out."""
        return own_nodes(function.node)

    @overload
    def own_of(self, function: Function, kind: type[N], other: type[M], /) -> tuple[N | M, ...]: ...
    @overload
    def own_of(self, function: Function, /, *kinds: type[N]) -> tuple[N, ...]: ...
    def own_of(self, function: Function, /, *kinds: type[N]) -> tuple[N, ...]:
        """Those of the function's own nodes that are of exactly these classes, in order."""
        return own_of(function.node, *kinds)

    def calls(self, function: Function) -> tuple[ast.Call, ...]:
        """The calls in the function's own body, in order."""
        return own_of(function.node, ast.Call)

    def calls_named(self, name: str) -> Sequence[tuple[Module, ast.Call]]:
        """Every call in the tree whose function goes by this last name, with its module."""
        return self._calls_by_name.get(name, ())

    @cached_property
    def _calls_by_name(self) -> dict[str, list[tuple[Module, ast.Call]]]:
        found: dict[str, list[tuple[Module, ast.Call]]] = {}
        for module in self.tree.modules.values():
            for call in module.nodes(ast.Call):
                name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
                found.setdefault(name, []).append((module, call))
        return found

    def calls_to(self, *dotted: str) -> Sequence[tuple[Module, ast.Call]]:
        """Every call in the tree of what goes by one of these dotted names, in the order of the tree."""
        return self.in_order(place for name in dotted for place in self._calls_by_dotted.get(name, ()))

    @cached_property
    def _calls_by_dotted(self) -> dict[str, list[tuple[Module, ast.Call]]]:
        found: dict[str, list[tuple[Module, ast.Call]]] = {}
        for module in self.tree.modules.values():
            for call in module.nodes(ast.Call):
                dotted = self.resolve(module, call.func)
                if dotted is not None:
                    found.setdefault(dotted, []).append((module, call))
        return found

    def in_order(self, calls: Iterable[tuple[Module, ast.Call]]) -> list[tuple[Module, ast.Call]]:
        """Calls in the order of the tree, each once."""
        places = self._places_of_calls
        return sorted(dict.fromkeys(calls), key=lambda place: places[place[1]])

    @cached_property
    def _places_of_calls(self) -> dict[ast.Call, int]:
        every = (call for module in self.tree.modules.values() for call in module.nodes(ast.Call))
        return {call: number for number, call in enumerate(every)}

    def names(self, name: str) -> Sequence[tuple[Module, ast.Name | ast.Attribute]]:
        """Every place in the tree that writes this name, alone or after a dot, with its module."""
        if name not in self._written:
            found: list[tuple[Module, ast.Name | ast.Attribute]] = []
            for module in self.tree.modules.values():
                if name in module.text:
                    found += [(module, node) for node in module.nodes(ast.Name) if node.id == name]
                    found += [(module, node) for node in module.nodes(ast.Attribute) if node.attr == name]
            self._written[name] = found
        return self._written[name]

    def function_of(self, node: FunctionNode) -> Function:
        """The Function of a definition's node."""
        return self._by_node[node]

    def enclosing(self, module: Module, node: ast.AST) -> Function | None:
        """The innermost function around a node."""
        around = module.enclosing_function(node)
        return self._by_node.get(around) if around is not None else None

    def resolve(self, module: Module, expression: ast.AST) -> str | None:
        """The dotted name of an expression, re-exports within the tree followed."""
        try:
            return self._resolved[expression]  # rules ask for the same names again and again
        except KeyError:
            dotted = module.resolve(expression)
            known = self._resolved[expression] = self.tree.canonical(dotted, module) if dotted else None
            return known

    def method(self, class_dotted: str, name: str) -> Function | None:
        """A method of a class of the target, its bases searched as well."""
        key = class_dotted, name
        if key not in self._methods:
            self._methods[key] = self._find_method(class_dotted, name, 0)
        return self._methods[key]

    def _find_method(self, class_dotted: str, name: str, depth: int) -> Function | None:
        info = self.classes.get(class_dotted)
        if info is None or depth > 6:
            return None
        if name in info.methods:
            return info.methods[name]
        for base in info.bases:
            dotted = self.resolve(info.module, base)
            found = self._find_method(dotted, name, depth + 1) if dotted else None
            if found is not None:
                return found
        return None

    def methods_named(self, name: str) -> Sequence[Function]:
        """Every method of the target's classes that goes by this name."""
        return self._methods_by_name.get(name, ())


def _qualname(module: Module, node: ast.AST) -> str:
    names = [getattr(node, "name", "")]
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    names += [around.name for around in module.ancestors(node) if isinstance(around, definitions)]
    return ".".join(reversed(names))


def is_none(node: ast.expr) -> bool:
    """Whether an expression is None itself."""
    return isinstance(node, ast.Constant) and node.value is None
