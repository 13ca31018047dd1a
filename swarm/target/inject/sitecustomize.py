"""Runs the files that swarm put into SWARM_INJECT, then the sitecustomize that this one hides.

Standard library only, Python 3.8 and later. It never raises: what fails says so in one line on stderr.
"""
# mypy: ignore-errors
# ruff: noqa: UP031, SIM105, PTH100, PTH118, PTH119, PTH120, PTH122, PTH123, BLE001 - it runs in any interpreter, before anything else may be imported

import os
import sys


def _say(text):
    try:
        sys.stderr.write("swarm: %s\n" % text)
    except Exception:
        pass


def _leave_path():
    """Take this folder off sys.path: its modules must not hide modules of the target with the same names."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != here or not entry]


def _run_injected():
    for path in os.environ.get("SWARM_INJECT", "").split(os.pathsep):
        if path:
            _run(path)


def _run(path):
    import types

    name = "_swarm_" + os.path.splitext(os.path.basename(path))[0]
    try:
        with open(path, "rb") as file:
            code = compile(file.read(), path, "exec")
        module = types.ModuleType(name)
        module.__file__ = path
        sys.modules[name] = module
        exec(code, module.__dict__)
    except BaseException as error:
        _say("%s was not loaded: %s: %s" % (path, type(error).__name__, error))


class _Heard:
    """Notes in a file what is imported, for a fork server to import beforehand."""

    def __init__(self, file):
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o600)

    def find_spec(self, name, path=None, target=None):
        os.write(self._file, name.encode("utf-8", "replace") + b"\n")  # of workers too
        return


def _hear_imports():
    file = os.environ.pop("SWARM_IMPORTS", "")
    if file:
        sys.meta_path.insert(0, _Heard(file))


def _run_shadowed():
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


try:
    _leave_path()
    if "SWARM_FORKSERVER" in os.environ:
        here = os.path.dirname(os.path.abspath(__file__))
        _run(os.path.join(here, "guard.py"))
        _run(os.path.join(here, "forkserver.py"))  # comes back in each child
    _hear_imports()
    _run_injected()
    _run_shadowed()
except BaseException as _error:
    _say("sitecustomize: %s: %s" % (type(_error).__name__, _error))
