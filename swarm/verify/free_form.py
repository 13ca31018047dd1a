"""What a patch that a model wrote may not do, whatever its reasons: told before any gate runs, and again by them.

A model reads the target's words, and these may ask for anything. So what could reach beyond the service, weaken the
proof, or act otherwise while it is proven is refused by form: files that are no source of the service, stand-ins for
libraries, new dependencies, new ways to run programs or text, new addresses, marks of tests and of swarm, and
comments that silence findings.
"""

from __future__ import annotations

import ast
import re
import shlex
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePosixPath

from swarm.analysis.layout import unparsed
from swarm.analysis.reading.parsing import parse_module
from swarm.analysis.source import MANIFESTS, SKIPPED_FOLDERS, SourceTree
from swarm.config.schema import Target
from swarm.core.masking import MASKED
from swarm.core.patches import FileChange
from swarm.rules.rule import DELIBERATE
from swarm.verify.gates import protects

MOST_FILES = 6
MOST_LINES = 400
MOST_CHARS = 200_000

_LOADED_BY_NAME = frozenset({"sitecustomize", "usercustomize", "conftest", "pytest", "_pytest", "pluggy"})
_RUNS_TEXT = frozenset({"eval", "exec", "compile", "__import__"})
_RUNS_PROGRAMS = frozenset({"subprocess", "pty", "ctypes", "marshal", "pickle", "runpy", "importlib"})
_RUNS_BY_OS = re.compile(r"^os\.(?:system|popen|exec\w*|spawn\w*|posix_spawn\w*|fork\w*|kill\w*|_exit)$")
_WATCHES_THE_PROOF = re.compile(r"PYTEST_\w+|SWARM_\w+|\bsys\.modules\b|\bsys\.(?:settrace|setprofile|meta_path)\b")
_SILENCES = re.compile(rf"#.*(?:{DELIBERATE.pattern}|type:\s*ignore|pragma:|noqa)", re.IGNORECASE)
_ADDRESS = re.compile(
    r"(?:https?|wss?|ftp|redis|postgres\w*|amqp)s?://(?:[^/@\s]*@)?([^/:\s{}'\"?#]+)", re.IGNORECASE
)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})


def refusal(changes: Sequence[FileChange], tree: SourceTree, target: Target) -> str:
    """Why these changes of the tree may not be tried, or "". Pure."""
    if not changes:
        return "it changes nothing"
    if len(changes) > MOST_FILES:
        return f"it changes {len(changes)} files; at most {MOST_FILES}"
    brought = {PurePosixPath(change.path).stem for change in changes if change.before is None}
    for change in changes:
        wrong = _wrong_file(change, tree, target) or _wrong_text(change, tree, brought)
        if wrong:
            return f"{change.path}: {wrong}"
    lines = sum(_changed_lines(change) for change in changes)
    return f"it changes {lines} lines; at most {MOST_LINES}: answer one finding at a time" * (lines > MOST_LINES)


def _wrong_file(change: FileChange, tree: SourceTree, target: Target) -> str:
    """Why this file is none that may be written."""
    path = PurePosixPath(change.path)
    parts = change.path.split("/")
    if "\\" in change.path or path.is_absolute() or any(part in ("", ".", "..") for part in parts):
        return "leads out of the target; give a path relative to its root"
    if any(part.startswith(".") for part in parts):
        return "hidden files and folders are not touched"
    if path.suffix != ".py" or path.name in MANIFESTS:
        return "only Python source of the service may be written"
    pattern = next((p for p in (*protects.ALWAYS_PROTECTED, *target.protect) if protects.matches(change.path, p)), "")
    if pattern:
        return f"is protected by {pattern}"
    if any(change.path == named or change.path.startswith(f"{named}/") for named in _proving_programs(target, tree)):
        return "is part of how the service is tried (its tests, setup or upstreams)"
    if change.before is None:
        return _wrong_new_file(path, tree)
    if change.after is None:
        return "files are not deleted"
    return "" if change.path in tree.modules else "is no source file of the service that swarm could read"


def _wrong_new_file(path: PurePosixPath, tree: SourceTree) -> str:
    name = path.as_posix()
    if name in tree.files:
        return "is there already; give the old text that you replace"
    if set(path.parts[:-1]) & SKIPPED_FOLDERS:
        return "lies in a folder that is no part of the service"
    folder = path.parent.as_posix()
    if folder != "." and not any(file.startswith(f"{folder}/") for file in tree.modules):
        return f"{folder} is no folder with source of the service"
    taken = sys.stdlib_module_names | _LOADED_BY_NAME | _outside_names(tree)
    if path.stem in taken:
        return f"would stand in for the library {path.stem}; choose another name"
    return ""


