"""Bodies that the service's own tests and fixtures send: better examples than any guess."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from swarm.analysis.layout import unparsed

_FOLDERS = ("tests", "test", "payloads", "examples", "samples", "fixtures", "sample_payloads", "docs")
_SKIPPED = {"node_modules", ".git", ".venv", "venv", "__pycache__", "site-packages"}
_COPIES = ("json.dumps", "dict", "copy.deepcopy", "deepcopy", "orjson.dumps")
_PARAMETER = re.compile(r"<[^/]*?>|\\\{[^/]*?\}")  # in a path whose signs are escaped
_SEGMENT = "[^/?]+"
_DEPTH = 12
_MOST_FILES = 400
_MOST_PAYLOADS = 4
_MOST_BYTES = 300_000


_Defined: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Posted:
    """What tests post to a route: JSON bodies, the fullest first; whether one is a form; an address they use."""

    bodies: tuple[dict[str, Any], ...] = ()
    is_form: bool = False
    path: str | None = None


def posted(root: Path, route: str) -> Posted:
    """What tests post to a route, which is written as the code writes it: `/hooks/{name}`, `/hooks/<name>`."""
    found: list[dict[str, Any]] = []
    forms, paths = False, []
    before, path = (".*?", route.rstrip("/")) if route != "/" else (r"(?:https?://[^/]+)?", "/")
    pattern = re.compile(rf"{before}({_PARAMETER.sub(_SEGMENT, re.escape(path))})/?(?:\?.*)?")
    for file in _files(root, ".py"):
        try:
            tree = ast.parse(file.read_text(encoding="utf-8", errors="replace"))
        except (SyntaxError, ValueError):
            continue
        known = _Known.of(tree)
        for call in ast.walk(tree):
            address = _address(call, pattern, known.at(call)) if isinstance(call, ast.Call) else None
            if address is None or not isinstance(call, ast.Call):
                continue
            paths.append(address)
            for keyword in call.keywords:
                if keyword.arg in ("json", "data", "content"):
                    bodies = [body for body in _bodies(tree, call, keyword.value, known) if body]
                    found += bodies
                    forms |= bool(bodies) and keyword.arg == "data" and isinstance(keyword.value, ast.Dict)
    unique = {json.dumps(body, sort_keys=True, default=str): body for body in found}
    ordered = sorted(unique.values(), key=lambda body: -len(json.dumps(body, default=str)))
    return Posted(tuple(ordered), forms, paths[0] if paths else None)


def _address(call: ast.Call, pattern: re.Pattern[str], known: _Known) -> str | None:
    """The route's part of the constant address that a call posts to; None where it posts elsewhere."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in ("post", "put") or not call.args:
        return None
    value = _value(call.args[0], known)
    match = pattern.fullmatch(value) if isinstance(value, str) else None
    return match[1] if match else None


def _bodies(tree: ast.Module, call: ast.Call, given: ast.expr, known: _Known) -> list[dict[str, Any]]:
    """The bodies that one posting sends: those that tests hand to the function around it, else its own."""
    around = known.around.get(id(call))
    parameters = [argument.arg for argument in around.args.args] if around is not None else []
    told = _comes_from(around, given, parameters) if around is not None else None
    if (
        around is None or told is None or told in known.values
    ):  # a fixture's value is no parameter that tests hand over
        body = _value(given, known.at(call))
        return [body] if isinstance(body, dict) else []
    found = []
    for use in ast.walk(tree):
        if isinstance(use, ast.Call) and unparsed(use.func).rsplit(".", 1)[-1] == around.name:
            at = parameters.index(told) - (isinstance(use.func, ast.Attribute) and parameters[0] == "self")
            handed = next((k.value for k in use.keywords if k.arg == told), None)
            if handed is None and at < len(use.args):
                handed = use.args[at]
            body = _value(handed, known.at(use)) if handed is not None else None
            if isinstance(body, dict):
                found.append(body)
    return found


