"""Lists, sets and dicts of a module that requests add to and nothing ever takes from."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from swarm.analysis.added_modules import is_added
from swarm.analysis.index import ClassInfo, Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.examples import unbounded_growth as examples
from swarm.rules.facts.lasting import lasts
from swarm.rules.rule import Rule

ADDING = frozenset({"append", "add", "extend", "insert", "appendleft", "setdefault", "update"})
TAKING = frozenset({"pop", "popitem", "popleft", "clear", "remove", "discard", "difference_update", "move_to_end"})
MAKERS = ("list", "set", "dict", "collections.defaultdict", "collections.OrderedDict", "collections.Counter",
          "collections.deque", "defaultdict", "OrderedDict", "Counter", "deque")  # fmt: skip


class UnboundedGrowth(Rule):
    """A request puts something into a list, set or dict that lives as long as the process, and nothing takes it out.

    Why: memory grows with every event until the process is killed, usually at night; `x in LIST` gets slower on the
    way. Example: `SEEN.add(event["id"])` with `SEEN = set()` at the top, or `functools.cache` on a function whose
    arguments come from requests.

    What to do: a bound (`deque(maxlen=…)`, `lru_cache(maxsize=…)`, an `OrderedDict` that drops its oldest), a
    lifetime, or a store outside of the process. No patch is written: how much must be remembered, the code does not
    say.
    """

    id = "unbounded-growth"
    category = "performance"
    severity = "low"
    title = "Memory grows with every request"
    sources = ("https://docs.python.org/3/library/collections.html#collections.deque",)
    bad = examples.BAD
    good = examples.GOOD

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Containers of modules that only grow on requests' paths, and caches without a bound there."""
        decorators = _decorators(index)
        for function in index.functions_on_path if index.routes else ():
            if is_added(function.module):
                continue
            if decorators & {function, *_around(index, function)}:
                continue  # it runs when modules are imported
            found = [*_additions(index, function), *_kept_in_objects(index, function), *_caches(index, function)]
            for node, name in found:
                yield self.finding(
                    function.module, node,
                    evidence=f"{function.qualname} adds to {name}, and nothing takes anything out of it",
                    recommendation="Give it a bound or a lifetime",
                    anchor=f"{function.qualname}:{name}",
                    mendable=False,
                )  # fmt: skip


def _decorators(index: Index) -> set[Function]:
    """The functions that stand above others with an @."""
    found = set()
    for function in index.functions:
        for decorator in function.node.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            named = index.named_function(function.module, called)
            found |= {named} if named is not None else set()
    return found


def _around(index: Index, function: Function) -> Iterator[Function]:
    for node in function.module.ancestors(function.node):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield index.function_of(node)


def _additions(index: Index, function: Function) -> Iterator[tuple[ast.AST, str]]:
    told: set[str] = set()
    for node in index.own_of(function, ast.Call, ast.Assign, ast.AugAssign):
        owner, varies = _added_to(node)
        while isinstance(owner, ast.Subscript):  # `BY_SENDER[sender].append(…)` makes the sender's list too
            varies = varies or not isinstance(owner.slice, ast.Constant)
            owner = owner.value
        if owner is None or not varies or not isinstance(owner, ast.Name | ast.Attribute):
            continue
        home, name = index.tree.split(index.resolve(function.module, owner) or "", function.module)
        is_local = isinstance(owner, ast.Name) and owner.id in function.module.local_names(function.node)
        if home is None or is_local or name in told or not _is_empty_container(home, name):
            continue
        if not _is_taken_from(index, home, name):
            told.add(name)
            yield node, name


def _added_to(node: ast.AST) -> tuple[ast.expr | None, bool]:
    """What a node adds to, and whether what is added can differ from request to request."""
    match node:
        case ast.Call(func=ast.Attribute(value=owner, attr=method), args=[first, *_]) if method in ADDING:
            return owner, not isinstance(first, ast.Constant)
        case ast.Assign(targets=targets):
            subscripts = [target for target in targets if isinstance(target, ast.Subscript)]
            for target in subscripts:
                return target.value, not isinstance(target.slice, ast.Constant)
        case ast.AugAssign(target=ast.Subscript(value=owner, slice=key)):
            return owner, not isinstance(key, ast.Constant)
    return None, False


def _is_empty_container(home: Module, name: str) -> bool:
    return _is_empty(home, getattr(home.globals.get(name), "value", None))


def _is_empty(home: Module, value: ast.expr | None) -> bool:
    match value:
        case ast.List(elts=[]) | ast.Dict(keys=[]):
            return True
        case ast.Call(func=func, args=args, keywords=keywords):
            maker = home.resolve(func) or unparsed(func)
            if maker == "dataclasses.field":
                made = [unparsed(keyword.value) for keyword in keywords if keyword.arg == "default_factory"]
                return bool(made) and made[0] in MAKERS
            bounded = any(keyword.arg == "maxlen" for keyword in keywords) or (
                maker.endswith("deque") and len(args) > 1
            )
            filled = bool(args) and not maker.endswith("defaultdict")
            return maker in MAKERS and not bounded and not filled
    return False


