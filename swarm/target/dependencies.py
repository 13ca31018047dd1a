"""What a target depends on, in the versions that its own interpreter has."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from swarm.core.errors import TargetError
from swarm.core.place import TargetPlace

_LIMIT_S = 10.0
# Runs in the target's interpreter: reads names, prints each that is installed, and all that those need, by version.
_ASK = """
import json, re, sys
from importlib import metadata

def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()

have = {}
for found in metadata.distributions():
    have.setdefault(canonical(found.metadata["Name"] or ""), found)
todo, versions = json.load(sys.stdin), {}
while todo:
    name = canonical(todo.pop())
    if name in have and name not in versions:
        versions[name] = have[name].version
        for needed in have[name].requires or ():
            if "extra ==" not in needed:
                todo.append(re.match(r"[A-Za-z0-9._-]+", needed.strip())[0])
print(json.dumps(versions))
"""


def declared(place: TargetPlace) -> Mapping[str, str]:
    """The packages that the target's manifests name, each with its pin ("" without one).

    requirements*.txt and pyproject.toml of the target's folder; where it has none, those of the copied workspace.
    """
    for folder in dict.fromkeys((place.path, place.workspace)):
        found: dict[str, str] = {}
        for file in sorted(folder.glob("requirements*.txt")):
            for line in _text(file).splitlines():
                found.update(_named(line.partition("#")[0].strip()))
        for line in _of_pyproject(_text(folder / "pyproject.toml")):
            found.update(_named(line))
        if found:
            return found
    return {}


async def versions(place: TargetPlace) -> Mapping[str, str]:
    """Name to version: what is declared and all that this needs, as installed; a pin where a package is not.

    Raises TargetError where the interpreter does not say.
    """
    names = declared(place)
    child = await asyncio.create_subprocess_exec(
        str(place.python), "-I", "-c", _ASK,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env={},
    )  # fmt: skip
    try:
        said, _ = await asyncio.wait_for(child.communicate(json.dumps(list(names)).encode()), _LIMIT_S)
        installed: dict[str, str] = json.loads(said)
    except (TimeoutError, ValueError) as error:
        raise TargetError(f"{place.python} does not tell what is installed: {type(error).__name__}") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return {**{name: pin for name, pin in names.items() if pin}, **installed}


def _named(line: str) -> dict[str, str]:
    if not line or line.startswith("-"):
        return {}
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return {}
    pins = [one.version for one in requirement.specifier if one.operator == "==" and "*" not in one.version]
    return {str(canonicalize_name(requirement.name)): pins[0] if len(pins) == 1 else ""}


def _of_pyproject(text: str) -> Iterator[str]:
    try:
        project: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    table = project.get("project", {})
    yield from table.get("dependencies", ())
    for group in table.get("optional-dependencies", {}).values():
        yield from group
    yield from (
        name for name in project.get("tool", {}).get("poetry", {}).get("dependencies", {}) if name != "python"
    )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
