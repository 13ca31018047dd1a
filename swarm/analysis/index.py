"""The index that all rules share: what a tree defines, its routes, the call graph, and the kinds of values."""

from __future__ import annotations

import ast
import threading
from collections import deque
from collections.abc import Iterator, Set
from functools import cached_property
from typing import cast

from swarm.analysis.definitions import Definitions, is_none
from swarm.analysis.kinds.common_methods import COMMON_METHODS
from swarm.analysis.kinds.implementations import working
from swarm.analysis.kinds.of_values import Kinds
from swarm.analysis.module import unparsed, walk, within
from swarm.analysis.parts import AppObject, ClassInfo, Framework, Function, Route
from swarm.analysis.routes.call_paths import routes_by_function
from swarm.analysis.routes.finding import VERBS, find_apps, find_dependencies, find_hooks, find_routes
from swarm.analysis.source import Module, SourceTree

__all__ = ["AppObject", "ClassInfo", "Framework", "Function", "Index", "Route", "build_index"]

REGISTERING_CALLS = ("append", "add", "register", "setdefault", "update", "insert", "on", "subscribe")
QUEUED = ("delay", "apply_async", "apply_async_on_commit")  # of Celery's tasks
_NAMING = (ast.Name, ast.Attribute)
HANDING_CALLS = {"to_thread": 0, "run_in_executor": 1, "run_in_threadpool": 0, "run_sync": 0}


