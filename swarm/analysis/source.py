"""The target's Python source, parsed once: modules with offsets, parents, imports and names."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from swarm.analysis.module import FunctionNode, Module, own_nodes, own_of, parameters
from swarm.analysis.reading.collecting import collector_off
from swarm.analysis.reading.libraries import library_names
from swarm.analysis.reading.parsing import parse_module
from swarm.core.patches import FileChange

__all__ = ["FunctionNode", "Module", "SourceTree", "own_nodes", "own_of", "parameters"]

# test doubles (emulators, mocks …) are programs of the tests, not of the service
SKIPPED_FOLDERS = frozenset({
    "__pycache__", "alembic", "build", "dist", "docs", "emulators", "env", "examples", "fakes", "fixtures",
    "htmlcov", "migrations", "mocks", "node_modules", "reports", "site-packages", "stubs", "testing", "venv",
})  # fmt: skip
PERHAPS_CODE = frozenset({"build", "dist", "docs", "env", "reports"})  # a package of that name is the service's own
MANIFESTS = ("pyproject.toml", "setup.cfg", "setup.py", "Pipfile")
# each begins with a word, which is found ten times as fast as one of several
_PATCHED = tuple(re.compile(word + r"\(\s*[\"']([\w.]+)[\"']") for word in ("patch", "setattr"))
_PATCHED_OF = tuple(
    re.compile(word + r"\(\s*([A-Za-z_][\w.]*)\s*,\s*[\"'](\w+)[\"']") for word in (r"patch\.object", "setattr")
)
MAX_FILES = 4000
MAX_FILE_BYTES = 1_500_000


class SourceTree:
    """Every module of the target that can be parsed, the names of its files, and its manifests."""

    def __init__(self, modules: dict[str, Module], unparsed: dict[str, str], files: frozenset[str],
                 other: dict[str, str], own_name: str, doubled: frozenset[str] = frozenset()) -> None:  # fmt: skip
        self.modules = modules
        self.doubled = doubled  # dotted names that the tests put something of their own in place of
        self.unparsed = tuple(sorted(unparsed.items()))
        self.files = files
        self.other = other
        self.own_name = own_name
        self._canonical: dict[tuple[str, Module | None], str] = {}
        self._split: dict[tuple[str, Module | None], tuple[Module | None, str]] = {}
        self._by_dotted = {module.dotted: module for module in modules.values()}
        self._libraries = library_names(other)
        self._by_suffix: dict[str, list[Module]] = {}
        heads = {"src"}  # with these begin the names of modules, however they are imported
        for module in modules.values():
            parts = module.dotted.split(".")
            heads.update(parts)
            for start in range(1, len(parts)):
                self._by_suffix.setdefault(".".join(parts[start:]), []).append(module)
        self._heads = frozenset(heads)

    @classmethod
    def load(cls, root: Path) -> SourceTree:
        """Read a folder: tests, environments, caches and migrations are left out, links not followed."""
        texts: dict[str, str] = {}
        unparsed: dict[str, str] = {}
        files: set[str] = set()
        other: dict[str, str] = {}
        doubled: set[str] = set()
        for path in _walk(root):
            name = path.relative_to(root).as_posix()
            files.add(name)
            is_manifest = _is_manifest(path)
            if path.suffix == ".py" and _is_test(name):
                doubled |= _doubled(path)
            if not is_manifest and (path.suffix != ".py" or _is_test(name)):
                continue
            try:
                if path.stat().st_size > MAX_FILE_BYTES:
                    raise ValueError("the file is too large to be read")
                text = path.read_bytes().decode("utf-8-sig")
            except (OSError, ValueError) as error:
                unparsed[name] = str(error)
                continue
            if is_manifest:
                other[name] = text
            if path.suffix == ".py" and not _is_test(name):
                texts[name] = text
        with collector_off():
            return _build(texts, unparsed, frozenset(files), other, root.name, frozenset(doubled))

    def with_changes(self, changes: Iterable[FileChange]) -> SourceTree:
        """The tree after some changes; only what changed is parsed again."""
        modules, unparsed = dict(self.modules), dict(self.unparsed)
        files, other = set(self.files), dict(self.other)
        for change in changes:
            modules.pop(change.path, None)
            unparsed.pop(change.path, None)
            other.pop(change.path, None)
            files.discard(change.path)
            if change.after is None:
                continue
            files.add(change.path)
            if change.path in self.other:
                other[change.path] = change.after
            elif change.path.endswith(".py") and not _is_test(change.path):
                _parse_into(modules, unparsed, change.path, change.after, self.own_name)
        return SourceTree(modules, unparsed, frozenset(files), other, self.own_name, self.doubled)

    def find_module(self, dotted: str, near: Module | None = None) -> Module | None:
        """The module of an import's name, also where its folder is not on the name's path."""
        if dotted in self._by_dotted:
            return self._by_dotted[dotted]
        top, _, rest = dotted.partition(".")
        if top in sys.stdlib_module_names:
            return None
        if top == "src" and rest in self._by_dotted:  # here it is no layout but the package's name
            return self._by_dotted[rest]
        several = [m for m in self._by_suffix.get(dotted, []) if not self._is_library(top, dotted, m, near)]
        if len(several) > 1 and near is not None:
            folder = near.path.rpartition("/")[0]
            several = [m for m in several if m.path.startswith(f"{folder}/" if folder else "")]
        return several[0] if len(several) == 1 else None

    def _is_library(self, top: str, dotted: str, module: Module, near: Module | None) -> bool:
        """Whether an import means a library that only is called like a file: `stripe` beside shop/stripe.py."""
        if module is near:
            return True
        if top not in self._libraries:
            return False
        parts = module.path.removesuffix(".py").removesuffix("/__init__").split("/")
        home = "/".join(parts[: len(parts) - len(dotted.split("."))])
        return not any(f"{home}/{manifest}" in self.files for manifest in MANIFESTS)  # a package of the same tree

    def canonical(self, dotted: str, near: Module | None = None) -> str:
        """The name by which the tree defines a thing, re-exports followed; unknown names as they are."""
        if dotted.partition(".")[0] not in self._heads:
            return dotted  # a library's: most are
        key = dotted, near
        if key not in self._canonical:
            self._canonical[key] = self._find_canonical(dotted, near)
        return self._canonical[key]

    def _find_canonical(self, dotted: str, near: Module | None) -> str:
        for _ in range(8):
            module, rest = self.split(dotted, near)
            if module is None or not rest:
                return module.dotted if module is not None else dotted
            head, _, tail = rest.partition(".")
            if head in module.globals or head not in module.imports:
                return f"{module.dotted}.{rest}"
            dotted, near = module.imports[head] + (f".{tail}" if tail else ""), module
        return dotted

    def split(self, dotted: str, near: Module | None = None) -> tuple[Module | None, str]:
        """The module that holds a dotted name, and the name inside of it; (None, dotted) outside."""
        if dotted.partition(".")[0] not in self._heads:
            return None, dotted
        key = dotted, near
        if key not in self._split:
            self._split[key] = self._find_split(dotted, near)
        return self._split[key]

    def _find_split(self, dotted: str, near: Module | None) -> tuple[Module | None, str]:
        parts = dotted.split(".")
        for count in range(len(parts), 0, -1):
            module = self.find_module(".".join(parts[:count]), near)
            package = self._by_dotted.get(module.dotted.rpartition(".")[0]) if module is not None else None
            if package is not None and package.is_package and parts[count - 1] in package.globals:
                continue  # `client = Client()` in a package hides its module `client`
            if module is not None:
                return module, ".".join(parts[count:])
        return None, dotted


def _walk(root: Path) -> Iterator[Path]:
    count = 0
    for folder, names, files in os.walk(root):
        names[:] = sorted(n for n in names if not n.startswith(".") and not _skipped(Path(folder) / n))
        for name in sorted(files):
            path = Path(folder) / name
            if path.is_symlink():
                continue
            count += 1
            if count > MAX_FILES * 4:
                return
            yield path


def _skipped(folder: Path) -> bool:
    name = folder.name
    return (
        (name in SKIPPED_FOLDERS and not (name in PERHAPS_CODE and (folder / "__init__.py").exists()))
        or name.endswith(".egg-info")
        or folder.is_symlink()
        or (folder / "pyvenv.cfg").exists()
    )


def _is_manifest(path: Path) -> bool:
    return path.name in MANIFESTS or (path.name.startswith("requirements") and path.suffix == ".txt")


def _is_test(path: str) -> bool:
    *folders, name = path.split("/")
    in_tests = any(folder in ("tests", "test") for folder in folders)
    return in_tests or name.startswith("test_") or name.endswith("_test.py") or name == "conftest.py"


def _build(texts: dict[str, str], unparsed: dict[str, str], files: frozenset[str], other: dict[str, str],
           root_name: str, doubled: frozenset[str]) -> SourceTree:  # fmt: skip
    own_name = _own_name(texts, root_name) if "__init__.py" in files else ""
    modules: dict[str, Module] = {}
    for path in sorted(texts)[:MAX_FILES]:
        _parse_into(modules, unparsed, path, texts[path], own_name)
    for path in sorted(texts)[MAX_FILES:]:
        unparsed[path] = f"more than {MAX_FILES} files"
    return SourceTree(modules, unparsed, files, other, own_name, doubled)


def _doubled(path: Path) -> set[str]:
    """What a file of tests patches: `patch("shop.requests.get")`, `patch.object(requests, "get")`, `setattr(…)`."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace") if path.stat().st_size < MAX_FILE_BYTES else ""
    except OSError:
        return set()
    if "patch" not in text:
        return set()
    return {".".join(found) for pattern in (*_PATCHED, *_PATCHED_OF) for found in _whole_words(pattern, text)}


