"""Changes of files, kept as what they add to the target's own lines: a journal repeats none of its code. Pure.

A text becomes a list: `[first, last)` names lines of the file as it was found, a string is lines that were written.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from swarm.analysis.source import SourceTree

_CHANGE = {"path", "before", "after"}
_SIDES = ("before", "after")


def without_code(value: Any, tree: SourceTree) -> Any:
    """The encoded value with every change in it as what it adds to the files of `tree`."""
    return _each_change(value, lambda path, text: _parts(_lines(tree, path), text) if isinstance(text, str) else text)


def with_code(value: Any, tree: SourceTree) -> Any:
    """What `without_code` was given. Raises ValueError where the tree is another."""
    return _each_change(
        value, lambda path, parts: _text(_lines(tree, path), parts) if isinstance(parts, list) else parts
    )


def _each_change(value: Any, side: Any) -> Any:
    if isinstance(value, Mapping):
        if value.keys() == _CHANGE:
            return {**value, **{name: side(str(value["path"]), value[name]) for name in _SIDES}}
        return {key: _each_change(inner, side) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_each_change(inner, side) for inner in value]
    return value


def _lines(tree: SourceTree, path: str) -> list[str]:
    module = tree.modules.get(path)
    text = module.text if module is not None else tree.other.get(path)
    return (text or "").splitlines(keepends=True)


def _parts(own: list[str], text: str) -> list[Any]:
    lines = text.splitlines(keepends=True)
    parts: list[Any] = []
    for kind, first, last, begin, end in difflib.SequenceMatcher(None, own, lines, autojunk=False).get_opcodes():
        if kind == "equal":
            parts.append([first, last])
        elif begin < end:
            parts.append("".join(lines[begin:end]))
    return parts


def _text(own: list[str], parts: list[Any]) -> str:
    texts = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        first, last = part
        if not 0 <= first <= last <= len(own):
            raise ValueError(f"the file has no lines {first} to {last}")
        texts += own[first:last]
    return "".join(texts)
