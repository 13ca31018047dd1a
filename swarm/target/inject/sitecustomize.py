"""Runs the files that swarm put into SWARM_INJECT, then the sitecustomize that this one hides.

Standard library only, Python 3.8 and later. It never raises: what fails says so in one line on stderr.
"""
# mypy: ignore-errors
# ruff: noqa: UP031, SIM105, PTH100, PTH119, PTH120, PTH122, PTH123, BLE001 - it runs in any interpreter, before anything else may be imported

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
    import types

    for path in os.environ.get("SWARM_INJECT", "").split(os.pathsep):
        if not path:
            continue
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
    _run_injected()
    _run_shadowed()
except BaseException as _error:
    _say("sitecustomize: %s: %s" % (type(_error).__name__, _error))
