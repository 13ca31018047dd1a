"""Bodies that the service's own tests and fixtures send: better examples than any guess."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarm.analysis.layout import unparsed
from swarm.intake.webhooks.written_values import COPIES, Defined, Written

_FOLDERS = ("tests", "test", "payloads", "examples", "samples", "fixtures", "sample_payloads", "docs")
_SKIPPED = {"node_modules", ".git", ".venv", "venv", "__pycache__", "site-packages"}
_PARAMETER = re.compile(r"<[^/]*?>|\\\{[^/]*?\}")  # in a path whose signs are escaped
_MEANT_TO_FAIL = re.compile(r"\b(not|non|no|in?valid|unknown|missing|bad|wrong|nope|fake|bogus)(\b|_)|nonexist", re.I)
_SEGMENT = "[^/?]+"
_MOST_FILES = 400
_MOST_PAYLOADS = 4
_MOST_BYTES = 300_000


@dataclass(frozen=True, slots=True)
class Posted:
    """What tests post to a route: JSON bodies, the fullest first; whether one is a form; an address they use."""

    bodies: tuple[dict[str, Any], ...] = ()
    is_form: bool = False
    path: str | None = None


def posted(root: Path, route: str) -> Posted:
    """What tests post to a route, which is written as the code writes it: `/hooks/{name}`, `/hooks/<name>`."""
    before, path = (".*?", route.rstrip("/")) if route != "/" else (r"(?:https?://[^/]+)?", "/")
    pattern = re.compile(rf"{before}({_PARAMETER.sub(_SEGMENT, re.escape(path))})/?(?:\?.*)?")
    files = [(tree, Written.of(tree)) for tree in _trees(root)]
    found: list[dict[str, Any]] = []
    posting: dict[str, _Posting] = {}
    forms, paths = False, []
    for tree, known in files:
        for call in ast.walk(tree):
            address = _address(call, pattern, known) if isinstance(call, ast.Call) else None
            if address is None or not isinstance(call, ast.Call):
                continue
            if not _MEANT_TO_FAIL.search(address):
                paths.append(address)
            for keyword in call.keywords:
                if keyword.arg not in ("json", "data", "content"):
                    continue
                if (around := _posting(call, keyword.value, known)) is not None:
                    posting[around.name] = around
                    continue
                bodies = list(_bodies(known.at(call).value(keyword.value)))
                if bodies:
                    found += bodies
                    forms |= keyword.arg == "data" and isinstance(keyword.value, ast.Dict)
    found += [body for tree, known in files for body in _handed_over(tree, known, posting, pattern)]
    unique = {json.dumps(body, sort_keys=True, default=str): body for body in found if body}
    ordered = sorted(unique.values(), key=lambda body: -len(json.dumps(body, default=str)))
    ends = "/" if route.endswith("/") and route != "/" else ""  # a test may leave it to a redirect
    return Posted(tuple(ordered), forms, paths[0] + ends if paths else None)


def _trees(root: Path) -> Iterator[ast.Module]:
    for file in _files(root, ".py"):
        try:
            yield ast.parse(file.read_text(encoding="utf-8", errors="replace"))
        except (SyntaxError, ValueError):
            continue


def _address(call: ast.Call, pattern: re.Pattern[str], known: Written) -> str | None:
    """The route's part of the constant address that a call posts to; None where it posts elsewhere."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in ("post", "put") or not call.args:
        return None
    value = known.at(call).value(_default(call, known) or call.args[0])
    match = pattern.fullmatch(value) if isinstance(value, str) else None
    return match[1] if match else None


def _default(call: ast.Call, known: Written) -> ast.expr | None:
    """Where a helper posts to if nobody says otherwise: the default of the parameter that it takes the address by."""
    around, name = known.around.get(id(call)), call.args[0]
    if around is None or not isinstance(name, ast.Name):
        return None
    arguments = around.args
    defaults = dict(zip((a.arg for a in reversed(arguments.args)), reversed(arguments.defaults), strict=False))
    defaults |= {a.arg: d for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None}
    return defaults.get(name.id)


@dataclass(frozen=True, slots=True)
class _Posting:
    """A function that signs and posts the body which tests hand to it, by a parameter at a place."""

    name: str
    parameter: str
    is_method: bool
    to: ast.expr  # where it posts to, which may be a parameter as well
    arguments: tuple[str, ...]

    def given(self, call: ast.Call, parameter: str) -> ast.expr | None:
        """What a call of it hands to a parameter."""
        place = self.arguments.index(parameter) - (self.is_method and isinstance(call.func, ast.Attribute))
        by_name = next((k.value for k in call.keywords if k.arg == parameter), None)
        return by_name if by_name is not None or place >= len(call.args) else call.args[place]


def _posting(call: ast.Call, given: ast.expr, known: Written) -> _Posting | None:
    """The function around a posting, where the body is one of its parameters; a fixture is none of a test's."""
    around = known.around.get(id(call))
    if around is None:
        return None
    parameters = [argument.arg for argument in around.args.args]
    told = _comes_from(around, given, parameters)
    if told is None or told in known.values:
        return None
    return _Posting(around.name, told, parameters[0] == "self", call.args[0], tuple(parameters))


def _is_address(value: object, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _handed_over(
    tree: ast.Module, known: Written, posting: dict[str, _Posting], pattern: re.Pattern[str]
) -> Iterator[dict[str, Any]]:
    """The bodies that the calls of a file hand to functions which post them, wherever those are defined."""
    for call in ast.walk(tree) if posting else ():
        function = posting.get(unparsed(call.func).rsplit(".", 1)[-1]) if isinstance(call, ast.Call) else None
        if function is None or not isinstance(call, ast.Call):
            continue
        handed = function.given(call, function.parameter)
        if isinstance(function.to, ast.Name) and function.to.id in function.arguments:
            elsewhere = function.given(call, function.to.id)
            if elsewhere is not None and not _is_address(known.at(call).value(elsewhere), pattern):
                continue
        yield from _bodies(known.at(call).value(handed)) if handed is not None else ()


def _bodies(value: object) -> Iterator[dict[str, Any]]:
    """A body that is a table, or each item of one that is a list of them."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict):
            yield one


def _comes_from(function: Defined, node: ast.expr, parameters: list[str]) -> str | None:
    """The parameter that an expression is, encoded or not, over local names."""
    made = {statement.targets[0].id: statement.value for statement in ast.walk(function)
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)}  # fmt: skip
    for _ in range(4):
        while isinstance(node, ast.Call):
            if unparsed(node.func) in COPIES and node.args:
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


def named_bodies(root: Path, fields: set[str]) -> tuple[dict[str, Any], ...]:
    """Tables with a name in the tests that hold all fields which a handler reads at its top, the fullest first."""
    found = []
    for tree in _trees(root) if len(fields) > 1 else ():
        known = Written.of(tree)
        found += [known.value(given) for given in known.values.values() if isinstance(given, ast.Dict)]
    fitting = [body for body in found if isinstance(body, dict) and fields <= set(body)]
    return tuple(sorted(fitting, key=lambda body: -len(json.dumps(body, default=str)))[:_MOST_PAYLOADS])


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