def _comes_from(function: _Defined, node: ast.expr, parameters: list[str]) -> str | None:
    """The parameter that an expression is, encoded or not, over local names."""
    made = {statement.targets[0].id: statement.value for statement in ast.walk(function)
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)}  # fmt: skip
    for _ in range(4):
        while isinstance(node, ast.Call):
            if unparsed(node.func) in _COPIES and node.args:
                node = node.args[0]
            elif isinstance(node.func, ast.Attribute) and node.func.attr in ("encode", "copy"):
                node = node.func.value
            else:
                return None
        if not isinstance(node, ast.Name):
            return None
        if node.id in made:
            node = made.pop(node.id)
        else:
            return node.id if node.id in parameters else None
    return None


def payload_files(root: Path, fields: set[str]) -> tuple[tuple[str, dict[str, Any]], ...]:
    """JSON files that hold most fields which a handler reads at its top, the likest first, with names below root.

    Not all of them: what a handler reads differs from one kind of event to the next.
    """
    found = []
    for file in _files(root, ".json"):
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, OSError):
            continue
        alike = len(fields & set(data)) if isinstance(data, dict) else 0
        if isinstance(data, dict) and alike and alike * 2 >= len(fields):
            found.append((alike, file.relative_to(root).as_posix(), data))
    found.sort(key=lambda one: (-one[0], one[1]))
    return tuple((name, data) for _, name, data in found[:_MOST_PAYLOADS])


def _files(root: Path, suffix: str) -> Iterator[Path]:
    count = 0
    for folder in [root, *(root / name for name in _FOLDERS), *root.glob("*/tests"), *root.glob("src/*/tests")]:
        if not folder.is_dir():
            continue
        listed = folder.glob(f"*{suffix}") if folder == root else folder.rglob(f"*{suffix}")
        for file in sorted(listed):
            if set(file.parts) & _SKIPPED or file.is_symlink() or file.stat().st_size > _MOST_BYTES:
                continue
            if suffix == ".py" and folder == root and not file.name.startswith("test"):
                continue
            count += 1
            if count > _MOST_FILES:
                return
            yield file


@dataclass(frozen=True, slots=True)
class _Known:
    """What names of a test file stand for: values, fixtures among them, functions, and what is assigned in each.

    `around` holds the innermost function around a call, by the call's identity.
    """

    values: dict[str, ast.expr]
    functions: dict[str, _Defined]
    around: dict[int, _Defined]

    @classmethod
    def of(cls, tree: ast.Module) -> _Known:
        """Everything that a file names."""
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        around = {id(inner): function for function in functions for inner in ast.walk(function)}
        values = dict(_assigned(node for node in ast.walk(tree) if id(node) not in around))
        for function in functions:
            if any("fixture" in unparsed(decorator) for decorator in function.decorator_list):
                given = _given_back(function)
                values |= {function.name: given} if given is not None else {}
        return cls(values, {function.name: function for function in functions}, around)

    def at(self, node: ast.AST) -> _Known:
        """The same with what the function around a node assigns."""
        around = self.around.get(id(node))
        own = dict(_assigned(ast.walk(around))) if around is not None else {}
        return self.having(own)

    def having(self, values: dict[str, ast.expr]) -> _Known:
        """The same with further values."""
        return _Known({**self.values, **values}, self.functions, self.around)

    def called(self, call: ast.Call) -> tuple[ast.expr, _Known] | None:
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


def _assigned(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    for node in nodes:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value


def _given_back(function: _Defined) -> ast.expr | None:
    returns = [node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value is not None]
    return returns[-1] if returns else None


def _value(node: ast.expr, known: _Known, depth: int = 0) -> Any:
    """The constant that an expression is; None where it is none."""
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


def _value_of_call(node: ast.Call, known: _Known, depth: int) -> Any:
    if unparsed(node.func) in _COPIES and node.args:
        return _value(node.args[0], known, depth + 1)
    if isinstance(node.func, ast.Attribute) and node.func.attr in ("encode", "copy"):
        return _value(node.func.value, known, depth + 1)
    made = known.called(node)
    return _value(made[0], made[1], depth + 1) if made is not None else None


def _value_of_table(node: ast.Dict, known: _Known, depth: int) -> dict[str, Any] | None:
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
