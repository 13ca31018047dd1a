"""What counts as logging: calls to loggers, and where the text of a log call stands."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import cast

from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module

LEVELS = ("debug", "info", "warning", "warn", "error", "exception", "critical", "fatal", "log")
_REPORTS = (
    "capture_exception",
    "print_exc",
    "record_exception",
    "notify",
    "warnings.warn",
    "metric",
    "statsd",
    "_log",
)
_NAMES = ("log", "logger", "logging", "_log", "_logger", "sentry", "structlog")


def calls_that_tell(index: Index, module: Module) -> Sequence[ast.Call]:
    """The calls of a module that log or print, in order."""
    if "calls that tell" not in index.notes:
        found: dict[Module, list[ast.Call]] = {}
        for home, call in index.in_order(place for name in (*LEVELS, "print") for place in index.calls_named(name)):
            if is_log_call(home, call) or is_print(home, call):
                found.setdefault(home, []).append(call)
        index.notes["calls that tell"] = found
    return cast("dict[Module, list[ast.Call]]", index.notes["calls that tell"]).get(module, ())


def is_log_call(module: Module, node: ast.AST) -> bool:
    """`logger.info(...)`, `logging.error(...)`, `self.log.warning(...)`, `current_app.logger.error(...)`."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in LEVELS:
        return False
    return _is_logger(module, node.func.value)


def _is_logger(module: Module, expression: ast.expr) -> bool:
    if isinstance(expression, ast.Call):
        made_by = module.resolve(expression.func) or ""
        attribute = expression.func.attr if isinstance(expression.func, ast.Attribute) else ""
        return made_by.endswith(("getLogger", "get_logger")) or attribute in ("bind", "opt", "getChild")
    name = ""
    if isinstance(expression, ast.Attribute):
        name = expression.attr
    elif isinstance(expression, ast.Name):
        name = expression.id
        value = getattr(module.globals.get(name), "value", None)
        if isinstance(value, ast.Call) and (module.resolve(value.func) or "").endswith(("getLogger", "get_logger")):
            return True
    lowered = name.lower()
    return lowered in _NAMES or lowered.endswith(("logger", "_log"))


def is_print(module: Module, node: ast.AST) -> bool:
    """A call of the builtin print."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id != "print":
        return False
    return module.resolve(node.func) == "print"


def tells_of_it(module: Module, body: list[ast.stmt]) -> bool:
    """Whether some statement logs, prints, reports, or raises: an error is not swallowed there."""
    for statement in body:
        for node in walk(statement):
            if isinstance(node, ast.Raise) or is_log_call(module, node) or is_print(module, node):
                return True
            if isinstance(node, ast.Call):
                name = unparsed(node.func).lower()
                if any(word in name for word in _REPORTS):
                    return True
    return False