def _wrong_text(change: FileChange, tree: SourceTree, brought: Collection[str]) -> str:
    """Why this text may not stand there."""
    before, after = change.before or "", change.after or ""
    if after == before:
        return "nothing changes"
    if len(after) > MOST_CHARS:
        return f"is {len(after)} characters long; at most {MOST_CHARS}"
    if MASKED in after and after.count(MASKED) > before.count(MASKED):
        return f"{MASKED} stands for a secret that is shown to nobody; leave its line as it is"
    try:
        new, old = parse_module(after), parse_module(before)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"does not parse: {error}"
    added = _added(before, after)
    if watched := Counter(_WATCHES_THE_PROOF.findall(after)) - Counter(_WATCHES_THE_PROOF.findall(before)):
        return f"{min(watched)}: a service must not know whether it is being tried"
    if silenced := next((line for line in added if _SILENCES.search(line)), ""):
        return f"a comment that silences findings mends none: {silenced.strip()[:80]}"
    return _wrong_reach(old, new, tree, brought)


def _wrong_reach(old: ast.Module, new: ast.Module, tree: SourceTree, brought: Collection[str]) -> str:
    """What the new code could reach that the old one could not."""
    imported = _imported(new) - _imported(old)
    if powers := sorted(imported & _RUNS_PROGRAMS):
        return f"imports {powers[0]}: no new way to run programs or text"
    known = sys.stdlib_module_names | _outside_names(tree) | _own_names(tree) | set(brought)
    if foreign := sorted(imported - known):
        return f"imports {foreign[0]}, which the service does not depend on"
    runs = Counter(_running_calls(new)) - Counter(_running_calls(old))
    if runs:
        return f"calls {min(runs)}: no new way to run programs or text"
    if Counter(_checks_off(new)) - Counter(_checks_off(old)):
        return "turns a check of certificates off"
    # Prose that names an address does not make it the service's own: anybody may have written it there.
    called = {host for module in tree.modules.values() for host in _hosts(module.tree, whole=True)}
    hosts = set(Counter(_hosts(new)) - Counter(_hosts(old))) - called - _LOOPBACK
    return f"names the address {min(hosts)}, which the service did not know" if hosts else ""


def _proving_programs(target: Target, tree: SourceTree) -> Iterator[str]:
    """Files and packages that the commands of tests, setup and upstreams name."""
    commands = [target.tests, target.setup, *(upstream.start for upstream in target.upstreams)]
    for command in commands:
        try:
            words = shlex.split(command or "")
        except ValueError:
            continue
        for word in words:
            path = word.removeprefix("./").rstrip("/")
            dotted = word.replace(".", "/") + ".py"
            for name in (path, dotted):
                if name in tree.files or any(file.startswith(f"{name}/") for file in tree.files):
                    folder = name.rpartition("/")[0]
                    yield folder if folder and name == dotted else name


def _outside_names(tree: SourceTree) -> set[str]:
    """Top-level names of the libraries that the service imports already."""
    names = {name for module in tree.modules.values() for name in _imported(module.tree)}
    return names - _own_names(tree) - sys.stdlib_module_names


def _own_names(tree: SourceTree) -> set[str]:
    return {part for module in tree.modules.values() for part in module.dotted.split(".")}


def _imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module.split(".")[0])
    return names


def _running_calls(tree: ast.AST) -> Iterator[str]:
    """Names that run text or programs, called or handed on."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in _RUNS_TEXT:
            yield node.id
        elif isinstance(node, ast.Attribute) and _RUNS_BY_OS.match(unparsed(node)):
            yield unparsed(node)
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from (f"os.{a.name}" for a in node.names if _RUNS_BY_OS.match(f"os.{a.name}"))


def _checks_off(tree: ast.AST) -> Iterator[str]:
    """Places where whoever is at the other end is not checked."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in ("verify", "ssl", "check_hostname", "verify_ssl"):
            if isinstance(node.value, ast.Constant) and node.value.value is False:
                yield "keyword"
        elif isinstance(node, ast.Attribute) and node.attr in ("CERT_NONE", "_create_unverified_context"):
            yield "attribute"


def _hosts(tree: ast.AST, *, whole: bool = False) -> Iterator[str]:
    """Hosts of the addresses in a tree's strings, documentation left out; `whole`: of strings that begin with one."""
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            found = _ADDRESS.match(node.value) if whole else None
            texts = ([found[1]] if found else []) if whole else _ADDRESS.findall(node.value)
            yield from (host.lower() for host in texts)


def _added(before: str, after: str) -> list[str]:
    known = Counter(before.splitlines())
    added = []
    for line in after.splitlines():
        if known[line] > 0:
            known[line] -= 1
        else:
            added.append(line)
    return added


def _changed_lines(change: FileChange) -> int:
    return sum(
        line.startswith(("+", "-")) and not line.startswith(("+++", "---")) for line in change.diff().splitlines()
    )
