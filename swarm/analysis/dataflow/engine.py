"""Follows data through a tree once: from handlers of requests down, then where no handler is seen to call."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from swarm.analysis.dataflow.binding import bind
from swarm.analysis.dataflow.frames import Env, Frame, Seen
from swarm.analysis.dataflow.incoming import (
    FILES,
    PARAMETER_MAKERS,
    REQUEST_KINDS,
    handler_parameters,
    has_pattern,
    is_plain,
    is_request,
    path_converter,
)
from swarm.analysis.dataflow.interpreter import MOST_STEPS, Interpreter, OutOfSteps
from swarm.analysis.dataflow.objects import MOST_DEPTH
from swarm.analysis.dataflow.values import OUTSIDE, UNKNOWN, Taint, Value, marked
from swarm.analysis.layout import unparsed
from swarm.analysis.module import Module, walk
from swarm.analysis.parts import Function, Route
from swarm.analysis.source import parameters

if TYPE_CHECKING:
    from swarm.analysis.index import Index

# expressions of one tree: a floor, and more for each of its lines
LEAST_LEFT = 200_000
LEFT_A_LINE = 10
# names of calls that rules look at: a function that no handler is seen to call is followed only for one of these
TELLING = frozenset({
    "eval", "exec", "execute", "executemany", "executescript", "text", "system", "popen", "run", "Popen", "call",
    "check_output", "check_call", "getoutput", "loads", "load", "unsafe_load", "full_load", "from_string", "fetch",
    "render_template_string", "Template", "fetchrow", "fetchval", "fetch_one", "fetch_all", "query", "search_s",
    "create_subprocess_shell", "xpath", "getrandbits", "choice", "choices", "randint", "random", "randrange",
    "randbytes", "sample", "uniform",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Flows:
    """What was seen to happen with data from outside, and the functions that were followed from a handler.

    `held` has the sources that each expression was seen to hold, by the expression's id; of marks what all had.
    """

    seen: tuple[Seen, ...]
    followed: frozenset[Function]
    held: Mapping[int, tuple[Taint, ...]]


def flows_of(index: Index) -> Flows:
    """The flows of a tree, worked out once for all rules."""
    if "dataflow" not in index.notes:
        walk = _Walk(index)
        index.notes["dataflow"] = walk.flows()
    return cast("Flows", index.notes["dataflow"])


class _Walk:
    def __init__(self, index: Index) -> None:
        self._index = index
        self._run = Interpreter(index)
        self._left = LEAST_LEFT + LEFT_A_LINE * sum(len(module.lines) for module in index.tree.modules.values())

    def flows(self) -> Flows:
        """Handlers first; then what none of them was seen to call."""
        done: set[tuple[Function, bool]] = set()
        for route in self._index.routes:
            key = route.function, bool(route.path)
            if key not in done:
                done.add(key)
                self._follow(route.function, route)
        followed = frozenset(self._run.calls.visited)
        for function in self._index.functions:
            if function not in self._run.calls.visited and self._is_telling(function):
                self._follow(function, None)
        return Flows(tuple(self._run.seen), followed, self._run.held())

    def _is_telling(self, function: Function) -> bool:
        for call in self._index.calls(function):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            if name in TELLING:
                return True
        return False

    def _follow(self, function: Function, route: Route | None) -> None:
        run = self._run
        if self._left <= 0:
            return
        run.left = MOST_STEPS
        run.calls.visited.add(function)
        frame = Frame(function.module, function, route, 0, is_handler=route is not None)
        try:
            env = self._around(function)
            given = self._given(route, frame) if route is not None else self._unknown_givers(function)
            run.statements.block(function.node.body, frame, {**env, **given})
        except (OutOfSteps, RecursionError):
            pass
        self._left -= MOST_STEPS - max(0, run.left)

    def _around(self, function: Function) -> Env:
        """Variables of the functions around: an application factory's."""
        env: Env = {}
        for around in reversed(list(function.module.ancestors(function.node))):
            if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef):
                env.update({argument.arg: UNKNOWN for argument in parameters(around)})
        return env

    # -- what a handler gets

    def _given(self, route: Route, frame: Frame) -> Env:
        function = route.function
        env: Env = {}
        if function.class_name:
            owner = f"{function.module.dotted}.{function.qualname.rpartition('.')[0]}"
            env["self"] = Value(kind=owner if owner in self._index.classes else "")
        pairs = list(handler_parameters(function))
        for number, (argument, default) in enumerate(pairs):
            if route.framework == "starlette" and number == 0 and argument.annotation is None:
                env[argument.arg] = Value(kind="starlette.requests.Request")
            else:
                env[argument.arg] = self._parameter(argument, default, route, frame)
        return env

    def _parameter(self, argument: ast.arg, default: ast.expr | None, route: Route, frame: Frame) -> Value:
        index, module = self._index, frame.module
        if is_request(index, module, argument) and argument.annotation is not None:
            return Value(kind="starlette.requests.Request" if route.framework != "flask" else "flask.Request")
        if route.framework == "starlette" and argument.arg == "request":
            return Value(kind="starlette.requests.Request")
        converter = path_converter(route.path, argument.arg)
        if route.framework == "flask" or converter:
            if converter in ("int", "float", "uuid") or is_plain(index, module, argument.annotation):
                return UNKNOWN
            value = self._sent(argument, frame)
            return marked(value, "flat") if converter == "default" or converter == "string" else value
        if route.framework != "fastapi":
            return UNKNOWN
        depends = self._depends(argument, default, module)
        if depends is not None:
            return self._dependency(*depends, route, frame)
        if isinstance(default, ast.Call) and has_pattern(default):
            return UNKNOWN
        if is_plain(index, module, argument.annotation):
            return UNKNOWN
        dotted = index.resolve(module, argument.annotation) if argument.annotation is not None else None
        if dotted in FILES:
            return Value(taints=self._sent(argument, frame).taints, kind="fastapi.UploadFile")
        if dotted is not None and dotted in index.classes:
            return Value(taints=self._sent(argument, frame).taints, kind=dotted)
        maker = default.func if isinstance(default, ast.Call) else None
        is_made = maker is not None and unparsed(maker).rsplit(".", 1)[-1] in PARAMETER_MAKERS
        if dotted is not None and not is_made and "." in dotted and not dotted.startswith(("typing.", "pydantic.")):
            return UNKNOWN  # an object of a library's class: it is no text
        return self._sent(argument, frame)

    def _sent(self, argument: ast.arg, frame: Frame) -> Value:
        source = self._run.source("request", frame.module, argument, f"parameter `{argument.arg}` of the request")
        return Value(taints=(source,), text=OUTSIDE)

    def _depends(self, argument: ast.arg, default: ast.expr | None, module: Module) -> tuple[ast.Call, Module] | None:
        """The `Depends(…)` that gives a parameter, and the module that it is written in."""
        places: list[tuple[ast.AST, Module]] = [(default, module)] if default is not None else []
        if argument.annotation is not None:
            home, written = self._index.written_out(module, argument.annotation)
            places += [(part, home) for part in walk(written.slice)] if isinstance(written, ast.Subscript) else []
        for place, home in places:
            if isinstance(place, ast.Call) and unparsed(place.func).rsplit(".", 1)[-1] in ("Depends", "Security"):
                return place, home
        return None

    def _dependency(self, depends: ast.Call, module: Module, route: Route, frame: Frame) -> Value:
        named = self._index.named_function(module, depends.args[0]) if depends.args else None
        if named is None or frame.depth > MOST_DEPTH - 3:
            dotted = self._index.resolve(module, depends.args[0]) if depends.args else None
            init = self._index.method(dotted, "__init__") if dotted in self._index.classes else None
            if init is None:
                return UNKNOWN
            made = Value(kind=dotted or "", fields={})
            inner = Frame(init.module, init, route, frame.depth + 1)
            env = self._of(init, route, inner)
            outcome = self._run.calls.invoke(init, {**bind(init, [made], {}), **env}, inner, {})
            return outcome.after.get("self", made)
        inner = Frame(named.module, named, route, frame.depth + 1)
        return self._run.calls.invoke(named, self._of(named, route, inner), inner, {}).value

    def _of(self, function: Function, route: Route, frame: Frame) -> Env:
        pairs = handler_parameters(function)
        return {argument.arg: self._parameter(argument, default, route, frame) for argument, default in pairs}

    def _may_be_text(self, function: Function, argument: ast.arg) -> bool:
        if is_plain(self._index, function.module, argument.annotation):
            return False
        if argument.annotation is None:
            return True
        words = unparsed(argument.annotation)
        return any(word in words for word in ("str", "dict", "Dict", "Any", "Mapping", "bytes", "list"))

    def _unknown_givers(self, function: Function) -> Env:
        """Parameters of a function that no handler is seen to call: text, as far as their types allow it."""
        env: Env = {}
        for argument in parameters(function.node):
            if argument.arg in ("self", "cls") and function.class_name:
                owner = f"{function.module.dotted}.{function.qualname.rpartition('.')[0]}"
                env[argument.arg] = Value(kind=owner if owner in self._index.classes else "")
                continue
            if is_request(self._index, function.module, argument) and argument.annotation is not None:
                env[argument.arg] = Value(kind=next(iter(REQUEST_KINDS)))
                continue
            if self._may_be_text(function, argument):
                source = self._run.source("parameter", function.module, argument, f"parameter `{argument.arg}`")
                env[argument.arg] = Value(taints=(source,), text=OUTSIDE)
            else:
                env[argument.arg] = UNKNOWN
        return env
