"""Finds the routes that senders call: their whole paths, and what a request to them looks like."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from swarm.analysis.constants import text_of
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.parts import Function, Route
from swarm.intake.values.examples import example_of, variants_of
from swarm.intake.values.models import example_of_model, model_class
from swarm.intake.values.shapes import Reader, Shape
from swarm.intake.webhooks.before_handlers import before_handler, verifies
from swarm.intake.webhooks.header_values import header_parameters, header_values

_LIKELY = re.compile(
    r"web_?hook|hook|event|callback|notif|ingest|incoming|inbound|receiv|alert|deliver", re.IGNORECASE
)
_UNLIKELY = re.compile(
    r"login|logout|auth|token|admin|upload|register|signup|password|session|graphql|metrics|settings|config"
    r"|replay|retry|test|simulate|subscri|dead.?letter|outgoing|delete|clear|reset|report|rules?$|set_?webhook",
    re.IGNORECASE,
)
_HEALTH = re.compile(
    r"/(api/)?(v\d+/)?(_*health\w*|healthz|livez?|ready\w*|ping|status|alive|heartbeat|up)/?$", re.IGNORECASE
)
_CONVERTER = re.compile(r"<(?:(\w+):)?(\w+)>|\{(\w+)(?::(\w+))?\}")
_MOST = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """One route for senders; `headers` are those that its code reads by name.

    `header_values` has what it compares them with, by their names in small letters.
    `template` is its whole path as the code writes it, `path` has a value for each of its parameters.
    Where `is_list`, senders deliver several events in one list, and `payloads` are its items.
    """

    route: Route
    template: str
    path: str
    method: str
    payloads: tuple[dict[str, Any], ...]
    is_form: bool
    score: int
    reached: frozenset[Function]
    headers: tuple[str, ...] = field(default_factory=tuple)
    header_values: dict[str, tuple[str, ...]] = field(default_factory=dict)
    is_list: bool = False


@dataclass(frozen=True, slots=True)
class Bodies:
    """Example bodies that the code tells; where `is_list`, they are items of the list that a body is."""

    examples: tuple[dict[str, Any], ...] = ()
    is_form: bool = False
    is_list: bool = False


def find_entries(index: Index) -> tuple[Entry, ...]:
    """The routes that look most like webhooks, at most four; where none does, those that take a body."""
    entries = [_entry(index, route) for route in index.routes if route.path and set(route.methods) & {"POST", "PUT"}]
    unique = {(entry.method, entry.path): entry for entry in sorted(entries, key=lambda e: e.score)}
    ranked = sorted(unique.values(), key=lambda e: -e.score)
    likely = [entry for entry in ranked if entry.score >= 2]
    likely = [entry for entry in likely if entry.method == "POST"] or likely
    return tuple((likely or [entry for entry in ranked if entry.score >= 0][:2])[:_MOST])


def health_path(index: Index) -> str | None:
    """The GET route that tells whether the service is well."""
    gets = [route.path for route in index.routes if "GET" in route.methods and not re.search("[{<]", route.path)]
    return next((path for path in sorted(gets, key=len) if _HEALTH.search(path)), None)


def _entry(index: Index, route: Route) -> Entry:
    function, path = route.function, route.path
    reached = frozenset(index.reaches(function) | before_handler(index, route))
    bodies = body_of(index, function)
    reads_body = bool(bodies.examples) or any(_reads_body(index, one) for one in reached)
    score = 2 * bool(_LIKELY.search(path) or _LIKELY.search(function.name))
    score -= 3 * bool(_UNLIKELY.search(_CONVERTER.sub("", path)))  # {bot_token} is whose webhook it is
    score += 2 * any(verifies(index, one) for one in reached) + reads_body
    score -= 2 * ("{" in path or "<" in path)
    method = "POST" if "POST" in route.methods else "PUT"
    ordered = sorted(reached, key=lambda f: f.dotted)
    headers = tuple(dict.fromkeys(name for one in ordered for name in headers_read(index, one, reached)))
    return Entry(
        route, path, _filled(path), method, bodies.examples, bodies.is_form, score, reached, headers,
        header_values(index, function), bodies.is_list,
    )  # fmt: skip


def _filled(path: str) -> str:
    """The path with a value for each of its parameters."""

    def value(found: re.Match[str]) -> str:
        kind, name = found[1] or found[4] or "", found[2] or found[3]
        return "{{int:1:50}}" if kind == "int" else "{{uuid}}" if "id" in name.lower() else "test"

    return _CONVERTER.sub(value, path)


def _reads_body(index: Index, function: Function) -> bool:
    for node in index.own_nodes(function):
        if isinstance(node, ast.Attribute) and node.attr in ("json", "body", "form", "get_json", "get_data", "data") \
                and unparsed(node.value).rsplit(".", 1)[-1] in ("request", "req"):  # fmt: skip
            return True
    return False


def headers_read(index: Index, function: Function, among: frozenset[Function]) -> Iterator[str]:
    """Names of headers that a function reads; those that it is told are taken from callers among these."""
    yield from (header for _, header in header_parameters(index, function))
    for node in index.own_nodes(function):
        given: ast.expr | None = None
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "get"
            and node.args
        ):
            owner, given = unparsed(node.func.value), node.args[0]
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            owner, given = unparsed(node.value), node.slice
        else:
            continue
        if owner.endswith("headers"):
            name = text_of(index, function.module, given)
            if name:
                yield name
            elif isinstance(given, ast.Name):
                yield from _passed(index, function, given.id, among)


def _passed(index: Index, function: Function, parameter: str, among: frozenset[Function]) -> Iterator[str]:
    """The texts that callers give to a parameter: a check that is told which header holds the signature."""
    arguments = function.node.args
    names = [a.arg for a in [*arguments.posonlyargs, *arguments.args] if a.arg not in ("self", "cls")]
    if parameter not in [*names, *(a.arg for a in arguments.kwonlyargs)]:
        return
    for caller in (one for one in index.callers(function) if one in among):
        for call in index.calls(caller):
            if index.resolve_call(caller.module, call) is not function:
                continue
            given = next((k.value for k in call.keywords if k.arg == parameter), None)
            if given is None and parameter in names[: len(call.args)]:
                given = call.args[names.index(parameter)]
            if text := text_of(index, caller.module, given):
                yield text


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
            is_list |= is_list_of(argument.annotation)
        elif argument.annotation is not None and re.match(r"(dict|Dict|Any)\b", unparsed(argument.annotation)):
            names[argument.arg] = shape
        elif is_list_of(argument.annotation, "dict", "Dict", "Any"):
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
    validated = _validated(index, function, shape)
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


def is_list_of(annotation: ast.expr | None, *names: str) -> bool:
    """Whether an annotation is a list, of one of these names where there are any."""
    if not isinstance(annotation, ast.Subscript):
        return False
    outer = unparsed(annotation.value).rsplit(".", 1)[-1]
    if outer in ("Annotated", "Optional") or (outer == "Union"):
        inner = annotation.slice.elts[0] if isinstance(annotation.slice, ast.Tuple) else annotation.slice
        return is_list_of(inner, *names)
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


def _validated(index: Index, function: Function, shape: Shape) -> dict[str, Any]:
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
