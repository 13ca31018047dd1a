"""Turns a command of agents.yaml into argv, run by the target's own interpreter and never by a shell."""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

from swarm.config.schema import Target
from swarm.core.errors import TargetError
from swarm.core.place import TargetPlace

_PYTHON = re.compile(r"python(\d+(\.\d+)?)?$")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_SHELL_WORDS = {"&&", "||", "|", ";", ">", ">>", "<", "&", "cd", "source"}
# Runners that would build an environment of their own in the copy; the target's interpreter is one already.
_RUNNERS = {("poetry", "run"), ("uv", "run"), ("pipenv", "run"), ("pdm", "run"), ("rye", "run"), ("hatch", "run")}


def fill(text: str, tmp: Path, port: int | None) -> str:
    """Fill {tmp} and {port}; other braces stay (JSON in a variable is not a template)."""
    return text.replace("{tmp}", str(tmp)).replace("{port}", "0" if port is None else str(port))


def command_line(command: str, place: TargetPlace, *, tmp: Path, port: int | None) -> list[str]:
    """`start`, `tests` or `setup` as argv; raises TargetError where it cannot be run so."""
    try:
        words = [fill(word, tmp, port) for word in shlex.split(command)]
    except ValueError as error:
        raise TargetError(f"target {place.name}: the command {command!r} cannot be read: {error}") from None
    if shell := next((word for word in words if word in _SHELL_WORDS), None):
        raise TargetError(
            f"target {place.name}: the command {command!r} needs a shell for {shell!r}, and none is used; "
            "set `cwd`, `env` and `setup` in agents.yaml in its place"
        )
    assignments = []
    while words and _ASSIGNMENT.match(words[0]):
        assignments.append(words.pop(0))
    if tuple(words[:2]) in _RUNNERS and len(words) > 2 and not words[2].startswith("-"):
        words = words[2:]
    if not words:
        raise TargetError(f"target {place.name}: a command is empty; mend it in agents.yaml")
    argv = [*_program(words[0], place), *words[1:]]
    return ["env", *assignments, *argv] if assignments else argv


def check_commands(target: Target, place: TargetPlace) -> None:
    """Raise TargetError where `start` cannot be run as it is written, or `setup` or `tests`; nothing is started."""
    check_port(target, place)
    for command in (target.start, target.setup, target.tests):
        if command is not None:
            command_line(command, place, tmp=place.workspace, port=0)


def check_port(target: Target, place: TargetPlace) -> None:
    """Raise TargetError where nothing tells the service the port that swarm chooses."""
    if not any("{port}" in text for text in (target.start, *target.env.values())):
        raise TargetError(
            f"target {place.name}: neither `start` nor `env` holds {{port}}, so swarm cannot choose a "
            "free port; write for example --port {port}"
        )


def search_path(python: Path, inherited: str | None) -> str:
    """PATH of a child: the interpreter's bin folder first, and never swarm's own where that is another one."""
    own = Path(sys.executable).parent
    folders = [folder for folder in (inherited or os.defpath).split(os.pathsep) if folder]
    if own != python.parent and (own.parent / "pyvenv.cfg").exists():
        folders = [folder for folder in folders if Path(folder) != own]
    return os.pathsep.join(dict.fromkeys([str(python.parent), *folders]))


@functools.cache
def site_packages(python: Path) -> tuple[Path, ...]:
    """Where the interpreter's installed packages lie."""
    return tuple(sorted((python.parent.parent / "lib").glob("python3*/site-packages")))


def _program(word: str, place: TargetPlace) -> list[str]:
    """The words that run a program of the target's, its interpreter's own before all others."""
    if _PYTHON.fullmatch(word):
        return [str(place.python)]
    if os.sep in word:
        written = Path(word) if Path(word).is_absolute() else place.cwd / word
        if written.exists() and (written.parent.parent / "pyvenv.cfg").exists():
            return [os.path.abspath(written)]  # noqa: PTH100 - a virtual environment is not in the copy
        return [word]
    beside = place.python.parent / word
    if beside.is_file() and os.access(beside, os.X_OK):
        return [str(beside)]
    if any((folder / word).exists() or (folder / f"{word}.py").exists() for folder in site_packages(place.python)):
        return [str(place.python), "-m", word]
    if found := shutil.which(word, path=search_path(place.python, os.environ.get("PATH"))):
        return [found]
    raise TargetError(
        f"target {place.name}: the program {word!r} is neither beside {place.python} nor on PATH; "
        "install it for that interpreter, or set the target's `python` to the one that has it"
    )
