"""The paths that the code builds out of parts: which of their segments are the code's own words, and which vary."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from swarm.analysis.index import Index

_VARIES = "\0"
_PLACES = re.compile(r"%\(\w+\)s|%[sd]|\{\w*\}")
_HOST = re.compile(r"^(https?://[^/]*|\0)(?=/)")


def built_paths(index: Index) -> tuple[tuple[str | None, ...], ...]:
    """Each path that some text of the tree builds, by segments; None stands for one that varies.

    Only paths with a word of the code's own and a segment that varies: `f"{BASE}/tax/{country}"` is ("tax", None).
    """
    found: dict[tuple[str | None, ...], None] = {}
    for module in index.tree.modules.values():
        for node in (*module.nodes(ast.JoinedStr), *module.nodes(ast.BinOp), *module.nodes(ast.Call)):
            if isinstance(module.parent(node), ast.BinOp | ast.JoinedStr):
                continue  # a part of a longer text
            segments = _segments(_text(node))
            if None in segments and any(segments):
                found[segments] = None
    return tuple(found)


def template_of(path: str, built: tuple[tuple[str | None, ...], ...]) -> tuple[int, ...]:
    """The places of the segments that vary in a path, by the built path that has most words in common with it."""
    parts = path.strip("/").split("/")
    fitting = [
        segments for segments in built
        if len(segments) == len(parts)
        and all(own is None or own == part for own, part in zip(segments, parts, strict=True))
    ]  # fmt: skip
    best = max(fitting, key=lambda segments: sum(own is not None for own in segments), default=())
    return tuple(place for place, own in enumerate(best) if own is None)


def _segments(text: str) -> tuple[str | None, ...]:
    path = _HOST.sub("", text).partition("?")[0]
    if not path.startswith("/") or any(space in path for space in " \n\t<"):
        return ()
    return tuple(None if _VARIES in part else part for part in path.strip("/").split("/"))


def _text(node: ast.expr) -> str:
    """A text as far as it is known, with a mark for each part that is not."""
    return "".join(_parts(node))


def _parts(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        for value in node.values:
            yield from _parts(value)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from _parts(node.left)
        yield from _parts(node.right)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and _is_text(node.left):
        yield _PLACES.sub(_VARIES, _text(node.left))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        yield _PLACES.sub(_VARIES, _text(node.func.value)) if _is_text(node.func.value) else _VARIES
    else:
        yield _VARIES


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
