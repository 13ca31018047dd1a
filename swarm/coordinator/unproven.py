"""Fixes in files that the started service never loads: no gate would see them run, so they stay advice."""

from __future__ import annotations

import ast
import posixpath
import re
import shlex
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from swarm.analysis.index import Index
from swarm.analysis.source import Module
from swarm.config.schema import Target
from swarm.rules.facts.in_use import loaded_by, loads_by_name
from swarm.verify.fixes import Fix

_OBJECT = re.compile(r"([A-Za-z_][\w.]*):[A-Za-z_][\w.]*(\(.*\))?")
_IMPORTS = re.compile(r"^\s*(?:from\s+([\w.]+)\s+import\s+\(?([^)#\n]*)|import\s+([\w., ]+))", re.MULTILINE)
_FOLDERS = ("--app-dir", "--chdir", "--pythonpath")
_MOST_TESTS = 400
_SHOWN = 4


def without_unproven(
    fixes: Sequence[Fix], index: Index, target: Target, root: Path
) -> tuple[tuple[Fix, ...], tuple[str, ...]]:
    """The fixes but those that would never run, and a word on each file of these; `root` is the copy that is read.

    Where `start` does not tell which module it loads, or the tree loads modules by name, all of them stay.
    """
    started = started_module(index, target)
    if started is None or loads_by_name(index):
        return tuple(fixes), ()
    run = {module.path for module in _run(index, started)}
    away = sorted({fix.file for fix in fixes if fix.file in index.tree.modules and fix.file not in run})
    if away and target.tests:
        tested = {module.path for module in _tested(index, root)}
        away = [file for file in away if file not in tested]
    notes = tuple(_word(file, [fix.rule for fix in fixes if fix.file == file], started) for file in away)
    return tuple(fix for fix in fixes if fix.file not in away), notes


def started_module(index: Index, target: Target) -> Module | None:
    """The module that `start` names: `package.module:object`, `python -m module`, `python file.py`."""
    try:
        words = shlex.split(target.start)
    except ValueError:
        return None
    folder = posixpath.relpath(target.cwd or target.path, target.path)
    folders = [folder, posixpath.join(folder, "src")]
    folders += [posixpath.join(folder, after) for word, after in pairwise(words) if word in _FOLDERS]
    for before, word in zip(["", *words], words, strict=False):
        named = _OBJECT.fullmatch(word)
        if before in ("-m", "--app", "-A"):
            dotted = word.partition(":")[0].removesuffix(".py").replace("/", ".")
        elif named is not None:
            dotted = named[1]
        elif word.endswith(".py"):
            dotted = word.removesuffix(".py").replace("/", ".")
        else:
            continue
        for parent in folders:
            path = posixpath.relpath(posixpath.join("/", target.path, parent, dotted.replace(".", "/")),
                                     posixpath.join("/", target.path))  # fmt: skip
            for file in (f"{path}.py", f"{path}/__main__.py", f"{path}/__init__.py"):
                if file in index.tree.modules:
                    return index.tree.modules[file]
    return None


def _run(index: Index, started: Module) -> frozenset[Module]:
    """What the module loads: by imports, and by texts that name a module, as servers and workers are told them."""
    found: set[Module] = set()
    todo = [started]
    while todo:
        new = loaded_by(index, todo.pop()) - found
        found |= new
        for module in new:
            for node in module.nodes(ast.Constant):
                text = node.value if isinstance(node.value, str) else ""
                dotted = text.partition(":")[0]
                if re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", dotted) and (":" in text or "." in text):
                    todo += [one for one in _with_packages(index, dotted, module) if one not in found]
    return frozenset(found)


def _with_packages(index: Index, dotted: str, near: Module) -> list[Module]:
    """The module of a dotted name and the packages around it; nothing where it names no module."""
    parts = dotted.split(".")
    named = [index.tree.find_module(".".join(parts[:count]), near) for count in range(len(parts), 0, -1)]
    return [module for module in named if module is not None] if named[0] is not None else []


def _tested(index: Index, root: Path) -> frozenset[Module]:
    """What the files of the target's own tests import, over others as well."""
    found: set[Module] = set()
    tests = [name for name in sorted(index.tree.files) if name.endswith(".py") and name not in index.tree.modules]
    for name in tests[:_MOST_TESTS]:
        try:
            text = (root / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for dotted in _imported(text):
            module = index.tree.find_module(dotted)
            if module is not None:
                found |= loaded_by(index, module)
    return frozenset(found)


def _imported(text: str) -> Iterator[str]:
    for home, names, plain in _IMPORTS.findall(text):
        for name in re.findall(r"[\w.]+", plain or names):
            yield f"{home}.{name}" if home else name
        if home:
            yield home


def _word(file: str, rules: Collection[str], started: Module) -> str:
    shown = ", ".join(sorted(set(rules))[:_SHOWN])
    more = f" and {len(set(rules)) - _SHOWN} more" if len(set(rules)) > _SHOWN else ""
    return (
        f"{file}: {shown}{more} left as advice, since `start` runs {started.path}, which does not load this file, "
        "and no test does: give what runs it a target of its own"
    )