class Index(Definitions):
    """One tree, read once. Everything costly is worked out at first use and kept."""

    def __init__(self, tree: SourceTree) -> None:
        super().__init__(tree)
        self.notes: dict[str, object] = {}  # what later analyses keep with the index
        self.alone = threading.RLock()  # held by who looks with a rule: what is half worked out is no other's answer
        self._mentioned: dict[Function, tuple[Function, ...]] = {}
        self._named: dict[ast.AST, Function | None] = {}
        self._called: dict[ast.AST, Function | None] = {}
        self._callees: dict[Function, tuple[Function, ...]] = {}
        self._handed_over: dict[Function, tuple[Function, ...]] = {}
        self._reached: dict[Function, Set[Function]] = {}
        self.kinds = Kinds(self)

    def named_function(self, module: Module, expression: ast.AST) -> Function | None:
        """The target's function that an expression names, not calls: `save`, `storage.save`, `self.save`."""
        if expression in self._named:
            return self._named[expression]
        return self.kinds.answers.keep(self._named, expression, self._find_named, module, expression)

    def _find_named(self, module: Module, expression: ast.AST) -> Function | None:
        if isinstance(expression, ast.Name) and expression.id in module.defined:
            for around in module.functions_around(expression):
                nested = self._by_dotted.get(f"{self._by_node[around].dotted}.{expression.id}")
                if nested is not None:
                    return nested
        dotted = self.resolve(module, expression)
        if dotted in self._by_dotted:
            return self._by_dotted[dotted]
        if isinstance(expression, ast.Attribute):
            return self._named_method(module, expression)
        return None

    def _named_method(self, module: Module, expression: ast.Attribute) -> Function | None:
        several = self._methods_by_name.get(expression.attr)
        if several is None:
            return None  # no class of the target has such a method
        kind = self.kinds.of(module, expression.value)
        if kind is not None:
            method = self.method(kind, expression.attr)
            return working(self, method) if method is not None else None
        unknown = module.resolve(expression) is None or _is_late(module, expression.value)
        return several[0] if len(several) == 1 and expression.attr not in COMMON_METHODS and unknown else None

    def resolve_call(self, module: Module, call: ast.Call) -> Function | None:
        """The target's function that a call runs; for a class its `__init__`; None where it is not known."""
        if call in self._called:
            return self._called[call]
        return self.kinds.answers.keep(self._called, call, self._find_called, module, call)

    def _find_called(self, module: Module, call: ast.Call) -> Function | None:
        function = self.named_function(module, call.func)
        if function is not None:
            return function
        dotted = self.resolve(module, call.func)
        if dotted in self.classes:
            return self.method(dotted, "__init__")
        if not self._methods_by_name.get("__call__") or not self._may_be_object(module, call.func, dotted):
            return None
        return self.method(self.kinds.of(module, call.func) or "", "__call__")  # an object that is called

    def _may_be_object(self, module: Module, named: ast.expr, dotted: str | None) -> bool:
        """Whether a name may be an object's that the target has made: no library's, no builtin function."""
        if isinstance(named, ast.Attribute):
            return named.attr in self._members and named.attr not in self._methods_by_name
        return isinstance(named, ast.Name) and (dotted is None or self.tree.split(dotted, module)[0] is not None)

    def run_by(self, module: Module, call: ast.Call) -> Function | None:
        """The same, or what a partial runs that the call names; its arguments may not be the call's own."""
        return self.resolve_call(module, call) or self.behind_partial(module, call.func)

    def behind_partial(self, module: Module, expression: ast.AST) -> Function | None:
        """The function that `fetch_user = functools.partial(fetch, "users")` runs, named `fetch_user`."""
        if not isinstance(expression, ast.Name) or not self.calls_named("partial"):
            return None
        home, name = self.tree.split(self.resolve(module, expression) or "", module)
        value = getattr(home.globals.get(name), "value", None) if home is not None else None
        if home is None or not isinstance(value, ast.Call) or not value.args:
            return None
        is_partial = self.resolve(home, value.func) == "functools.partial"
        return self.named_function(home, value.args[0]) if is_partial else None

    # -- the call graph

    def callees(self, function: Function) -> tuple[Function, ...]:
        """The target's functions that this one calls directly, in the order of the calls."""
        if function not in self._callees:
            found = (self.run_by(function.module, call) for call in self.calls(function))
            self._callees[function] = tuple(dict.fromkeys(callee for callee in found if callee is not None))
        return self._callees[function]

    def callers(self, function: Function) -> tuple[Function, ...]:
        """The target's functions that call this one directly, in the order of the tree."""
        return self._callers.get(function, ())

    @cached_property
    def _callers(self) -> dict[Function, tuple[Function, ...]]:
        found: dict[Function, list[Function]] = {}
        for caller in self.functions:
            for callee in self.callees(caller):
                found.setdefault(callee, []).append(caller)
        return {callee: tuple(callers) for callee, callers in found.items()}

    def handed_over(self, function: Function) -> tuple[Function, ...]:
        """The target's functions that this one hands to a thread: `asyncio.to_thread(f)`, `run_in_executor`."""
        if function not in self._handed_over:
            self._handed_over[function] = tuple(self._find_handed_over(function))
        return self._handed_over[function]

    def _find_handed_over(self, function: Function) -> Iterator[Function]:
        for call in self.calls(function):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else unparsed(call.func)
            position = HANDING_CALLS.get(name)
            if position is not None and len(call.args) > position:
                named = self.named_function(function.module, call.args[position])
                if named is not None:
                    yield named

    def reaches(self, function: Function) -> Set[Function]:
        """The function and every one that it runs, directly or over others, in threads as well; nearest first."""
        if function not in self._reached:
            seen = {function: None}
            todo = deque([function])
            while todo:
                current = todo.popleft()
                for callee in [*self.callees(current), *self.handed_over(current)]:
                    if callee not in seen:
                        seen[callee] = None
                        todo.append(callee)
            self._reached[function] = seen.keys()
        return self._reached[function]

    def mentions(self, function: Function) -> tuple[Function, ...]:
        """Functions that are named, perhaps not called: callbacks, dependencies, tables of handlers."""
        if function not in self._mentioned:
            self._mentioned[function] = tuple(dict.fromkeys(self._find_mentions(function)))
        return self._mentioned[function]

    def _find_mentions(self, function: Function) -> Iterator[Function]:
        module = function.module
        signature = function.node.args
        places: list[ast.expr] = [*self.own_of(function, *_NAMING)]
        for expression in [*signature.defaults, *signature.kw_defaults, *self.decorators(function)]:
            places += within(expression, *_NAMING) if expression is not None else []
        for argument in [*signature.posonlyargs, *signature.args, *signature.kwonlyargs]:
            if argument.annotation is None:
                continue
            home, written = self.written_out(module, argument.annotation)
            if home is module:
                places += within(written, *_NAMING)
            else:
                named_there = (self.named_function(home, node) for node in within(written, *_NAMING))
                yield from (named for named in named_there if named is not None)
        for node in cast("list[ast.Name | ast.Attribute]", places):
            if not isinstance(node.ctx, ast.Load) or not self._may_lead(module, node):
                continue
            parent = module.parent(node)
            if isinstance(parent, ast.Attribute) and parent.attr in QUEUED:
                continue  # a job for another process: it is not run here
            named = self.named_function(module, node)
            if named is not None:
                yield named
            else:
                yield from self.in_table(module, node)
        for nested in self.own_of(function, ast.FunctionDef, ast.AsyncFunctionDef):
            yield self._by_node[nested]

    def _may_lead(self, module: Module, node: ast.Name | ast.Attribute) -> bool:
        """Whether a name may be a function's or a table's of functions: most are not, and need no search."""
        if isinstance(node, ast.Name):
            return node.id in module.nameable or node.id in module.nested_names
        return node.attr in self._members or module.resolve(node) is not None

    @cached_property
    def _kept_tables(self) -> frozenset[str]:
        """The names under which the target's classes hold tables and lists."""
        every = (pair for info in self.classes.values() for pair in info.attributes.items())
        return frozenset(
            name for name, value in every if isinstance(value, ast.Dict | ast.List | ast.Tuple | ast.Set)
        )

    @cached_property
    def _members(self) -> frozenset[str]:
        """The names of all that the target's classes hold."""
        attributes = (name for info in self.classes.values() for name in info.attributes)
        return frozenset((*attributes, *self._methods_by_name))

    def written_out(self, module: Module, annotation: ast.expr) -> tuple[Module, ast.expr]:
        """An annotation with the module that it stands in, an alias of `Annotated[…, Depends(…)]` followed."""
        if isinstance(annotation, ast.Name | ast.Attribute):
            home, name = self.tree.split(self.resolve(module, annotation) or "", module)
            value = getattr(home.globals.get(name), "value", None) if home is not None else None
            if home is not None and isinstance(value, ast.Subscript):
                return home, value
        return module, annotation

    def decorators(self, function: Function) -> tuple[ast.expr, ...]:
        """What is put around a function: its own decorators, and what a view class of Flask lists for its verbs."""
        own = tuple(function.node.decorator_list)
        info = self.classes.get(f"{function.module.dotted}.{function.class_name}") if function.class_name else None
        listed = info.attributes.get("decorators") if info is not None and function.name in VERBS else None
        return (*own, *listed.elts) if isinstance(listed, ast.List | ast.Tuple) else own

    def in_table(self, module: Module, node: ast.AST) -> Iterator[Function]:
        """The functions that stand in a table or list, or are methods of a class, which an expression names."""
        dotted = self.resolve(module, node)
        if dotted in self.classes:
            yield from self.classes[dotted].methods.values()
            return
        home, name = self.tree.split(dotted, module) if dotted else (None, "")
        value = getattr(home.globals.get(name), "value", None) if home is not None else None
        if value is None and isinstance(node, ast.Name):  # a table that the function around has made
            home, value = module, self._of_closure(module, node)
        if (
            value is None and isinstance(node, ast.Attribute) and node.attr in self._kept_tables
        ):  # `self.handlers`, a table that `__init__` fills
            info = self.classes.get(self.kinds.of(module, node.value) or "")
            home, value = (info.module, info.attributes.get(node.attr)) if info is not None else (None, None)
        if home is not None and isinstance(value, ast.Dict | ast.List | ast.Tuple | ast.Set):
            for part in walk(value):
                if isinstance(part, ast.Name | ast.Attribute):
                    named = self.named_function(home, part)
                    if named is not None:
                        yield named

    def _of_closure(self, module: Module, name: ast.Name) -> ast.AST | None:
        for around in list(module.functions_around(name))[1:]:
            values = self.kinds.bindings(around).get(name.id, [])
            if values:
                return values[0] if len(values) == 1 else None
        return None

    @cached_property
    def registered(self) -> tuple[Function, ...]:
        """Functions that a decorator of the target's own puts into a table of handlers."""
        return tuple(dict.fromkeys(self._find_registered()))

    def _find_registered(self) -> Iterator[Function]:
        for function in self.functions:
            for decorator in function.node.decorator_list:
                named = decorator.func if isinstance(decorator, ast.Call) else decorator
                owner = self.named_function(function.module, named)
                if owner is not None and self._is_registering(owner):
                    yield function

    def _is_registering(self, decorator: Function) -> bool:
        for node in walk(decorator.node):
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Subscript) for t in node.targets):
                return True
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) \
                    and node.func.attr in REGISTERING_CALLS:  # fmt: skip
                return True
        return False

    @cached_property
    def _reachable(self) -> frozenset[Function]:
        hooks = find_hooks(self)
        todo = [*(route.function for route in self.routes), *hooks, *find_dependencies(self)]
        if todo:
            todo += self.registered
        seen = set(todo)
        while todo:
            for callee in self.mentions(todo.pop()):
                if callee not in seen:
                    seen.add(callee)
                    todo.append(callee)
        return frozenset(seen)

    def reachable(self) -> frozenset[Function]:
        """The functions on a request's path: handlers, middleware, dependencies and all that they use."""
        return self._reachable

    def on_request_path(self, module: Module, node: ast.AST) -> bool:
        """Whether a request runs the function around the node; true for all where no route was found."""
        function = self.enclosing(module, node)
        if function is None:
            return False
        return function in self._reachable or not self.routes

    @cached_property
    def functions_on_path(self) -> tuple[Function, ...]:
        """The functions on a request's path, in order; all of them where no route was found."""
        return tuple(f for f in self.functions if f in self._reachable) if self.routes else tuple(self.functions)

    @cached_property
    def _on_loop(self) -> frozenset[Function]:
        seen = {function for function in self.functions if function.is_async}
        todo = list(seen)
        while todo:
            for callee in self.callees(todo.pop()):
                if callee not in seen:
                    seen.add(callee)
                    todo.append(callee)
        return frozenset(seen)

    def on_event_loop(self, function: Function) -> bool:
        """Whether the function runs on the loop that requests share: it is async, or called directly from what is.

        Flask runs each `async def` view on a loop of its own, in the thread of its request.
        """
        return function in self._on_loop and not self._is_flasks_alone(function)

    def _is_flasks_alone(self, function: Function) -> bool:
        routes = self.routes_reaching(function)
        return bool(routes) and all(route.framework == "flask" for route in routes)

    def routes_reaching(self, function: Function) -> tuple[Route, ...]:
        """The routes whose requests may run the function: by calls, dependencies, decorators, callbacks."""
        return self._reaching.get(function, ())

    @cached_property
    def _reaching(self) -> dict[Function, tuple[Route, ...]]:
        return routes_by_function(self)

    @cached_property
    def apps(self) -> tuple[AppObject, ...]:
        """Applications, routers and blueprints."""
        return find_apps(self)

    @cached_property
    def routes(self) -> tuple[Route, ...]:
        """Every route that could be found."""
        return find_routes(self)


def build_index(tree: SourceTree) -> Index:
    """The index of a tree."""
    return Index(tree)


def _is_late(module: Module, expression: ast.expr) -> bool:
    """Whether it is a global that begins as None: what it will be is known when the program runs."""
    value = getattr(module.globals.get(expression.id), "value", None) if isinstance(expression, ast.Name) else None
    return isinstance(value, ast.expr) and is_none(value)
