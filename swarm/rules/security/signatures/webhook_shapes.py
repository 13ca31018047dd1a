"""What a target's code shows of its webhooks: who signs them, where a delivery's id and time stand, its bodies."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from swarm.analysis.added_modules import is_added
from swarm.analysis.index import Function, Index, Route
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.reading.keyed import keyed_read
from swarm.analysis.reading.mentions import holds
from swarm.analysis.routes.header_parameters import header_parameters
from swarm.analysis.source import Module, parameters
from swarm.rules.security.guards.judging import compares_signature

BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True, slots=True)
class Sender:
    """A sender of webhooks, known by its signature's header: where its documents put a delivery's id and time.

    `time_field` is empty where the signature itself covers a time, or nothing does.
    """

    name: str
    signature_header: str
    id_headers: tuple[str, ...] = ()
    id_fields: tuple[str, ...] = ()
    time_field: str = ""


SENDERS = (
    Sender("HighLevel", "x-ghl-signature", id_fields=("webhookId",), time_field="timestamp"),
    Sender("HighLevel", "x-wh-signature", id_fields=("webhookId",), time_field="timestamp"),
    Sender("GitHub", "x-hub-signature-256", id_headers=("x-github-delivery",)),
    Sender("Shopify", "x-shopify-hmac-sha256", id_headers=("x-shopify-webhook-id",)),
    Sender("Standard Webhooks", "webhook-signature", id_headers=("webhook-id",)),
    Sender("Svix", "svix-signature", id_headers=("svix-id",)),
    Sender("Stripe", "stripe-signature", id_fields=("id",)),
    Sender("Slack", "x-slack-signature", id_fields=("event_id",)),
    Sender("Linear", "linear-signature", id_headers=("linear-delivery",), time_field="webhookTimestamp"),
    Sender("Paddle", "paddle-signature", id_fields=("event_id",)),
    Sender("Square", "x-square-hmacsha256-signature", id_fields=("event_id",)),
    Sender("Razorpay", "x-razorpay-signature", id_headers=("x-razorpay-event-id",)),
    Sender("PayPal", "paypal-transmission-sig", id_fields=("id",)),
)
# headers whose names say that they number deliveries; a name such as event_id in a body may number anything
# a webhook's id is often that of the subscription, the same in every delivery: known senders' alone are taken for one
_ID_HEADER = re.compile(r"^(x-)?([a-z0-9]+-)*(delivery|delivery-id|event-id|event-uuid)$")
_READERS = ("headers", "META")
_OTHER_BODIES = (
    r"\.form\(|\brequest\.(form|files|values|stream)\b|UploadFile|\b(Form|File)\(|parse_qsl?\(|multipart|\.stream\(\)"
    r"|ElementTree|xmltodict|lxml|defusedxml|\bcsv\.(reader|DictReader)|protobuf|msgpack|\.parse_form"
)
_FORMS = re.compile(r"\brequest\.(form|files|values)\b|\.form\(\)|UploadFile|\b(Form|File)\(")
_OF_SENDERS = r"\bhmac\b|signature|ed25519|webhook|svix"
_RAW_BODY = re.compile(r"\.(body|stream)\(\)|\.get_data\(|\brequest\.data\b|wsgi\.input")


META = Sender("Meta", "x-hub-signature-256")
_META_ALONE = frozenset({"hub.challenge", "hub.verify-token", "hub.mode"})  # it asks so before it sends anything


def senders(index: Index) -> tuple[Sender, ...]:
    """The known senders whose signature header the code names; Meta (WhatsApp, Messenger) signs as GitHub does."""
    texts = _texts(index)
    is_meta = bool(texts & _META_ALONE) and not any(text.startswith("x-github-") for text in texts)
    named = [sender for sender in SENDERS if sender.signature_header in texts]
    return tuple(META if is_meta and sender.signature_header == META.signature_header else sender for sender in named)


def _texts(index: Index) -> frozenset[str]:
    """Every short string of the code, lower case, with `-` for `_` (Flask's environ writes HTTP_X_…)."""
    known = index.notes.get("webhook-texts")
    if not isinstance(known, frozenset):
        known = frozenset(
            node.value.lower().replace("_", "-").removeprefix("http-")
            for module in index.tree.modules.values()
            for node in module.nodes(ast.Constant)
            if isinstance(node.value, str) and len(node.value) <= 60
        ) | frozenset(_header_parameters(index))
        index.notes["webhook-texts"] = known
    return known


def _header_parameters(index: Index) -> Iterator[str]:
    """Headers that FastAPI fills parameters from, and the names of all other parameters, as headers are written."""
    for route in index.routes:
        filled = header_parameters(index, route.function)
        for argument in parameters(route.function.node):
            yield filled.get(argument.arg, argument.arg.replace("_", "-")).lower()


def read_id_headers(index: Index) -> tuple[str, ...]:
    """Headers of requests that the code reads and whose names say that they number deliveries.

    What it writes into a header, or reads from an upstream's answer, says nothing of its own senders.
    """
    found: dict[str, None] = {}
    for function in sorted(index.reachable(), key=lambda one: (one.module.path, one.node.lineno)):
        for node in index.own_of(function, ast.Call, ast.Subscript):
            read = keyed_read(node)
            if read is not None:
                _note_header(found, function, *read)
    return tuple(found)


def _note_header(found: dict[str, None], function: Function, owner: ast.expr, key: ast.expr) -> None:
    if not isinstance(owner, ast.Attribute) or owner.attr not in _READERS:
        return
    is_headers = _is_request(owner.value, _request_names(function) | {"request"})
    if is_headers and isinstance(key, ast.Constant) and isinstance(key.value, str):
        name = key.value.lower()
        if _ID_HEADER.match(name):
            found.setdefault(name)


def _is_request(node: ast.expr, names: frozenset[str]) -> bool:
    return (isinstance(node, ast.Name) and node.id in names) or (
        isinstance(node, ast.Attribute) and node.attr == "request"
    )


def checks_signatures(index: Index) -> bool:
    """Whether code on a request's way compares what a sender shows; what it signs for others to check is no such
    thing, nor is a person's password."""
    return any(
        function.module.mentions(_OF_SENDERS) and compares_signature(index, function)
        for function in index.reachable()
    )


def body_routes(index: Index) -> tuple[Route, ...]:
    """The routes that take bodies."""
    return tuple(route for route in index.routes if set(route.methods) & BODY_METHODS)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A place that reads JSON from a request: `name` is what the payload is called there, empty where it has none.

    `call` may be an attribute: Flask's `request.json`.
    """

    function: Function
    call: ast.expr
    name: str


def json_readers(index: Index) -> tuple[Parsed, ...]:
    """Every place on a request's way that parses the request's body as JSON."""
    if "json readers" not in index.notes:
        index.notes["json readers"] = _find_json_readers(index)
    return cast("tuple[Parsed, ...]", index.notes["json readers"])


def _find_json_readers(index: Index) -> tuple[Parsed, ...]:
    return tuple(
        Parsed(function, node, _name_of(function.module, node))
        for function in sorted(index.reachable(), key=lambda one: (one.module.path, one.node.lineno))
        if not is_added(function.module)
        for node in index.own_of(function, ast.Call, ast.Attribute)
        if (isinstance(node, ast.Call) and _reads_body(index, function, node))
        or (isinstance(node, ast.Attribute) and _is_flask_json(index, function, node))
    )


def _is_flask_json(index: Index, function: Function, node: ast.Attribute) -> bool:
    """`request.json` of Flask, and of what is annotated as its request; what is called, is told as a call."""
    if node.attr != "json" or not isinstance(node.ctx, ast.Load):
        return False
    around = function.module.parent(node)
    if isinstance(around, ast.Call) and around.func is node:
        return False
    if index.resolve(function.module, node.value) in ("flask.request", "flask.globals.request"):
        return True
    notes = {a.arg: a.annotation for a in parameters(function.node) if a.annotation is not None}
    note = notes.get(node.value.id) if isinstance(node.value, ast.Name) else None
    return note is not None and index.resolve(function.module, note) in ("flask.Request", "flask.wrappers.Request")


def _reads_body(index: Index, function: Function, call: ast.Call) -> bool:
    if isinstance(call.func, ast.Attribute) and call.func.attr in ("json", "get_json"):
        owner = unparsed(call.func.value)
        return owner == "request" or owner.endswith(".request") or owner in _request_names(function)
    if call.args and index.resolve(function.module, call.func) in ("json.loads", "orjson.loads", "ujson.loads"):
        given = unparsed(call.args[0])
        return re.search(r"\b(raw_?)?(body|payload|raw|data|content)\b|request", given, re.IGNORECASE) is not None
    return False


def _request_names(function: Function) -> frozenset[str]:
    return frozenset(
        argument.arg for argument in parameters(function.node)
        if argument.annotation is not None and unparsed(argument.annotation).endswith("Request")
    )  # fmt: skip


def _name_of(module: Module, call: ast.expr) -> str:
    """What the parsed payload itself is called; "" where only something made of it is kept."""
    statement = module.statement(call)
    value = getattr(statement, "value", None)
    choices = value.values if isinstance(value, ast.BoolOp) else [value]
    if not any(choice is call or (isinstance(choice, ast.Await) and choice.value is call) for choice in choices):
        return ""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        return getattr(statement.targets[0], "id", "")
    return getattr(statement.target, "id", "") if isinstance(statement, ast.AnnAssign) else ""


def takes_objects_only(index: Index) -> bool:
    """Whether every route with a body reads a JSON object: its payload is asked by keys where it is parsed.

    A route whose parameters the framework validates (models, `dict`) checks that by itself.
    """
    readers = {reader.function: reader for reader in json_readers(index)}
    routes = body_routes(index)
    if not routes or not readers:
        return False
    for route in routes:
        used = [readers[function] for function in _all_from(index, route.function) if function in readers]
        if used and not all(_is_asked_by_keys(index, reader) for reader in used):
            return False
        if not used and not _is_validated(route) and not _reads_forms(index, route):
            return False
    return True


def _reads_forms(index: Index, route: Route) -> bool:
    """Whether a route reads forms, which JSON is never taken for, or no body at all."""
    texts = [unparsed(function.node) for function in _all_from(index, route.function)]
    is_raw = any(_RAW_BODY.search(text) or ".json" in text for text in texts)
    return any(_FORMS.search(text) for text in texts) or not is_raw


def every_route_reads_json(index: Index) -> bool:
    """Whether no route with a body does without JSON, so that an empty body is good for none."""
    readers = {reader.function for reader in json_readers(index)}
    routes = body_routes(index)
    return bool(routes) and all(
        any(function in readers for function in _all_from(index, route.function)) or _has_model(index, route)
        for route in routes
    )


def bodies_are_json(index: Index) -> bool:
    """Whether no code reads a body that is anything else than JSON."""
    readers = {reader.function for reader in json_readers(index)}
    if any(holds(module.text, _OTHER_BODIES) for module in index.tree.modules.values()):
        return False
    for route in body_routes(index):
        used = _all_from(index, route.function)
        raw = any(_RAW_BODY.search(unparsed(function.node)) for function in used)
        if raw and not any(function in readers for function in used):
            return False
    return True


def _has_model(index: Index, route: Route) -> bool:
    """Whether FastAPI validates the route's body as a class of the target's or a dict."""
    notes = [argument.annotation for argument in parameters(route.function.node) if argument.annotation is not None]
    return route.framework == "fastapi" and any(
        index.resolve(route.function.module, note) in index.classes or unparsed(note).startswith(("dict", "Dict"))
        for note in notes
    )


def _all_from(index: Index, start: Function) -> list[Function]:
    seen, todo = {start: True}, [start]
    while todo:
        for used in index.mentions(todo.pop()):
            if used not in seen:
                seen[used] = True
                todo.append(used)
    return list(seen)


def _is_validated(route: Route) -> bool:
    """Whether a FastAPI route takes its body as a model, so that nothing is left to check but the text itself."""
    if route.framework != "fastapi":
        return False
    kinds = [unparsed(argument.annotation) for argument in parameters(route.function.node) if argument.annotation]
    # plain str and int come from the path or the query: FastAPI takes no body for them
    return not any(re.search(r"\b(Request|list|List|Sequence|Any|Body)\b", kind) for kind in kinds)


def _is_asked_by_keys(index: Index, reader: Parsed) -> bool:
    if not reader.name:
        return _parent_asks(reader.function.module, reader.call) or _receiver_asks(index, reader)
    if re.search(rf"isinstance\({re.escape(reader.name)}, [^)]*\b(list|List)\b", unparsed(reader.function.node)):
        return False
    return _asks(index, reader.function, reader.name, 0)


def _receiver_asks(index: Index, reader: Parsed) -> bool:
    """`parse(event=request.json)`, where `parse` asks its parameter by keys."""
    module = reader.function.module
    node: ast.AST | None = module.parent(reader.call)
    node = module.parent(node) if isinstance(node, ast.Await | ast.keyword) else node
    if not isinstance(node, ast.Call):
        return False
    return any(
        argument is reader.call and _asks(index, called, name, 1)
        for called, given in _called_with(index, module, node)
        for name, argument in given
    )


def _parent_asks(module: Module, call: ast.expr) -> bool:
    """`(await request.json())["type"]`."""
    node: ast.AST | None = module.parent(call)
    if isinstance(node, ast.Await):
        node = module.parent(node)
    return isinstance(node, ast.Subscript) or (isinstance(node, ast.Attribute) and node.attr in ("get", "items"))


def _asks(index: Index, function: Function, name: str, depth: int) -> bool:
    """Whether the function, or one that it hands the value to, asks it by a text key."""
    for node in index.own_of(function, ast.Subscript, ast.Attribute, ast.Call):
        if isinstance(node, ast.Subscript) and _is_name(node.value, name):
            if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
                return True
        elif isinstance(node, ast.Attribute) and node.attr in ("get", "items", "keys") and _is_name(node.value, name):
            return True
        elif isinstance(node, ast.Call) and depth < 3:
            if _kept_and_asked(index, function.module, node, name):
                return True
            for called, given in _called_with(index, function.module, node):
                for its_name, argument in given:
                    if _is_name(argument, name) and _asks(index, called, its_name, depth + 1):
                        return True
    return False


def _kept_and_asked(index: Index, module: Module, call: ast.Call, name: str) -> bool:
    """Whether a class of the target is built of the value, keeps it, and asks it by keys in a method."""
    info = index.classes.get(index.kinds.of(module, call) or "")
    made = info.methods.get("__init__") if info is not None else None
    if info is None or made is None:
        return False
    by_name = [(keyword.arg, keyword.value) for keyword in call.keywords if keyword.arg]
    for its_name, argument in [*_by_position(made, call.args), *by_name]:
        if not _is_name(argument, name):
            continue
        notes = [unparsed(a.annotation) for a in parameters(made.node) if a.arg == its_name and a.annotation]
        is_declared = any(re.match(r"(typing\.)?([dD]ict|Mapping)\b", note) for note in notes)
        kept = [
            unparsed(target)
            for node in index.own_nodes(made)
            if isinstance(node, ast.Assign) and _is_name(node.value, its_name)
            for target in node.targets
            if isinstance(target, ast.Attribute)
        ]
        if any(_asks_kept(method, kept, is_declared) for method in info.methods.values()):
            return True
    return False


def _asks_kept(method: Function, kept: list[str], is_declared: bool) -> bool:
    """Whether a method asks what was kept by a text key; by any key, where it is declared to be a dict."""
    for node in walk(method.node):
        if isinstance(node, ast.Subscript) and unparsed(node.value) in kept:
            is_text = isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)
            if is_text or (is_declared and not isinstance(node.slice, ast.Slice | ast.Constant)):
                return True
        is_asked = isinstance(node, ast.Attribute) and node.attr in ("get", "items", "keys")
        if is_asked and unparsed(getattr(node, "value", node)) in kept:
            return True
    return False


def _called_with(
    index: Index, module: Module, call: ast.Call
) -> Iterator[tuple[Function, list[tuple[str, ast.expr]]]]:
    """The functions that a call runs, each with its arguments by name; `submit(work, data)` runs the first of its
    own."""
    called = index.resolve_call(module, call)
    if called is not None:
        by_name = [(keyword.arg, keyword.value) for keyword in call.keywords if keyword.arg]
        yield called, [*_by_position(called, call.args), *by_name]
    handed = index.named_function(module, call.args[0]) if call.args else None
    if handed is not None:
        yield handed, _by_position(handed, call.args[1:])


def _by_position(called: Function, given: list[ast.expr]) -> list[tuple[str, ast.expr]]:
    names = [argument.arg for argument in called.node.args.args if argument.arg not in ("self", "cls")]
    return list(zip(names, given, strict=False))


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
