"""Bodies that the service's own tests and fixtures send: better examples than any guess."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from swarm.analysis.layout import unparsed

_FOLDERS = ("tests", "test", "payloads", "examples", "samples", "fixtures", "sample_payloads", "docs")
_SKIPPED = {"node_modules", ".git", ".venv", "venv", "__pycache__", "site-packages"}
_MOST_FILES = 400
_MOST_BYTES = 300_000


def bodies_sent(root: Path, path: str) -> tuple[tuple[dict[str, Any], ...], bool]:
    """JSON bodies that tests post to a route, the fullest first, and whether they post a form."""
    found: list[dict[str, Any]] = []
    forms = False
    for file in _files(root, ".py"):
        try:
            tree = ast.parse(file.read_text(encoding="utf-8", errors="replace"))
        except (SyntaxError, ValueError):
            continue
        constants = dict(_constants(tree))
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and _posts(call, path, constants):
                for keyword in call.keywords:
                    if keyword.arg in ("json", "data", "content"):
                        body = _value(keyword.value, constants)
                        if isinstance(body, dict) and body:
                            found.append(body)
                            forms |= keyword.arg == "data" and isinstance(keyword.value, ast.Dict)
    unique = {json.dumps(body, sort_keys=True, default=str): body for body in found}
    return tuple(sorted(unique.values(), key=lambda body: -len(json.dumps(body, default=str)))), forms


def _posts(call: ast.Call, path: str, constants: dict[str, ast.expr]) -> bool:
    sends = isinstance(call.func, ast.Attribute) and call.func.attr in ("post", "put")
    return sends and bool(call.args) and _names(call.args[0], path, constants)


def payload_files(root: Path, fields: set[str]) -> tuple[tuple[str, dict[str, Any]], ...]:
    """JSON files that hold the fields which a handler reads at its top, with their names below the root."""
    found = []
    for file in _files(root, ".json"):
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, OSError):
            continue
        if isinstance(data, dict) and fields and fields <= set(data):
            found.append((file.relative_to(root).as_posix(), data))
    return tuple(found[:4])


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


def _constants(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value
        elif isinstance(node, ast.FunctionDef) and any("fixture" in unparsed(d) for d in node.decorator_list):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and inner.value is not None:
                    yield node.name, inner.value


def _names(node: ast.expr, path: str, constants: dict[str, ast.expr]) -> bool:
    """Whether a test's address is this route; an address that is no constant is none."""
    value = _value(node, constants)
    return isinstance(value, str) and value.split("?")[0].rstrip("/").endswith(path.rstrip("/")) and path != "/"


def _value(node: ast.expr, constants: dict[str, ast.expr], depth: int = 0) -> Any:
    """The constant that an expression is; None where it is none."""
    if depth > 8:
        return None
    if isinstance(node, ast.Name):
        return _value(constants[node.id], constants, depth + 1) if node.id in constants else None
    if isinstance(node, ast.Call):
        name = unparsed(node.func)
        if name in ("json.dumps", "dict", "copy.deepcopy", "deepcopy") and node.args:
            return _value(node.args[0], constants, depth + 1)
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("encode", "copy"):
            return _value(node.func.value, constants, depth + 1)
        return None
    if isinstance(node, ast.Dict):
        pairs = [(_value(k, constants, depth + 1), _value(v, constants, depth + 1))
                 for k, v in zip(node.keys, node.values, strict=True) if k is not None]  # fmt: skip
        none_meant = {id(v) for v in node.values if isinstance(v, ast.Constant)}
        kept = {
            k: v
            for (k, v), written in zip(pairs, node.values, strict=False)
            if v is not None or id(written) in none_meant
        }
        return kept if all(isinstance(k, str) for k in kept) else None
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return None
    return value.decode(errors="replace") if isinstance(value, bytes) else value
