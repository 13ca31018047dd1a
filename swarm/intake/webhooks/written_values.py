"""What the names of a test file stand for, as far as they are constants: bodies, addresses, fixtures."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from swarm.analysis.layout import unparsed

COPIES = ("json.dumps", "dict", "copy.deepcopy", "deepcopy", "orjson.dumps")
Defined: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
_DEPTH = 12


@dataclass(frozen=True, slots=True)
class Written:
    """What names of a test file stand for: values, fixtures among them, functions, and what is assigned in each.

    `around` holds the innermost function around a call, by the call's identity.
    """

    values: dict[str, ast.expr]
    functions: dict[str, Defined]
    around: dict[int, Defined]

    @classmethod
    def of(cls, tree: ast.Module) -> Written:
        """Everything that a file names."""
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        around = {id(inner): function for function in functions for inner in ast.walk(function)}
        values = dict(_assigned(node for node in ast.walk(tree) if id(node) not in around))
        for function in functions:
            if any("fixture" in unparsed(decorator) for decorator in function.decorator_list):
                given = _given_back(function)
                values |= {function.name: given} if given is not None else {}
        return cls(values, {function.name: function for function in functions}, around)

    def at(self, node: ast.AST) -> Written:
        """The same with what the function around a node assigns."""
        around = self.around.get(id(node))
        own = dict(_assigned(ast.walk(around))) if around is not None else {}
        return self.having(own)

    def having(self, values: dict[str, ast.expr]) -> Written:
        """The same with further values."""
        return Written({**self.values, **values}, self.functions, self.around)

    def called(self, call: ast.Call) -> tuple[ast.expr, Written] | None:
        """What a call of one of the file's own functions gives back, with what its parameters stand for there."""
        function = self.functions.get(call.func.id) if isinstance(call.func, ast.Name) else None
        given = _given_back(function) if function is not None else None
        if function is None or given is None:
            return None
        arguments = function.args
        bound = dict(zip((a.arg for a in reversed(arguments.args)), reversed(arguments.defaults), strict=False))
        bound |= {a.arg: d for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None}
        bound |= dict(zip((a.arg for a in arguments.args), call.args, strict=False))
        bound |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
        return given, self.having({**dict(_assigned(ast.walk(function))), **bound})

    def value(self, node: ast.expr) -> Any:
        """The constant that an expression is; None where it is none."""
        return _value(node, self, 0)


def _assigned(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    for node in nodes:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value


def _given_back(function: Defined) -> ast.expr | None:
    returns = [node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value is not None]
    return returns[-1] if returns else None


def _value(node: ast.expr, known: Written, depth: int) -> Any:
    if depth > _DEPTH:
        return None
    if isinstance(node, ast.Name):
        return _value(known.values[node.id], known, depth + 1) if node.id in known.values else None
    if isinstance(node, ast.Call):
        return _value_of_call(node, known, depth)
    if isinstance(node, ast.Dict):
        return _value_of_table(node, known, depth)
    if isinstance(node, ast.List | ast.Tuple):
        values = [_value(element, known, depth + 1) for element in node.elts]
        return [value for value in values if value is not None]
    if isinstance(node, ast.JoinedStr):
        parts = [_value(p.value if isinstance(p, ast.FormattedValue) else p, known, depth + 1) for p in node.values]
        return "".join(map(str, parts)) if all(isinstance(part, str | int) for part in parts) else None
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return None
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _value_of_call(node: ast.Call, known: Written, depth: int) -> Any:
    if unparsed(node.func) in COPIES and node.args:
        return _value(node.args[0], known, depth + 1)
    if isinstance(node.func, ast.Attribute) and node.func.attr in ("encode", "copy"):
        return _value(node.func.value, known, depth + 1)
    made = known.called(node)
    return _value(made[0], made[1], depth + 1) if made is not None else None


def _value_of_table(node: ast.Dict, known: Written, depth: int) -> dict[str, Any] | None:
    """A table without what is not known of it; an entry that is None on purpose stays."""
    found: dict[str, Any] = {}
    for key, written in zip(node.keys, node.values, strict=True):
        value = _value(written, known, depth + 1)
        if key is None:
            found |= value if isinstance(value, dict) else {}
            continue
        name = _value(key, known, depth + 1)
        if not isinstance(name, str):
            return None
        if value is not None or isinstance(written, ast.Constant):
            found[name] = value
    return found
