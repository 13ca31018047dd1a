"""One parsed file of the target: offsets, parents, imports, names."""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Iterator
from functools import cached_property
from typing import TypeVar, cast

from swarm.analysis.edits import Edit
from swarm.analysis.layout import (
    FunctionNode,
    Layout,
    own_nodes,
    own_of,
    parameters,
    place_of,
    unparsed,
    walk,
    within,
)
from swarm.analysis.reading.mentions import holds, in_small_letters
from swarm.analysis.reading.parsing import parse_module

__all__ = ["FunctionNode", "Module", "own_nodes", "own_of", "parameters", "unparsed", "walk", "within"]

N = TypeVar("N", bound=ast.AST)
BUILTINS = frozenset(dir(builtins))


class Module:
    """One parsed file. Offsets are in characters, lines count from 1, `path` is relative with `/`."""

    def __init__(self, path: str, text: str, tree: ast.Module, dotted: str) -> None:
        self.path = path
        self.text = text
        self.tree = tree
        self.dotted = dotted
        self.lines = text.split("\n")
        self._starts = [0]
        for line in self.lines:
            self._starts.append(self._starts[-1] + len(line) + 1)
        self._layout = Layout(tree)
        self._by_type: dict[type[ast.AST], list[ast.AST]] = {}
        self._locals: dict[ast.AST, frozenset[str]] = {}
        self._resolved: dict[ast.AST, str | None] = {}  # many trees share a module
        self._mentioned: dict[str, bool] = {}
        self.imports = dict(self._read_imports())
        self.globals = self._read_globals()

    @property
    def is_package(self) -> bool:
        """Whether the file is an `__init__.py`."""
        return self.path.rsplit("/", 1)[-1] == "__init__.py"

    def _read_imports(self) -> Iterator[tuple[str, str]]:
        top = {id(node) for node in self.tree.body}
        found: list[tuple[bool, str, str]] = []
        for plain in self.nodes(ast.Import):
            for alias in plain.names:
                local = alias.asname or alias.name.split(".")[0]
                found.append((id(plain) in top, local, alias.name if alias.asname else local))
        for node in self.nodes(ast.ImportFrom):
            origin = self.import_origin(node)
            named = [alias for alias in node.names if alias.name != "*"]
            found += [(id(node) in top, a.asname or a.name, f"{origin}.{a.name}".lstrip(".")) for a in named]
        for _, local, origin in sorted(found, key=lambda item: item[0]):  # a top-level import wins
            yield local, origin

    def import_origin(self, node: ast.ImportFrom) -> str:
        """The dotted name of what an import names from, however many dots it begins with."""
        if not node.level:
            return node.module or ""
        package = self.dotted.split(".") if self.is_package else self.dotted.split(".")[:-1]
        kept = package[: len(package) - (node.level - 1)]
        return ".".join([*kept, *([node.module] if node.module else [])])

    def _read_globals(self) -> dict[str, ast.stmt]:
        names: dict[str, ast.stmt] = {}
        for node in _top_statements(self.tree.body):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names[node.name] = node
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    # `app.debug = True` binds no name: what `app` is, an earlier statement says
                    bound = (n for n in walk(target) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
                    names.update({name.id: node for name in bound})
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names[node.target.id] = node
        return names

    def nodes(self, kind: type[N]) -> list[N]:
        """Every node of exactly this type, in the order of the source."""
        if kind not in self._by_type:
            self._by_type[kind] = self._layout.all_of(kind)
        return cast("list[N]", self._by_type[kind])

    def parent(self, node: ast.AST) -> ast.AST | None:
        """The node around this one; None for the module."""
        place = place_of(node)
        return place[0].parent(place[1]) if place is not None else None

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around this one, innermost first."""
        place = place_of(node)
        return place[0].ancestors(place[1]) if place is not None else iter(())

    def enclosing_function(self, node: ast.AST) -> FunctionNode | None:
        """The innermost function around the node (not the node itself)."""
        place = place_of(node)
        return place[0].function_around(place[1]) if place is not None else None

    def functions_around(self, node: ast.AST) -> Iterator[FunctionNode]:
        """The functions around the node, innermost first."""
        around = self.enclosing_function(node)
        while around is not None:
            yield around
            around = self.enclosing_function(around)

    def enclosing_class(self, node: ast.AST) -> ast.ClassDef | None:
        """The innermost class around the node (not the node itself)."""
        for around in self.ancestors(node):
            if isinstance(around, ast.ClassDef):
                return around
        return None

    def statement(self, node: ast.AST) -> ast.stmt:
        """The innermost statement that holds the node, or the node itself. Raises ValueError where none does."""
        if isinstance(node, ast.stmt):
            return node
        for around in self.ancestors(node):
            if isinstance(around, ast.stmt):
                return around
        raise ValueError("the node is in no statement")

    def block_around(self, statement: ast.stmt) -> list[ast.stmt]:
        """The statements that it stands among, itself included; none where it stands in no such block."""
        parent = self.parent(statement)
        blocks = (getattr(parent, name, None) for name in ("body", "orelse", "finalbody"))
        return next((block for block in blocks if isinstance(block, list) and statement in block), [])

    def offset(self, lineno: int, byte_column: int) -> int:
        """The character offset of a place as `ast` counts it (columns in UTF-8 bytes)."""
        line = self.lines[lineno - 1]
        column = byte_column if line.isascii() else len(line.encode()[:byte_column].decode())
        return self._starts[lineno - 1] + column

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Offsets in `text` where the node begins and ends; decorators are not part of a function.

        Raises ValueError for a node that was not parsed from this text.
        """
        place = cast("ast.expr", node)
        end_line, end_column = place.end_lineno, place.end_col_offset
        if end_line is None or end_column is None:
            raise ValueError("the node has no place")
        return self.offset(place.lineno, place.col_offset), self.offset(end_line, end_column)

    def segment(self, node: ast.AST) -> str:
        """The node's own text."""
        start, end = self.span(node)
        return self.text[start:end]

    def line_start(self, lineno: int) -> int:
        """The offset at which a line begins; one past the last line gives the end of the text."""
        return min(self._starts[lineno - 1], len(self.text))

    def line(self, lineno: int) -> str:
        """The text of one line without its end."""
        return self.lines[lineno - 1] if 0 < lineno <= len(self.lines) else ""

    def indent(self, node: ast.AST) -> str:
        """The white space before the statement that holds the node."""
        line = self.lines[self.statement(node).lineno - 1]
        return line[: len(line) - len(line.lstrip())]

    def local_names(self, function: FunctionNode) -> frozenset[str]:
        """Parameters and names bound anywhere in the function, imports left out."""
        if function not in self._locals:
            self._locals[function] = frozenset(_bound_names(function))
        return self._locals[function]

    def resolve(self, expression: ast.AST) -> str | None:
        """Where a name comes from: "httpx.AsyncClient" for AsyncClient, httpx.AsyncClient or an alias.

        A name defined in this module gives "<dotted>.<name>", a builtin its own name, a local variable None.
        """
        try:
            return self._resolved[expression]
        except KeyError:
            return self._find_resolved(expression)

    def _find_resolved(self, expression: ast.AST) -> str | None:
        dotted: str | None = None
        if isinstance(expression, ast.Attribute):
            inner = self.resolve(expression.value)
            dotted = f"{inner}.{expression.attr}" if inner else None
        elif isinstance(expression, ast.Name):
            dotted = self._resolve_name(expression)
        self._resolved[expression] = dotted
        return dotted

    def _resolve_name(self, expression: ast.Name) -> str | None:
        name = expression.id
        if name not in self.globals and name not in self.imports and name not in BUILTINS:
            return None  # a local variable, or nothing at all: most names are, and need no search
        if any(name in self.local_names(around) for around in self.functions_around(expression)):
            return None
        if name in self.globals:
            return f"{self.dotted}.{name}" if self.dotted else name
        return self.imports.get(name) or (name if name in BUILTINS else None)

    @cached_property
    def nameable(self) -> frozenset[str]:
        """What a name may stand for outside of a function: what the module imports, binds or defines."""
        return self.defined.union(self.imports, self.globals)

    @cached_property
    def nested_names(self) -> frozenset[str]:
        """Names that functions bind which hold other functions: those may use them too."""
        functions: list[FunctionNode] = [*self.nodes(ast.FunctionDef), *self.nodes(ast.AsyncFunctionDef)]
        around = {outer for outer in map(self.enclosing_function, functions) if outer is not None}
        return frozenset(name for outer in around for name in self.local_names(outer))

    @cached_property
    def defined(self) -> frozenset[str]:
        """The last names of all functions that the module defines, at whatever depth."""
        functions: list[FunctionNode] = [*self.nodes(ast.FunctionDef), *self.nodes(ast.AsyncFunctionDef)]
        return frozenset(node.name for node in functions)

    @cached_property
    def lower_text(self) -> str:
        """The text in small letters: searching it takes a fifth of the time of a search that minds no case."""
        return self.text.lower()

    def mentions(self, pattern: str) -> bool:
        """Whether the text holds the pattern (case does not matter)."""
        if pattern not in self._mentioned:
            self._mentioned[pattern] = holds(self.lower_text, in_small_letters(pattern))
        return self._mentioned[pattern]

    @cached_property
    def head_imports(self) -> tuple[ast.Import | ast.ImportFrom, ...]:
        """The module's imports before its first definition and before it makes an object of a library's class.

        Imports further down bind their names too late for what stands above them: `app = Flask(__name__)` is often
        followed by `from . import views`.
        """
        head: list[ast.Import | ast.ImportFrom] = []
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or self._makes_object(node):
                break
            if isinstance(node, ast.Import | ast.ImportFrom):
                head.append(node)
        return tuple(head)

    def _makes_object(self, node: ast.stmt) -> bool:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if not isinstance(value, ast.Call):
            return False
        package, _, rest = (self.resolve(value.func) or "").partition(".")
        name = rest.rpartition(".")[2]
        return name[:1].isupper() and package not in sys.stdlib_module_names

    def insert_import(self, statement: str) -> Edit:
        """Add an import line to the head: standard library ones among their like, others last; nothing if there."""
        wanted = ast.dump(parse_module(statement).body[0])
        imports: list[ast.Import | ast.ImportFrom] = list(self.head_imports)
        if any(ast.dump(node) == wanted for node in imports):
            return Edit(0, 0, "")
        imports = [n for n in imports if not (isinstance(n, ast.ImportFrom) and n.module == "__future__")]
        if not imports:
            return self._insert_first_import(statement)
        is_plain = statement.startswith("import ")
        if statement.split()[1].split(".")[0] not in sys.stdlib_module_names:
            last = imports[-1]
            return Edit(*(2 * (self.line_start((last.end_lineno or last.lineno) + 1),)), statement + "\n")
        standard = [n for n in imports if _is_standard(n)]
        if not standard:
            first = self.line_start(imports[0].lineno)
            return Edit(first, first, statement + "\n\n")
        for node in standard:
            after_plain = is_plain and isinstance(node, ast.ImportFrom)
            same_form = is_plain == isinstance(node, ast.Import)
            if after_plain or (same_form and self.segment(node) > statement):
                return Edit(*(2 * (self.line_start(node.lineno),)), statement + "\n")
        end = standard[-1].end_lineno or standard[-1].lineno
        return Edit(*(2 * (self.line_start(end + 1),)), statement + "\n")

    def _insert_first_import(self, statement: str) -> Edit:
        line = 0
        for node in self.tree.body:
            is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and line == 0
            if not is_docstring and not isinstance(node, ast.ImportFrom):
                break
            line = node.end_lineno or node.lineno
        while line == 0 and self.lines[0].startswith("#!"):
            line = 1
        at = self.line_start(line + 1) if line else 0
        lead = "\n" if line else ""
        if line and at and not self.text[:at].endswith("\n"):
            lead = "\n\n"
        tail = "" if line and self.text[at : at + 1] in ("\n", "") else "\n"
        return Edit(at, at, f"{lead}{statement}\n{tail}")


def _top_statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of module level, those inside of `if` and `try` as well."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from _top_statements([*node.body, *node.orelse])


def _is_standard(node: ast.Import | ast.ImportFrom) -> bool:
    if isinstance(node, ast.ImportFrom):
        return not node.level and (node.module or "").split(".")[0] in sys.stdlib_module_names
    return node.names[0].name.split(".")[0] in sys.stdlib_module_names


def _bound_names(function: FunctionNode) -> Iterator[str]:
    yield from (argument.arg for argument in parameters(function))
    outside = {name for node in own_of(function, ast.Global) for name in node.names}
    bound = [node.id for node in own_of(function, ast.Name) if type(node.ctx) is not ast.Load]
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler)
    bound += [getattr(node, "name", None) or "" for node in own_of(function, *definitions)]
    yield from (name for name in bound if name not in outside)
