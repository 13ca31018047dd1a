"""Example bodies of a webhook, as its handler tells them: by a model, by the fields that it reads, by form fields."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.parts import Function
from swarm.intake.values.examples import example_of, variants_of
from swarm.intake.values.models import example_of_model, model_class
from swarm.intake.values.shapes import Reader, Shape


@dataclass(frozen=True, slots=True)
class Bodies:
    """Example bodies that the code tells; where `is_list`, they are items of the list that a body is."""

    examples: tuple[dict[str, Any], ...] = ()
    is_form: bool = False
    is_list: bool = False


def reads_body(index: Index, function: Function) -> bool:
    """Whether a function reads what a request carries."""
    for node in index.own_nodes(function):
        if isinstance(node, ast.Attribute) and node.attr in ("json", "body", "form", "get_json", "get_data", "data") \
                and unparsed(node.value).rsplit(".", 1)[-1] in ("request", "req"):  # fmt: skip
            return True
    return False


def body_of(index: Index, function: Function) -> Bodies:
    """Example bodies that the code itself tells: of a model in the signature, else of the fields that it reads."""
    shape = Shape()
    reader = Reader(index, shape, of_request=True)
    names: dict[str, Shape] = {}
    from_model: dict[str, Any] = {}
    is_list = False
    for argument in [*function.node.args.args, *function.node.args.kwonlyargs]:
        info = model_class(index, function.module, argument.annotation)
        if info is not None and not _is_depends(function, argument.arg):
            from_model |= example_of_model(index, info)
            is_list |= _is_list_of(argument.annotation)
        elif argument.annotation is not None and re.match(r"(dict|Dict|Any)\b", unparsed(argument.annotation)):
            names[argument.arg] = shape
        elif _is_list_of(argument.annotation, "dict", "Dict", "Any"):
            names[argument.arg] = shape
            shape.item()
        elif argument.annotation is not None and "Form(" in unparsed(argument.annotation):
            reader.reads_form = True
            shape.key(argument.arg)
    fields = list(_form_parameters(function))
    for name in fields:
        reader.reads_form = True
        shape.key(name)
    reader.read(function, names)
    is_form = bool(fields) or reader.is_form  # what it parses beside its fields is no body
    validated = _validated(index, function)
    if from_model or validated:
        return Bodies(({**from_model, **validated},), is_list=is_list)
    if not shape.known:
        return Bodies(is_form=is_form)
    if shape.items is not None and shape.items.fields and not shape.fields:  # a sender that delivers in batches
        shape, is_list = shape.items, True
    bodies: list[dict[str, Any]] = []
    for body in variants_of(shape):
        if isinstance(body, dict) and body not in bodies:
            bodies.append(body)
    single = example_of(shape)
    return Bodies(tuple(bodies or ([single] if isinstance(single, dict) else [])), is_form, is_list)


def _is_list_of(annotation: ast.expr | None, *names: str) -> bool:
    """Whether an annotation is a list, of one of these names where there are any."""
    if not isinstance(annotation, ast.Subscript):
        return False
    outer = unparsed(annotation.value).rsplit(".", 1)[-1]
    if outer in ("Annotated", "Optional") or (outer == "Union"):
        inner = annotation.slice.elts[0] if isinstance(annotation.slice, ast.Tuple) else annotation.slice
        return _is_list_of(inner, *names)
    of = unparsed(annotation.slice).partition("[")[0].rsplit(".", 1)[-1]
    return outer in ("list", "List", "Sequence") and (not names or of in names)


def _is_depends(function: Function, name: str) -> bool:
    arguments = function.node.args
    pairs = zip(reversed(arguments.args), reversed(arguments.defaults), strict=False)
    return any(a.arg == name and "Depends" in unparsed(d) for a, d in pairs)


def _form_parameters(function: Function) -> Iterator[str]:
    arguments = function.node.args
    for argument, default in zip(reversed(arguments.args), reversed(arguments.defaults), strict=False):
        if isinstance(default, ast.Call) and unparsed(default.func).rsplit(".", 1)[-1] == "Form":
            yield argument.arg


def _validated(index: Index, function: Function) -> dict[str, Any]:
    """The model that the handler itself makes of the body: `Event(**data)`, `Event.model_validate_json(raw)`."""
    for call in index.calls(function):
        func = call.func
        if isinstance(func, ast.Attribute) and func.attr in (
            "model_validate",
            "model_validate_json",
            "parse_obj",
            "parse_raw",
        ):
            func = func.value
        elif given := next((k.value for k in call.keywords if k.arg == "type"), None):
            func = given  # msgspec.json.decode(raw, type=Event)
        elif not any(keyword.arg is None for keyword in call.keywords):
            continue
        if isinstance(func, ast.Name | ast.Attribute):
            info = model_class(index, function.module, func)
            if info is not None:
                return example_of_model(index, info)
    return {}
