"""The rule uncaught-validation."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from swarm.analysis.added_modules import is_added
from swarm.analysis.edits import Edit
from swarm.analysis.index import Function, Index, Route
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module, parameters
from swarm.core.findings import Finding
from swarm.rules.answering.plain_data import is_model
from swarm.rules.examples import uncaught_validation as examples
from swarm.rules.rule import Mend, Rule, edited
from swarm.rules.security.signatures.webhook_shapes import body_routes, json_readers
from swarm.rules.security.surface.error_handlers import error_handlers
from swarm.rules.writing.splices import import_from

_OF_TEXT = ("model_validate_json", "parse_raw")
_OF_VALUES = ("model_validate", "parse_obj")
_RAW = ("body", "get_data")
_CATCHING = frozenset({"ValidationError", "ValueError", "Exception", "BaseException"})
_REFUSALS = {
    "fastapi": ("fastapi", "HTTPException", 'raise HTTPException(422, "invalid payload") from None'),
    "starlette": ("starlette.exceptions", "HTTPException", 'raise HTTPException(422, "invalid payload") from None'),
    "flask": ("flask", "abort", 'abort(422, "invalid payload")'),
}


@dataclass(frozen=True, slots=True)
class _Validation:
    """A payload that a handler validates by itself; what pydantic raises then is an error of the service."""

    route: Route
    call: ast.Call
    model: str


class UncaughtValidation(Rule):
    """A handler validates the payload itself (`Model.model_validate_json(body)`, `Model(**payload)`), as those do
    that check a signature over the raw body first. Nobody catches what pydantic raises: a payload of another shape
    is answered 500, as if the service were broken, and senders repeat it for days.

    The mend catches it around that one statement and answers 422, as FastAPI does for a payload that it validates
    itself; of the error nothing is told. Left alone where the application handles such errors for all routes.
    """

    id = "uncaught-validation"
    category = "security"
    severity = "medium"
    cwe = ("CWE-755", "CWE-20")
    title = "A payload of another shape is answered as an error of the service"
    sources = ("OWASP ASVS 5.0 16.5.3, 2.2.1",)
    bad = examples.BAD
    good = examples.GOOD

    def find(self, index: Index) -> Iterable[Finding]:
        """Every validation of a payload in a handler that nothing catches."""
        for one in _validations(index):
            function = one.route.function
            yield self.finding(
                function.module,
                one.call,
                evidence=f"{function.qualname} validates the payload as {one.model}, and nothing catches its "
                "ValidationError",
                recommendation="Answer 422 where the payload is not of the expected shape.",
                anchor=f"{function.qualname}: {one.model}",
                mendable=_statement(function.module, one.call) is not None,
            )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """The statement in a `try` of its own."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        edits: list[Edit] = []
        for one in _validations(index):
            statement = _statement(module, one.call)
            if one.route.function.module is not module or one.call.lineno not in lines or statement is None:
                continue
            package, name, refusal = _REFUSALS[one.route.framework]
            error, importing_error = import_from(module, "pydantic", "ValidationError")
            refuse, importing = import_from(module, package, name)
            edits += [edit for edit in (importing_error, importing) if edit is not None and edit not in edits]
            indent = module.indent(statement)
            start, end = module.span(statement)
            text = module.text[start:end].replace("\n", "\n    ")
            edits.append(
                Edit(
                    start, end,
                    f"try:\n{indent}    {text}\n{indent}except {error}:\n{indent}    {refusal.replace(name, refuse)}",
                )
            )  # fmt: skip
        if not edits:
            return None
        return Mend(
            "Answer 422 to a payload of another shape",
            "What the model refuses is the sender's mistake: it is answered 422 and no error of the service any "
            "more, so that nobody is woken by it and no sender repeats it. Good payloads go the way that they went.",
            (edited(module, edits),),
        )


def _validations(index: Index) -> Iterator[_Validation]:
    routes = [route for route in body_routes(index) if not is_added(route.function.module)]
    if not routes or _is_handled_for_all(index):
        return
    seen: set[ast.Call] = set()
    for route in routes:
        raw, parsed = _raw_names(index, route.function), _parsed_names(index, route.function)
        for call in index.calls(route.function):
            model = _validated(index, route.function, call, raw, parsed)
            if model and call not in seen and not _is_caught(route.function.module, call):
                seen.add(call)
                yield _Validation(route, call, model)


def _is_handled_for_all(index: Index) -> bool:
    """Whether the application answers errors of validation for all its routes."""
    handled = (one for module in index.tree.modules.values() for one in error_handlers(index, module))
    return any(one.kind.rsplit(".", 1)[-1] in _CATCHING for one in handled)


def _validated(index: Index, function: Function, call: ast.Call, raw: frozenset[str], parsed: frozenset[str]) -> str:
    """The name of the model that a call validates the request's payload with; "" where it does nothing like it."""
    target, given = call.func, ""
    if isinstance(target, ast.Attribute) and target.attr in (*_OF_TEXT, *_OF_VALUES) and len(call.args) == 1:
        if call.keywords:
            return ""
        given, known = unparsed(call.args[0]), raw if target.attr in _OF_TEXT else parsed
        target = target.value
    elif len(call.keywords) == 1 and call.keywords[0].arg is None and not call.args:
        given, known = unparsed(call.keywords[0].value), parsed
    else:
        return ""
    dotted = index.resolve(function.module, target)
    if given not in known or dotted is None or not is_model(index, dotted):
        return ""
    return dotted.rsplit(".", 1)[-1]


def _raw_names(index: Index, function: Function) -> frozenset[str]:
    """What the body's bytes are called in a handler: a parameter of bytes that FastAPI fills, or what was read."""
    found = {a.arg for a in parameters(function.node) if a.annotation is not None and _is_bytes(a.annotation)}
    for statement in index.own_of(function, ast.Assign):
        assert isinstance(statement, ast.Assign)
        value = statement.value.value if isinstance(statement.value, ast.Await) else statement.value
        read = value.func if isinstance(value, ast.Call) else value
        if isinstance(read, ast.Attribute) and (
            read.attr in _RAW if isinstance(value, ast.Call) else read.attr == "data"
        ) and unparsed(read.value).rsplit(".", 1)[-1] in ("request", "req"):  # fmt: skip
            found |= {target.id for target in statement.targets if isinstance(target, ast.Name)}
    return frozenset(found)


def _is_bytes(annotation: ast.expr) -> bool:
    text = unparsed(annotation).strip("'\"")
    return text == "bytes" or text.startswith("Annotated[bytes,")


def _parsed_names(index: Index, function: Function) -> frozenset[str]:
    return frozenset(one.name for one in json_readers(index) if one.function == function and one.name)


def _is_caught(module: Module, call: ast.Call) -> bool:
    inner: ast.AST = call
    for around in module.ancestors(call):
        if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return False
        if isinstance(around, ast.Try) and inner in around.body:
            for handler in around.handlers:
                kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
                if any(kind is None or unparsed(kind).rsplit(".", 1)[-1] in _CATCHING for kind in kinds):
                    return True
        if isinstance(around, ast.With | ast.AsyncWith) and "suppress" in unparsed(around.items[0]):
            return True
        inner = around
    return False


def _statement(module: Module, call: ast.Call) -> ast.stmt | None:
    """The statement that can stand in a `try` by itself: it gives the model a name and does nothing else."""
    statement = module.statement(call)
    if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is not call:
        return None
    is_text_of_lines = any(
        isinstance(node, ast.Constant) and isinstance(node.value, str) and node.lineno != node.end_lineno
        for node in ast.walk(statement)
    )
    return None if is_text_of_lines else statement