def _kept_in_objects(index: Index, function: Function) -> Iterator[tuple[ast.AST, str]]:
    """What is added to `self.seen` of an object that a module keeps, or to `app.state.seen`."""
    told: set[str] = set()
    for node in index.own_of(function, ast.Call, ast.Assign, ast.AugAssign):
        owner, varies = _added_to(node)
        while isinstance(owner, ast.Subscript):  # `self.by_sender[sender].append(…)` makes the sender's list too
            varies = varies or not isinstance(owner.slice, ast.Constant)
            owner = owner.value
        if not isinstance(owner, ast.Attribute) or not varies or owner.attr in told:
            continue
        shown = unparsed(owner)
        if (_is_of_kept_object(index, function, owner) or _is_of_state(index, owner)) \
                and not _is_taken_by_name(index, owner.attr):  # fmt: skip
            told.add(owner.attr)
            yield node, shown


def _is_of_kept_object(index: Index, function: Function, owner: ast.Attribute) -> bool:
    """Whether it is an empty container of a class one of whose objects a module keeps as its own."""
    if function.name == "__init__":
        return False
    dotted = index.kinds.of(function.module, owner.value)
    info = index.classes.get(dotted or "")
    if info is None or not _is_empty(info.module, info.attributes.get(owner.attr) or _given(info, owner.attr)):
        return False
    if any(isinstance(node, ast.Assign) and unparsed(node.targets[0]) == owner.attr for node in info.node.body):
        return True  # the class's own, for all its objects
    if function.class_name is None and any(route.function is function for route in index.routes):
        return True  # a route that one of its methods defines: the object lasts as long as the application
    return lasts(index, dotted or "")


def _given(info: ClassInfo, name: str) -> ast.expr | None:
    """The value of an attribute that is assigned with an annotation."""
    for node in walk(info.node):
        if not isinstance(node, ast.AnnAssign):
            continue
        target = node.target
        if isinstance(target, ast.Attribute) and target.attr == name:
            return node.value
        if isinstance(target, ast.Name) and target.id == name and node in info.node.body:
            return node.value
    return None


def _is_of_state(index: Index, owner: ast.Attribute) -> bool:
    """Whether it is an empty container that lies in the state of an application: `app.state.seen = set()`."""
    if not isinstance(owner.value, ast.Attribute) or owner.value.attr != "state":
        return False
    for module in index.tree.modules.values():
        for node in module.nodes(ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Attribute) and target.attr == owner.attr \
                        and isinstance(target.value, ast.Attribute) and target.value.attr == "state" \
                        and _is_empty(module, node.value):  # fmt: skip
                    return True
    return False


def _is_taken_by_name(index: Index, name: str) -> bool:
    """Whether anything takes from any attribute of this name, or sets it a second time."""
    stored = 0
    for module in index.tree.modules.values():
        for node in module.nodes(ast.Attribute):
            if node.attr != name:
                continue
            if isinstance(node.ctx, ast.Store):
                stored += 1
            elif _hands_on(module, node):
                return True
    return stored > 1


def _is_taken_from(index: Index, home: Module, name: str) -> bool:
    """Whether anything anywhere takes from it, replaces it, looks at its size, or hands it on out of sight."""
    return any(
        index.tree.split(index.resolve(module, node) or "", module) == (home, name)
        and _takes(module, node, home, name)
        for module, node in index.names(name)
    )


def _takes(module: Module, node: ast.Name | ast.Attribute, home: Module, name: str) -> bool:
    if isinstance(node.ctx, ast.Store | ast.Del):
        return module.statement(node) is not home.globals.get(name)
    return _hands_on(module, node)


def _hands_on(module: Module, node: ast.Name | ast.Attribute) -> bool:
    """Whether what stands around takes from the container, looks at its size, or gives it to who may."""
    parent = module.parent(node)
    match parent:
        case ast.Attribute(attr=method):
            return method in TAKING
        case ast.Subscript(ctx=ast.Del()):
            return True
        case ast.Subscript(ctx=ast.Load()):
            used = module.parent(parent)
            return isinstance(used, ast.Attribute) and used.attr in TAKING
        case ast.Subscript(ctx=ast.Store(), slice=ast.Slice()):
            return True
        case ast.Call(func=ast.Name(id="len")):
            return isinstance(module.parent(parent), ast.Compare)
        case ast.Call(args=args) if node in args:
            return unparsed(parent.func) not in (
                "len",
                "sorted",
                "list",
                "dict",
                "set",
                "sum",
                "any",
                "all",
                "str",
            )
        case ast.Assign() | ast.AnnAssign() | ast.Return() | ast.keyword():
            return True
    return False


def _varies(index: Index, function: Function) -> bool:
    """Whether some call hands over more than constants, or hands the function itself on."""
    calls = [
        call for module, call in index.calls_named(function.node.name)
        if index.resolve_call(module, call) in (function, None)
    ]  # fmt: skip
    return not calls or any(
        not isinstance(value, ast.Constant)
        for call in calls
        for value in (*call.args, *(keyword.value for keyword in call.keywords))
    )


def _caches(index: Index, function: Function) -> Iterator[tuple[ast.AST, str]]:
    given = [a for a in function.node.args.args if a.arg not in ("self", "cls")]
    if not given or not _varies(index, function):
        return
    for decorator in function.node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        dotted = index.resolve(function.module, called)
        arguments = unparsed(decorator)[len(unparsed(called)) :]
        if dotted == "functools.cache" or (
            dotted == "functools.lru_cache" and arguments in ("(maxsize=None)", "(None)")
        ):
            yield decorator, f"its cache ({unparsed(decorator)})"
