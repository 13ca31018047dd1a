"""Answers that are worth keeping: which functions are asked again, and the decorators that keep what they give."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from swarm.analysis.added_modules import is_added
from swarm.analysis.edits import Edit
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module, SourceTree, parameters
from swarm.core.patches import FileChange
from swarm.rules.facts.independence import CACHING
from swarm.rules.facts.lasting import lasts
from swarm.rules.keeping.known_reads import Reads, reads_of
from swarm.rules.keeping.plain_signatures import gives_plain, plain_attributes, takes_plain
from swarm.rules.keeping.slow_changing import is_deciding
from swarm.rules.rule import Mend, edited
from swarm.rules.writing.placing import free_file, import_edit, main_app
from swarm.rules.writing.reaching import import_of
from swarm.rules.writing.splices import names_in

STEM = "answer_cache"
MARK = "ANSWER_CACHE_MAX_ENTRIES"  # what no other module of this name speaks of
# The generated module, in the order in which its parts stand in it.
_TEXTS = Path(__file__).parent / "answer_cache"
_PARTS = ("decorators", "figures", "function", "tiers", "writes")
_VERB = re.compile(r"^(?:get|fetch|load|read|lookup|retrieve|query|find|select|list)_")


@dataclass(frozen=True, slots=True)
class Kept:
    """A function whose answers can be kept: `by` are the attributes of its object that tell answers apart."""

    function: Function
    reads: Reads
    by: tuple[str, ...]
    only_told: bool = False  # how its object was made does not show what tells its answers apart

    @property
    def names(self) -> tuple[str, ...]:
        """Its parameters, by which an answer is found again."""
        return tuple(a.arg for a in parameters(self.function.node) if a.arg != "self" or not self.function.class_name)


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a mend writes for one function: its lifetime, and the functions that make its answers wrong."""

    kept: Kept
    ttl_s: int
    writers: tuple[Function, ...] = ()


def worth_keeping(index: Index, suits: Callable[[Kept], bool]) -> list[Kept]:
    """The functions on a request's path that only read and that `suits`, the ones that read themselves.

    One that reads nothing but what another of them keeps is left out, and one that only others of them call.
    """
    handlers = {route.function for route in index.routes}
    found: dict[Function, Kept] = {}
    for function in sorted(index.reachable(), key=lambda f: (f.module.path, f.node.lineno)):
        if function in handlers or is_added(function.module) or not _is_plain_definition(function):
            continue
        if not takes_plain(index, function) or not gives_plain(index, function) or is_deciding(function):
            continue
        reads = reads_of(index, function)
        if reads is None or not reads:
            continue
        by = plain_attributes(index, function, reads.attributes)
        kept = Kept(function, reads, by or (), only_told=by is None)
        if (by is not None or _belongs_to_lasting(index, function)) and suits(kept):
            found[function] = kept
    outer = {function: kept for function, kept in found.items() if _reads_itself(index, kept, found)}
    callers: dict[Function, set[Function]] = {}
    for caller in index.reachable():
        for callee in index.mentions(caller):
            callers.setdefault(callee, set()).add(caller)
    return [kept for function, kept in outer.items() if not callers.get(function) or callers[function] - outer.keys()]


def _belongs_to_lasting(index: Index, function: Function) -> bool:
    """Whether a method's object is made at the start, so that it asks the same for as long as the process lives."""
    return function.class_name is not None and lasts(index, function.dotted.rpartition(".")[0])


def _is_plain_definition(function: Function) -> bool:
    around = function.module.parent(function.node)
    return not function.node.decorator_list and isinstance(around, ast.Module | ast.ClassDef)


def is_kept(function: Function) -> bool:
    """Whether a decorator keeps the function's answers already."""
    names = (unparsed(decorator).split("(")[0].lower() for decorator in function.node.decorator_list)
    return any(word in name for name in names for word in CACHING)


def _reads_itself(index: Index, kept: Kept, others: dict[Function, Kept]) -> bool:
    """Whether it reads something that no other one keeps."""
    own = {kept.function}
    todo = [kept.function]
    while todo:
        for callee in index.callees(todo.pop()):
            if callee not in own and callee not in others and not is_kept(callee):
                own.add(callee)
                todo.append(callee)
    reading = [*(f for f, _ in kept.reads.sql), *(f for f, _ in kept.reads.gets)]
    return any(function in own for function in [*reading, *(q.function for q in kept.reads.questions)])


