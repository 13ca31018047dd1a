"""The folder in which a path that a request chose is meant to lie, as the code writes it: `FOLDER / name`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from swarm.analysis.index import Index
from swarm.analysis.source import FunctionNode, Module
from swarm.rules.security.injection.texts.built_text import HOLE, BuiltText, read_text
from swarm.rules.security.injection.texts.filled_places import bindings

_SAME = ("str", "pathlib.Path", "pathlib.PurePath", "os.fspath", "os.path.abspath", "os.path.realpath",
         "os.path.normpath", "os.path.expanduser", "anyio.Path", "aiofiles.os.path.abspath")  # fmt: skip
_SAME_METHODS = frozenset({"resolve", "absolute", "expanduser", "as_posix", "strip"})
_EVERYTHING = frozenset({"", ".", "./", "/", "..", "../", "~", "~/"})


@dataclass(frozen=True, slots=True)
class Folders:
    """Reads the way in which one function makes its paths."""

    index: Index
    module: Module
    function: FunctionNode | None
    is_dirty: Callable[[ast.expr], bool]

    def folder(self, path: ast.expr, depth: int = 0) -> str | None:
        """The Python of the folder; None where the code does not name one, or it may have changed until then."""
        if depth > 6:
            return None
        match path:
            case ast.Name(id=name):
                written = bindings(self.module, self.function, name)
                dirty = [value for value in written or () if self.is_dirty(value)]
                several = {self.folder(value, depth + 1) for value in dirty}
                return several.pop() if len(several) == 1 else None
            case ast.BinOp(left=left, op=ast.Div(), right=_):
                return self.folder(left, depth + 1) if self.is_dirty(left) else self._named([left])
            case ast.Call():
                return self._of_call(path, depth)
        built = read_text(self.module, path)
        return self._of_text(built) if built is not None else None

    def _of_call(self, call: ast.Call, depth: int) -> str | None:
        dotted = self.index.resolve(self.module, call.func) or ""
        if any(isinstance(argument, ast.Starred) for argument in call.args) or call.keywords:
            return None
        if dotted in ("os.path.join", "posixpath.join") or (dotted in _SAME and len(call.args) > 1):
            return self._joined(call.args, depth)
        if dotted in _SAME and call.args:
            return self.folder(call.args[0], depth + 1)
        if isinstance(call.func, ast.Attribute):
            owner = call.func.value
            if call.func.attr in _SAME_METHODS and not call.args:
                return self.folder(owner, depth + 1)
            if call.func.attr == "joinpath" and call.args:
                return self._joined([owner, *call.args], depth)
        built = read_text(self.module, call)
        return self._of_text(built) if built is not None else None

    def _joined(self, parts: Sequence[ast.expr], depth: int) -> str | None:
        clean: list[ast.expr] = []
        for part in parts:
            if self.is_dirty(part):
                break
            clean.append(part)
        return self._named(clean) if clean else self.folder(parts[0], depth + 1)

    def _named(self, parts: Sequence[ast.expr]) -> str | None:
        """The parts joined, where each can be written a second time and stays what it is."""
        if not all(self._is_steady(part) for part in parts):
            return None
        words = [self.module.segment(part) for part in parts]
        if len(parts) == 1:
            value = parts[0].value if isinstance(parts[0], ast.Constant) else None
            return None if value in _EVERYTHING else words[0]
        joined = f"os.path.join({', '.join(words)})"
        return joined if self.module.imports.get("os") == "os" else None

    def _of_text(self, built: BuiltText) -> str | None:
        """The folder of `f"{FOLDER}/{name}"`: what stands before the last slash before the first dirty value."""
        dirty = next((n for n, hole in enumerate(built.holes) if self.is_dirty(hole.expression)), None)
        if dirty is None:
            return None
        before = built.written[: built.holes[dirty].place]
        clean = built.holes[:dirty]
        if "\\" in before:
            return None
        if not clean:
            folder = before.rpartition("/")[0]
            return None if folder in _EVERYTHING or '"' in folder else f'"{folder}"'
        hole = clean[0]
        if len(clean) != 1 or hole.place or not self._is_steady(hole.expression) or not hole.plain:
            return None
        rest = before[1:]
        if not rest:
            value = self._constant(hole.expression)
            return hole.source if value.endswith("/") and value not in _EVERYTHING else None
        folder = rest.rpartition("/")[0]
        if not rest.startswith("/") or any(sign in folder + hole.source for sign in (HOLE, "{", '"')):
            return None
        return f'f"{{{hole.source}}}{folder}"' if folder else hole.source

    def _constant(self, node: ast.expr) -> str:
        statement = self.module.globals.get(node.id) if isinstance(node, ast.Name) else None
        value = getattr(statement, "value", None)
        return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""

    def _is_steady(self, node: ast.expr) -> bool:
        """Names, attributes and constants, and paths made of them: the same wherever they are read."""
        if self.is_dirty(node):
            return False
        match node:
            case ast.Constant(value=str()):
                return True
            case ast.Name(id=name):
                if self.function is None or name not in self.module.local_names(self.function):
                    return True
                written = bindings(self.module, self.function, name)
                is_parameter = written is None and any(argument.arg == name for argument in self.function.args.args)
                return is_parameter or (written is not None and len(written) == 1)
            case ast.Attribute(value=owner):
                return self._is_steady(owner)
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                return self._is_steady(left) and self._is_steady(right)
            case ast.Call(func=func, args=arguments, keywords=[]):
                dotted = self.index.resolve(self.module, func)
                is_path = dotted in _SAME or dotted in ("os.path.join", "os.path.dirname", "str")
                return is_path and all(self._is_steady(argument) for argument in arguments)
        return False
