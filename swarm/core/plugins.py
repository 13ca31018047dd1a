"""Plugin folders: walk a package, take every subclass that its modules define, refuse what is broken."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TypeVar

T = TypeVar("T")


class BrokenPlugin(Exception):
    """A plugin module that cannot be used; the message names its file and what is wrong."""


def discover(package_name: str, kind: type[T]) -> list[type[T]]:
    """Every concrete subclass of `kind` defined in the package's modules, sorted by module then name.

    Raises BrokenPlugin where a module does not import.
    """
    package = importlib.import_module(package_name)
    found: dict[tuple[str, str], type[T]] = {}
    for info in pkgutil.walk_packages(package.__path__, package_name + "."):
        try:
            module = importlib.import_module(info.name)
        except Exception as error:
            raise BrokenPlugin(f"{info.name}: does not import: {error}") from error
        for name, value in vars(module).items():
            if not inspect.isclass(value) or not issubclass(value, kind) or value is kind:
                continue
            if value.__module__ == info.name and not inspect.isabstract(value) and not name.startswith("_"):
                found[info.name, name] = value
    return [found[key] for key in sorted(found)]