def keep(index: Index, module: Module, several: Sequence[Keeping], title: str, rationale: str) -> Mend:
    """The mend: the module that keeps answers, a decorator for each function, one for each that writes."""
    tree = index.tree
    home = _existing(tree)
    changes: list[FileChange] = []
    if home is not None:
        beside, stem = home, home.path.rpartition("/")[2].removesuffix(".py")
    else:
        app = main_app(index)
        beside = app.module if app is not None else module
        path = free_file(tree, beside.path.rpartition("/")[0], STEM)
        stem = path.rpartition("/")[2].removesuffix(".py")
        changes.append(FileChange(path, None, module_text()))
    lines: dict[Module, list[tuple[str, Function, str]]] = {}
    kinds = _kinds(tree)
    for keeping in several:
        function = keeping.kept.function
        kind = _kind(function, kinds)
        kinds.add(kind)
        by = _by(keeping.kept.by)
        lines.setdefault(function.module, []).append(("cached", function, f'("{kind}", ttl_s={keeping.ttl_s}{by})'))
        names = "".join(f', "{name}"' for name in keeping.kept.names)
        for writer in keeping.writers:
            lines.setdefault(writer.module, []).append(("invalidates", writer, f'("{kind}"{names})'))
    for where, decorators in lines.items():
        changes.append(edited(where, list(_decorated(tree, where, beside, stem, decorators))))
    changes.sort(key=lambda change: (change.path != module.path, change.path))
    return Mend(title, rationale, tuple(changes))


def module_text() -> str:
    """The module that keeps answers."""
    return "".join((_TEXTS / f"{part}.txt").read_text(encoding="utf-8") for part in _PARTS)


def _by(names: Sequence[str]) -> str:
    listed = ", ".join(f'"{name}"' for name in names)
    return f", by=({listed}{',' if len(names) == 1 else ''})" if names else ""


def _decorated(
    tree: SourceTree, module: Module, beside: Module, stem: str, decorators: list[tuple[str, Function, str]]
) -> Iterator[Edit]:
    wanted = sorted({name for name, _, _ in decorators})
    local = {name: _local_name(module, stem, name) for name in wanted}
    missing = [name for name in wanted if not _is_imported(module, stem, name)]
    if missing:
        names = ", ".join(name if local[name] == name else f"{name} as {local[name]}" for name in missing)
        yield import_edit(tree, module, import_of(tree, module, beside, stem, names))
    texts: dict[Function, list[str]] = {}
    for name, function, arguments in decorators:
        texts.setdefault(function, []).append(f"{module.indent(function.node)}@{local[name]}{arguments}\n")
    for function, several in texts.items():
        at = module.line_start(function.node.lineno)
        yield Edit(at, at, "".join(several))


def _is_imported(module: Module, stem: str, name: str) -> bool:
    return any(origin.endswith(f"{stem}.{name}") for origin in module.imports.values())


def _local_name(module: Module, stem: str, name: str) -> str:
    for local, origin in module.imports.items():
        if origin.endswith(f"{stem}.{name}"):
            return local
    return name if name not in names_in(module) else f"answers_{name}"


def _existing(tree: SourceTree) -> Module | None:
    """The module that an earlier mend put there."""
    for path, module in tree.modules.items():
        if path.rpartition("/")[2].startswith(STEM) and MARK in module.text:
            return module
    return None


def _kinds(tree: SourceTree) -> set[str]:
    """The kinds that decorators of the tree name already."""
    found = set()
    for module in tree.modules.values():
        for call in module.nodes(ast.Call):
            first = call.args[0] if call.args else None
            if isinstance(first, ast.Constant) and (module.resolve(call.func) or "").endswith(f"{STEM}.cached"):
                found.add(str(first.value))
    return found


def _kind(function: Function, taken: Iterable[str]) -> str:
    name = function.name.strip("_")
    kind = wanted = (_VERB.sub("", name) or name).replace("_", "-")
    number = 2
    while kind in set(taken):
        kind, number = f"{wanted}-{number}", number + 1
    return kind
