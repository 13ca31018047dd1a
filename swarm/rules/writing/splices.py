"""Pieces that mends share: free names, places for new code, calls rewritten as text."""

from __future__ import annotations

import ast

from swarm.analysis.edits import Edit
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import FunctionNode, Module

WIDTH = 100
ENVIRONMENT_FILLERS = frozenset({"load_dotenv", "read_env", "read_envfile", "load_env"})


def names_in(module: Module) -> set[str]:
    """Every name that the module uses or binds anywhere."""
    names = {node.id for node in module.nodes(ast.Name)} | {node.arg for node in module.nodes(ast.arg)}
    names |= set(module.imports) | set(module.globals)
    definitions: list[FunctionNode | ast.ClassDef] = [
        *module.nodes(ast.FunctionDef), *module.nodes(ast.AsyncFunctionDef), *module.nodes(ast.ClassDef)
    ]  # fmt: skip
    return names | {node.name for node in definitions} | {node.attr for node in module.nodes(ast.Attribute)}


def free_name(module: Module, wanted: str) -> str:
    """`wanted`, or with a number where the module has that name already."""
    taken = names_in(module)
    candidates = [wanted, *(f"{wanted}_{number}" for number in range(2, 100))]
    return next(name for name in candidates if name not in taken)


def fresh_name(module: Module, wanted: str, taken: set[str]) -> str:
    """The same, and none of those that are `taken`; it is taken then."""
    names = names_in(module) | taken
    candidates = [wanted, *(f"{wanted}_{number}" for number in range(2, 100))]
    found = next(name for name in candidates if name not in names)
    taken.add(found)
    return found


def import_as(module: Module, dotted: str) -> tuple[str, Edit | None]:
    """How the module names a library module ("asyncio"), and the edit that imports it where it does not yet."""
    for local, origin in module.imports.items():
        if origin == dotted and _is_top_import(module, local):
            return local, None
    return dotted, module.insert_import(f"import {dotted}")


def _is_top_import(module: Module, local: str) -> bool:
    return any(
        (alias.asname or alias.name.split(".")[0]) == local for node in module.head_imports for alias in node.names
    )


def import_from(module: Module, package: str, name: str) -> tuple[str, Edit | None]:
    """How the module names `package.name`, and the edit `from package import name` where it has none yet."""
    for local, origin in module.imports.items():
        if origin == f"{package}.{name}" and _is_top_import(module, local):
            return local, None
    return name, module.insert_import(f"from {package} import {name}")


def before_definitions(module: Module, code: str) -> Edit:
    """New top-level code before the first function or class, after all imports and constants there."""
    for node in module.tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            line = first_line(node)
            while line > 1 and module.line(line - 1).lstrip().startswith("#"):
                line -= 1
            at = module.line_start(line)
            return Edit(at, at, code.strip("\n") + "\n\n\n")
    at = len(module.text)
    return Edit(at, at, "\n\n" + code.strip("\n") + "\n")


def after_imports(module: Module, code: str) -> Edit:
    """New top-level constants after the last import of the module's head, a blank line before them.

    Where the module reads a file of settings into the environment (`load_dotenv()`), they come after that: what
    they are set to may stand in it.
    """
    if not module.head_imports:
        return before_definitions(module, code)
    last: ast.stmt = module.head_imports[-1]
    for node in module.tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            break
        if node.lineno > last.lineno and _fills_environment(node):
            last = node
    at = module.line_start((last.end_lineno or last.lineno) + 1)
    return Edit(at, at, "\n" + code.strip("\n") + "\n")


def _fills_environment(node: ast.stmt) -> bool:
    """Whether a statement of module level calls `load_dotenv` or its like, behind an `if` too."""
    calls = (part.func for part in walk(node) if isinstance(part, ast.Call))
    return any(unparsed(func).rsplit(".", 1)[-1] in ENVIRONMENT_FILLERS for func in calls)


def first_line(node: FunctionNode | ast.ClassDef) -> int:
    """The first line of a definition, its decorators counted."""
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def arguments_text(module: Module, call: ast.Call) -> str:
    """The text between the call's parentheses, as it stands."""
    _, func_end = module.span(call.func)
    _, end = module.span(call)
    opening = module.text.index("(", func_end)
    return module.text[opening + 1 : end - 1]


def add_keyword(module: Module, call: ast.Call, keyword: str) -> Edit:
    """Add `name=value` as the last argument, in the call's own layout."""
    _, end = module.span(call)
    last = [*call.args, *(k.value for k in call.keywords)]
    if not last:
        return Edit(end - 1, end - 1, keyword)
    last_end = max(module.span(node)[1] for node in last)
    tail = module.text[last_end : end - 1]
    last_line = module.text.count("\n", 0, last_end)
    if "\n" not in tail:
        return Edit(last_end, last_end, f", {keyword}")
    last_node_line = module.lines[last_line]
    indent = _argument_indent(module, call) or last_node_line[: len(last_node_line) - len(last_node_line.lstrip())]
    comma = tail.find(",")
    hash_at = tail.find("#")
    if comma >= 0 and (hash_at < 0 or comma < hash_at):
        line_end = module.text.index("\n", last_end)
        line_end -= module.text[line_end - 1] == "\r"
        return Edit(line_end, line_end, f"\n{indent}{keyword},")
    return Edit(last_end, last_end, f",\n{indent}{keyword}")


def _argument_indent(module: Module, call: ast.Call) -> str:
    """The indent of the first argument that begins a line of its own."""
    arguments: list[ast.expr | ast.keyword] = [*call.args, *call.keywords]
    for node in arguments:
        line = module.line(node.lineno)
        lead = line[: len(line) - len(line.lstrip())]
        if module.offset(node.lineno, node.col_offset) == module.line_start(node.lineno) + len(lead):
            return lead
    return ""


def whole_lines(module: Module, node: ast.stmt) -> tuple[int, int]:
    """The offsets of the full lines that a statement takes, the last line's end included."""
    return module.line_start(node.lineno), module.line_start((node.end_lineno or node.lineno) + 1)


def is_alone(module: Module, node: ast.stmt) -> bool:
    """Whether the statement shares its lines with no other one (`a = 1; b = 2`, `if x: y`)."""
    start, end = module.span(node)
    before = module.text[module.line_start(node.lineno) : start]
    line_end = module.text.find("\n", end)
    after = module.text[end : line_end if line_end >= 0 else len(module.text)].strip()
    return not before.strip() and (not after or after.startswith("#"))


def is_atom(module: Module, node: ast.expr) -> bool:
    """Whether `.method()` may be written behind an expression as it stands, without brackets around it."""
    if isinstance(node, ast.JoinedStr | ast.Constant) and module.segment(node)[-1:] in ("'", '"'):
        text = module.segment(node)
        return text.count(text[-1]) == 2  # one text, not several side by side
    return isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.Subscript)
