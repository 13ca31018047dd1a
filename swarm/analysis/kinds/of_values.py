"""Which class a value is of, as far as assignments, annotations and dependencies tell."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from swarm.analysis.answers import Answers
from swarm.analysis.databases.database_kinds import (
    ASYNC_SESSIONS,
    DATABASE_ATTRIBUTES,
    DATABASE_CLASSES,
    DATABASE_MAKERS,
    DATABASE_RESULTS,
    PARTS_OF,
    SCOPED_SESSIONS,
    SESSION_MAKERS,
    SESSIONS,
    SYNC_SESSIONS,
)
from swarm.analysis.databases.entities import object_of, objects_of
from swarm.analysis.kinds.bindings import bound_in
from swarm.analysis.kinds.client_kinds import HTTP_CLIENTS, HTTP_VERBS, RESPONSES
from swarm.analysis.kinds.handed_on import (
    assigned,
    given_to,
    in_extensions,
    is_property,
    is_state,
    makes_async_sessions,
    put_into_state,
)
from swarm.analysis.layout import unparsed
from swarm.analysis.reading.parsing import parse_expression
from swarm.analysis.source import FunctionNode, Module, own_nodes, own_of, parameters

if TYPE_CHECKING:
    from swarm.analysis.index import Index
    from swarm.analysis.parts import Function

# functions of libraries that hand out an object of another name
MAKERS = {
    **DATABASE_MAKERS,
    "requests.session": "requests.Session",
    "boto3.client": "boto3.Client",
    "requests.sessions.Session": "requests.Session",
    "aiohttp.client.ClientSession": "aiohttp.ClientSession",
}
ORM_SESSIONS = SYNC_SESSIONS
WRAPPERS = ("Optional", "Annotated", "Awaitable", "AsyncIterator", "Iterator", "AsyncGenerator", "Generator")
MOST_BASES = 8
MAX_DEPTH = 40  # calls within calls: what is cut off is kept as unknown, whoever asks for it next


class Kinds:
    """Answers `of(module, expression)`: the dotted class of a value, or None."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._bindings: dict[FunctionNode, dict[str, list[ast.AST]]] = {}
        self.answers = Answers()

    def of(self, module: Module, expression: ast.AST, depth: int = 0) -> str | None:
        """The dotted class of an expression's value ("httpx.AsyncClient", "service.crm.Crm"), or None."""
        if depth > MAX_DEPTH:
            self.answers.cut()
            return None
        kind: str | None = self.answers.of(expression, self._find, module, expression, depth)
        return kind

    def _find(self, module: Module, expression: ast.AST, depth: int) -> str | None:
        match expression:
            case ast.Await(value=value) | ast.NamedExpr(value=value) | ast.Starred(value=value):
                return self.of(module, value, depth + 1)
            case ast.Call():
                return self._of_call(module, expression, depth)
            case ast.Subscript(value=value):
                kept = in_extensions(expression)
                return self._agreed(kept, depth) if kept else PARTS_OF.get(self.of(module, value, depth + 1) or "")
            case ast.Name():
                return self._of_name(module, expression, depth)
            case ast.Attribute():
                return self._of_attribute(module, expression, depth)
            case ast.BoolOp(values=values):
                found = (self.of(module, value, depth + 1) for value in values)
                return next((kind for kind in found if kind), None)
            case ast.IfExp(body=body, orelse=orelse):
                return self.of(module, body, depth + 1) or self.of(module, orelse, depth + 1)
        return None

    def _of_call(self, module: Module, call: ast.Call, depth: int) -> str | None:
        dotted = self._index.resolve(module, call.func)
        if dotted is not None:
            if dotted in MAKERS:
                return MAKERS[dotted]
            if dotted in self._index.classes:
                return dotted
            if dotted in ("contextlib.nullcontext", "contextlib.closing") and call.args:
                return self.of(module, call.args[0], depth + 1)
            if dotted.split(".")[-1] == "Depends" and call.args:
                return self._of_dependency(module, call.args[0], depth)
            home, _ = self._index.tree.split(dotted, module)
            library, _, name = dotted.rpartition(".")
            if library in ("httpx", "requests") and name in HTTP_VERBS:
                return f"{library}.Response"
            if home is None:
                last = dotted.rsplit(".", 1)[-1]
                return dotted if last[:1].isupper() and not last.isupper() else None
        maker = call.func.value if isinstance(call.func, ast.Attribute) and call.func.attr == "begin" else call.func
        made = self._of_session_maker(module, maker, depth)
        if made is not None:
            return made
        if isinstance(call.func, ast.Attribute):
            owner = self.of(module, call.func.value, depth + 1)
            if (owner or "", call.func.attr) in DATABASE_RESULTS:
                return DATABASE_RESULTS[owner or "", call.func.attr]
            if owner in RESPONSES and call.func.attr in HTTP_VERBS:
                return RESPONSES[owner]
            if owner is None or owner in SESSIONS:
                found = object_of(self._index, module, call)
                if found is not None:
                    return found
            if call.func.attr in ("enter_async_context", "enter_context") and call.args:
                return self.of(module, call.args[0], depth + 1)
        function = self._index.named_function(module, call.func)
        if function is None:
            return None
        return self.result(function, depth + 1) or self._given_back(module, call, function, depth)

    def _given_back(self, module: Module, call: ast.Call, function: Function, depth: int) -> str | None:
        """The kind of the first argument, where a function of the target does nothing but give that back."""
        names = [argument.arg for argument in parameters(function.node)]
        returns = [node.value for node in own_nodes(function.node) if isinstance(node, ast.Return)]
        if not names or not returns or not call.args:
            return None
        gives_back = all(isinstance(value, ast.Name) and value.id == names[0] for value in returns)
        return self.of(module, call.args[0], depth + 1) if gives_back else None

    def _of_session_maker(self, module: Module, maker: ast.expr, depth: int) -> str | None:
        """The session that calling a `sessionmaker` gives; its `class_` tells a sync one from an async one."""
        kind = self.of(module, maker, depth + 1)
        if kind in SCOPED_SESSIONS:
            return kind
        if kind not in SESSION_MAKERS:
            return None
        home, built = assigned(self._index, module, maker)
        for keyword in built.keywords if isinstance(built, ast.Call) else []:
            named = self._index.resolve(home, keyword.value) if keyword.arg == "class_" else None
            if named and "AsyncSession" in named:
                return MAKERS.get(named, named) if MAKERS.get(named, named) in ASYNC_SESSIONS else None
        is_async = kind == "sqlalchemy.ext.asyncio.async_sessionmaker"
        if built is None and not is_async and makes_async_sessions(self._index):
            return None  # which of both it is cannot be told
        return "sqlalchemy.ext.asyncio.AsyncSession" if is_async else "sqlalchemy.orm.Session"

    def client(self, module: Module, expression: ast.AST) -> str | None:
        """The HTTP client that a value is, one that the target derives from a library's included.

        Not one whose own `get` or `request` looks at timeouts or statuses: it has rules of its own.
        """
        kind = self.of(module, expression)
        for _ in range(MOST_BASES):
            info = self._index.classes.get(kind or "")
            if info is None or any(_has_rules(info.methods[verb].node) for verb in HTTP_VERBS & info.methods.keys()):
                break
            kind = self._index.resolve(info.module, info.bases[0]) if info.bases else None
            kind = MAKERS.get(kind or "", kind)
        return kind if kind in HTTP_CLIENTS else None

    def _of_dependency(self, module: Module, provider: ast.expr, depth: int) -> str | None:
        dotted = self._index.resolve(module, provider)
        if dotted in self._index.classes:
            return dotted
        function = self._index.named_function(module, provider)
        return self.result(function, depth + 1) if function is not None else None

    def result(self, function: Function, depth: int = 0) -> str | None:
        """The class of what a function of the target returns or yields."""
        kind: str | None = self.answers.of(function, self._find_result, function, depth)
        return kind

    def _find_result(self, function: Function, depth: int) -> str | None:
        if function.node.returns is not None:
            declared = self.annotated(function.module, function.node.returns)
            if declared is not None:
                return declared
        given: tuple[ast.Return | ast.Yield, ...] = own_of(function.node, ast.Return, ast.Yield)
        values = (node.value for node in given if node.value is not None)
        kinds = (self.of(function.module, value, depth + 1) for value in values)
        return next((kind for kind in kinds if kind is not None), None)

    def annotated(self, module: Module, annotation: ast.expr) -> str | None:
        """The class that an annotation names; unions with None and usual wrappers are looked into."""
        match annotation:
            case ast.Constant(value=str(text)):
                try:
                    return self._of_text(module, parse_expression(text))
                except SyntaxError:
                    return None
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return self.annotated(module, left) or self.annotated(module, right)
            case ast.Subscript(value=value, slice=inner):
                outer = (module.resolve(value) or "").rsplit(".", 1)[-1]
                if outer not in WRAPPERS:
                    return None
                first = inner.elts[0] if isinstance(inner, ast.Tuple) and inner.elts else inner
                return self.annotated(module, first)
            case ast.Name() | ast.Attribute():
                dotted = self._index.resolve(module, annotation)
                return self._known_class(dotted) or self._of_alias(module, dotted)
        return None

    def _of_alias(self, module: Module, dotted: str | None) -> str | None:
        """`SessionDep = Annotated[AsyncSession, Depends(…)]`, kept under a name and used as an annotation."""
        home, name = self._index.tree.split(dotted or "", module)
        value = getattr(home.globals.get(name), "value", None) if home is not None else None
        return self.annotated(home, value) if home is not None and isinstance(value, ast.Subscript) else None

    def _of_text(self, module: Module, expression: ast.expr) -> str | None:
        """A quoted annotation: its names have no place in the tree, so only plain ones are looked up."""
        if isinstance(expression, ast.BinOp):
            return self._of_text(module, expression.left)
        if isinstance(expression, ast.Name):
            if expression.id in module.globals:
                return self._known_class(f"{module.dotted}.{expression.id}")
            return self._known_class(module.imports.get(expression.id))
        if isinstance(expression, ast.Attribute):
            inner = self._index.resolve(module, expression)
            return self._known_class(inner)
        return None

    def _known_class(self, dotted: str | None) -> str | None:
        if dotted is None:
            return None
        dotted = self._index.tree.canonical(dotted)
        if dotted in self._index.classes or dotted in DATABASE_CLASSES:
            return DATABASE_CLASSES.get(dotted, dotted)
        if "." not in dotted or self._index.tree.split(dotted)[0] is not None:
            return None
        return MAKERS.get(dotted, dotted) if dotted.rsplit(".", 1)[-1][:1].isupper() else None

    def bindings(self, function: FunctionNode) -> dict[str, list[ast.AST]]:
        """For each local name the expressions that are bound to it in the function."""
        if function in self._bindings:
            return self._bindings[function]
        self._bindings[function] = found = bound_in(function)
        return found

    def _of_name(self, module: Module, name: ast.Name, depth: int) -> str | None:
        for around in module.functions_around(name):
            if name.id in ("self", "cls") and parameters(around)[:1] and parameters(around)[0].arg == name.id:
                return self._own_class(module, around)
            if name.id in module.local_names(around):
                return self._of_local(module, around, name.id, depth)
        dotted = self._index.resolve(module, name)
        return self._of_global(module, dotted, depth) if dotted else None

    def _own_class(self, module: Module, function: FunctionNode) -> str | None:
        parent = module.parent(function)
        if not isinstance(parent, ast.ClassDef):
            return None
        owner = self._index.function_of(function)
        return f"{module.dotted}.{owner.qualname.rsplit('.', 1)[0]}"

    def _of_local(self, module: Module, function: FunctionNode, name: str, depth: int) -> str | None:
        for value in self.bindings(function).get(name, []):
            kind = self.of(module, value, depth + 1)
            if kind is not None:
                return kind
        kind = self._of_turn(module, function, name) or self._of_declared(module, function, name)
        if kind is not None:
            return kind
        arguments = function.args
        positional = [*arguments.posonlyargs, *arguments.args]
        defaults = dict(zip([a.arg for a in positional][::-1], arguments.defaults[::-1], strict=False))
        keyword_only = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        defaults |= {argument.arg: value for argument, value in keyword_only if value is not None}
        for argument in parameters(function):
            if argument.arg == name:
                annotation = argument.annotation
                kind = self.annotated(module, annotation) if annotation is not None else None
                if kind is None and isinstance(defaults.get(name), ast.Call):
                    kind = self.of(module, defaults[name], depth + 1)
                if kind is None and annotation is None:
                    kind = self._of_given(module, function, name, depth)
                return kind
        return None

    def _of_declared(self, module: Module, function: FunctionNode, name: str) -> str | None:
        """What a local variable is declared as: `crm: Crm = request.app.state.crm`."""
        for node in own_of(function, ast.AnnAssign):
            if isinstance(node.target, ast.Name) and node.target.id == name:
                return self.annotated(module, node.annotation)
        return None

    def _of_given(self, module: Module, function: FunctionNode, name: str, depth: int) -> str | None:
        """What the tree hands to a function, where all callers agree: `Hooks(Service())`, `profile(session)`."""
        kinds: set[str | None] = set()
        for where, given in given_to(self._index, self._index.function_of(function), name):
            kinds.add(self.of(where, given, depth + 1) if given is not None else None)
            if len(kinds) > 1:
                return None
        return kinds.pop() if kinds else None

    def _of_turn(self, module: Module, function: FunctionNode, name: str) -> str | None:
        """The mapped class that a loop goes through: `for lead in (await session.scalars(…)).all():`."""
        for node in own_of(function, ast.For):
            if isinstance(node.target, ast.Name) and node.target.id == name:
                model = objects_of(self._index, module, node.iter)
                if model is not None and model.is_class:
                    return model.dotted
        return None

    def _of_global(self, module: Module, dotted: str, depth: int) -> str | None:
        home, name = self._index.tree.split(dotted, module)
        statement = home.globals.get(name) if home is not None else None
        if home is None or statement is None:
            return None
        if isinstance(statement, ast.AnnAssign):
            kind = self.annotated(home, statement.annotation)
            if kind is not None:
                return kind
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            if isinstance(statement.value, ast.Constant) and statement.value.value is None:
                return self._of_late(home, name, depth)
            return self.of(home, statement.value, depth + 1)
        return None

    def _of_late(self, module: Module, name: str, depth: int) -> str | None:
        """What a function puts into a global that begins as None: `global client; client = Client()`."""
        for statement in module.nodes(ast.Global):
            function = module.enclosing_function(statement)
            if name not in statement.names or function is None:
                continue
            for node in own_nodes(function):
                targets = node.targets if isinstance(node, ast.Assign) else []
                if isinstance(node, ast.Assign) and name in {t.id for t in targets if isinstance(t, ast.Name)}:
                    kind = self.of(module, node.value, depth + 1)
                    if kind is not None:
                        return kind
        return None

    def _of_attribute(self, module: Module, attribute: ast.Attribute, depth: int) -> str | None:
        dotted = self._index.resolve(module, attribute)
        if dotted is not None:
            found = self._of_global(module, dotted, depth)
            if found is not None:
                return found
        owner = self.of(module, attribute.value, depth + 1)
        if (owner or "", attribute.attr) in DATABASE_ATTRIBUTES:
            return DATABASE_ATTRIBUTES[owner or "", attribute.attr]
        if owner in self._index.classes:
            return self._of_member(owner or "", attribute.attr, depth)
        return self._agreed(attribute.attr, depth) if is_state(self._index, module, attribute.value) else None

    def _agreed(self, name: str, depth: int) -> str | None:
        """What the tree keeps under a name in a state of the application's or the request's, where all agree."""
        kinds = {self.of(module, value, depth + 1) for module, value in put_into_state(self._index, name)}
        return kinds.pop() if len(kinds) == 1 else None

    def _of_member(self, owner: str, name: str, depth: int) -> str | None:
        """What an attribute of a class of the target is, where the class or one of its bases assigns it."""
        info = self._index.classes.get(owner)
        if info is None or depth > MAX_DEPTH:
            return None
        if name in info.annotations:
            kind = self.annotated(info.module, info.annotations[name])
            if kind is not None:
                return kind
        if name in info.attributes:
            return self.of(info.module, info.attributes[name], depth + 1)
        if name in info.methods and is_property(info.methods[name]):
            return self.result(info.methods[name], depth + 1)
        for base in info.bases:
            dotted = self._index.resolve(info.module, base)
            kind = self._of_member(dotted, name, depth + 1) if dotted else None
            if kind is not None:
                return kind
        return None


def _has_rules(method: FunctionNode) -> bool:
    return any(word in unparsed(method) for word in ("timeout", "status"))