def _whole_words(pattern: re.Pattern[str], text: str) -> Iterator[tuple[str, ...]]:
    """The groups of what matches, where it begins a word."""
    for match in pattern.finditer(text):
        before = text[match.start() - 1 : match.start()]
        if not (before.isalnum() or before == "_"):
            yield match.groups()


def _own_name(texts: dict[str, str], root_name: str) -> str:
    """The name by which the files import the root, where the root itself is a package."""
    heads = {path.split("/")[0].removesuffix(".py") for path in texts}
    tops: Counter[str] = Counter()
    for text in texts.values():
        for line in text.split("\n"):
            words = line.split()
            if len(words) > 1 and words[0] in ("from", "import"):
                top, _, rest = words[1].partition(".")
                imported = rest.split(".")[0] or (words[3].strip("(,") if len(words) > 3 else "")
                if top and imported in heads and top not in heads and top not in sys.stdlib_module_names:
                    tops[top] += 1
    if root_name in tops or not tops:
        return root_name
    return tops.most_common(1)[0][0]


def _parse_into(modules: dict[str, Module], unparsed: dict[str, str], path: str, text: str, own_name: str) -> None:
    try:
        tree = parse_module(text, path)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        unparsed[path] = f"line {getattr(error, 'lineno', None) or '?'}: {error}"
        return
    modules[path] = Module(path, text, tree, _dotted(path, own_name))


def _dotted(path: str, own_name: str) -> str:
    parts = path.removesuffix(".py").split("/")
    if parts[-1] == "__init__":
        parts.pop()
    if parts and parts[0] == "src" and not own_name:
        parts = parts[1:]
    return ".".join([*([own_name] if own_name else []), *parts])
