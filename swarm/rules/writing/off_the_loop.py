"""The edits that move blocking work off the event loop: one call, or the whole body of a function."""

from __future__ import annotations

import ast

from swarm.analysis.edits import Edit
from swarm.analysis.index import Function
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module, parameters
from swarm.rules.writing.splices import arguments_text, first_line, free_name


def awaited_sleep(module: Module, call: ast.Call, asyncio_name: str) -> list[Edit]:
    """`time.sleep(s)` becomes `await asyncio.sleep(s)`."""
    return [Edit(*module.span(call.func), f"await {asyncio_name}.sleep")]


def moved_call(module: Module, call: ast.Call, asyncio_name: str) -> list[Edit]:
    """`f(x)` becomes `await asyncio.to_thread(f, x)`."""
    start, func_end = module.span(call.func)
    _, end = module.span(call)
    opening = module.text.index("(", func_end)
    given = arguments_text(module, call)
    function_text = module.segment(call.func)
    spread = given.startswith("\n")
    if spread:
        indent = given[1 : len(given) - len(given.lstrip())].rsplit("\n", 1)[-1]
        separator = f"\n{indent}{function_text},"
    else:
        separator = function_text + (", " if given.strip() else "")
    parent = module.parent(call)
    needs_parentheses = isinstance(parent, ast.Attribute | ast.Subscript | ast.Call) and not (
        isinstance(parent, ast.Call) and parent.func is not call
    )
    before, after = ("(", ")") if needs_parentheses else ("", "")
    edits = [Edit(start, opening + 1, f"{before}await {asyncio_name}.to_thread({separator}")]
    return [*edits, Edit(end, end, after)] if after else edits


def split_function(module: Module, function: Function, asyncio_name: str) -> list[Edit]:
    """The function's body becomes a sync one; an async one of its name, decorators and signature runs it."""
    node = function.node
    wanted = f"_{node.name.lstrip('_')}_blocking"
    inner = free_name(module, wanted)
    start = module.span(node)[0]
    head_line = module.line_start(first_line(node))
    indent = module.text[module.line_start(node.lineno) : start]
    decorators = module.text[head_line : module.line_start(node.lineno)]
    is_static = any(unparsed(d) in ("staticmethod", "classmethod") for d in node.decorator_list)
    body = list(node.body)
    first = body[0]
    docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and len(body) > 1
    body_line = module.line_start(first.lineno)
    header = module.text[start:body_line]
    opening = header.index("def ")
    signature = header[opening + 4 + len(node.name) :]
    edits = [Edit(head_line, start, indent)] if decorators else []
    edits.append(Edit(start, start + opening + 4 + len(node.name), f"def {inner}"))
    documentation = ""
    if docstring:
        end_line = module.line_start((first.end_lineno or first.lineno) + 1)
        documentation = module.text[body_line:end_line]
        next_line = module.line_start(body[1].lineno)
        blank = not module.text[end_line:next_line].strip()
        edits.append(Edit(body_line, next_line if blank else end_line, ""))
    in_class = function.class_name is not None and not is_static
    owner = f"{parameters(node)[0].arg}." if in_class and parameters(node) else ""
    given = _pass_on(node, skip_first=bool(owner))
    body_indent = indent + "    "
    wrapper = (
        f"{decorators}{indent}async def {node.name}{signature}{documentation}"
        f"{body_indent}return await {asyncio_name}.to_thread({', '.join([owner + inner, *given])})\n"
    )
    end = module.line_start((node.end_lineno or node.lineno) + 1)
    gap = "\n" if indent else "\n\n"
    lead = "" if module.text[:end].endswith("\n") else "\n"
    edits.append(Edit(end, end, lead + gap + wrapper))
    return edits


def _pass_on(node: ast.FunctionDef | ast.AsyncFunctionDef, *, skip_first: bool) -> list[str]:
    arguments = node.args
    positional = [argument.arg for argument in [*arguments.posonlyargs, *arguments.args]]
    given = positional[1:] if skip_first else positional
    given += [f"*{arguments.vararg.arg}"] if arguments.vararg else []
    given += [f"{argument.arg}={argument.arg}" for argument in arguments.kwonlyargs]
    return given + ([f"**{arguments.kwarg.arg}"] if arguments.kwarg else [])
