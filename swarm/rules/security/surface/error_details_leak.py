"""The rule error-details-leak."""

from __future__ import annotations

import ast
import http
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.examples import error_details_leak as examples
from swarm.rules.facts.logging_calls import is_log_call
from swarm.rules.rule import Mend, Rule
from swarm.rules.security.signatures.digests import assigned
from swarm.rules.security.surface.error_handlers import error_handlers
from swarm.rules.writing.placing import LoggerChoice, module_logger, on_own_line, spliced

_ANSWERS = ("HTTPException", "JSONResponse", "PlainTextResponse", "Response", "HTMLResponse", "ORJSONResponse",
            "jsonify", "make_response", "abort", "UJSONResponse", "dumps")  # fmt: skip
_TRACE_KEY = re.compile(r"trace|stack", re.IGNORECASE)
_BROAD = ("Exception", "BaseException")


_Handler = ast.ExceptHandler | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class _Leak:
    """`handler` is where the error is handled: an `except`, or a function that the framework calls with it."""

    handler: _Handler
    value: ast.expr
    status: int
    error: str | None
    kind: str


class ErrorDetailsLeak(Rule):
    """An error's own text (`str(exc)`, a traceback) is answered to the sender: it names tables, files, addresses,
    keys and versions.

    The mend answers the plain name of the status in its place, drops traceback fields, and logs the error with its
    traceback. The status and the shape of the answer stay. Left alone: 4xx answers for a narrow exception (their text
    is often meant for the sender), and exception classes of the service's own that become 4xx.
    """

    id = "error-details-leak"
    category = "security"
    severity = "high"
    cwe = ("CWE-209",)
    title = "Errors answer with details of the inside"
    sources = ("OWASP ASVS 5.0 16.5.1", "OWASP API8:2023")
    bad = examples.BAD
    good = examples.GOOD

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Each error handler that answers an error's text, once."""
        for module in index.tree.modules.values():
            seen: set[_Handler] = set()
            for leak in _leaks(index, module):
                if leak.handler in seen:
                    continue
                seen.add(leak.handler)
                function = index.enclosing(module, leak.handler.body[0])
                where = function.qualname if function else "module level"
                kind = leak.kind
                yield self.finding(
                    module,
                    leak.value,
                    evidence=f"`{' '.join(module.segment(leak.value).split())}` of {kind} goes into an answer "
                    f"{leak.status} of {where}",
                    recommendation="Answer a generic message and log the details.",
                    anchor=f"{where}: except {kind}",
                    mendable=True,
                )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A generic text in place of the details, which go to the log."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        leaks = list(_leaks(index, module))
        handlers = {leak.handler for leak in leaks if leak.value.lineno in lines}
        chosen = [leak for leak in leaks if leak.handler in handlers]
        if not chosen:
            return None
        edits, removed = _value_edits(module, chosen)
        logger = module_logger(module)
        needs_logger = False
        for handler in sorted(handlers, key=lambda h: h.lineno):
            error = next((leak.error for leak in chosen if leak.handler is handler), None)
            log_edits, used = _log_edits(module, handler, error, logger, [leak.value for leak in chosen])
            edits += log_edits
            needs_logger = needs_logger or used
        if needs_logger:
            edits += logger.edits
        edits += _unused_traceback(module, removed, edits)
        return Mend(
            "Answer errors without their details",
            "The answer names the status and nothing of the inside; the error goes to the log with its traceback. "
            "Status and shape of the answer stay as they were.",
            (spliced(module, edits),),
        )


def _leaks(index: Index, module: Module) -> Iterator[_Leak]:
    handlers_of_routes = {route.function for route in index.routes}
    for handler in module.nodes(ast.ExceptHandler):
        function = index.enclosing(module, handler)
        if function is None or not index.on_request_path(module, handler):
            continue
        kind = module.segment(handler.type) if handler.type is not None else "everything"
        is_route = function in handlers_of_routes
        yield from _told_by(module, handler, handler.name, kind, broad=_is_broad(handler), of_route=is_route)
    for one in error_handlers(index, module):
        yield from _told_by(module, one.node, one.error, one.kind, broad=one.broad, of_route=True)


def _told_by(
    module: Module, handler: _Handler, error: str | None, kind: str, *, broad: bool, of_route: bool
) -> Iterator[_Leak]:
    """What of an error goes into the answers of one handler."""
    for statement in _own_statements(handler.body):
        value = statement.exc if isinstance(statement, ast.Raise) else None
        if isinstance(statement, ast.Return):
            value = statement.value
        if value is None or not _is_answer(value, of_route):
            continue
        status = _status(statement, value)
        if status < 500 and not broad:
            continue
        for part in _details(module, value, error):
            yield _Leak(handler, part, status, error, kind)


def _own_statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        for name in ("body", "orelse", "finalbody"):
            if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from _own_statements(getattr(statement, name, []))


def _is_broad(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in _BROAD) for kind in kinds)


def _is_answer(value: ast.expr, of_route: bool) -> bool:
    """An HTTP answer: a response, an HTTPException, a tuple with a status; what a route's own function returns."""
    if isinstance(value, ast.Dict):
        return of_route
    if isinstance(value, ast.Tuple):
        return len(value.elts) in (2, 3) and isinstance(value.elts[1], ast.Constant | ast.Attribute)
    if isinstance(value, ast.Call):
        name = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
        return name in _ANSWERS
    return False


def _status(statement: ast.stmt, value: ast.expr) -> int:
    """The answer's status where the code says it as a number; 500 for a raised one that does not, 200 else."""
    candidates: list[ast.expr] = []
    if isinstance(value, ast.Tuple):
        candidates = value.elts[1:]
    elif isinstance(value, ast.Call):
        candidates = [k.value for k in value.keywords if k.arg in ("status_code", "status", "code")] + value.args
    for candidate in candidates:
        if isinstance(candidate, ast.Constant) and isinstance(candidate.value, int) and 100 <= candidate.value < 600:
            return candidate.value
        named = re.search(r"(?:HTTP_|HTTPStatus\.)(\w+)", unparsed(candidate))
        if named:
            number = re.match(r"\d{3}", named[1])
            if number:
                return int(number[0])
            if named[1] in http.HTTPStatus.__members__:
                return int(http.HTTPStatus[named[1]])
    return 500 if isinstance(statement, ast.Raise) else 200


def _details(module: Module, value: ast.expr, name: str | None) -> Iterator[ast.expr]:
    """The outermost expressions that render the error, inside of an answer."""
    if _renders(module, value, name):
        yield value
        return
    for child in ast.iter_child_nodes(value):
        if isinstance(child, ast.keyword):
            yield from _details(module, child.value, name)
        elif isinstance(child, ast.expr):
            yield from _details(module, child, name)


def _renders(module: Module, node: ast.expr, name: str | None) -> bool:
    if isinstance(node, ast.Name) and node.id != name:
        value = assigned(node, module.enclosing_function(node))
        return not isinstance(value, ast.Name) and _renders(module, value, name)
    if isinstance(node, ast.JoinedStr):
        return any(
            isinstance(part, ast.FormattedValue)
            and (_is_error(part.value, name) or any(True for _ in _details(module, part.value, name)))
            for part in node.values
        )
    if isinstance(node, ast.ListComp | ast.GeneratorExp):
        return any(_renders(module, loop.iter, name) for loop in node.generators)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        sides = [node.left, *(node.right.elts if isinstance(node.right, ast.Tuple) else [node.right])]
        return any(_is_error(side, name) or _renders(module, side, name) for side in sides)
    if isinstance(node, ast.Call):
        dotted = module.resolve(node.func) or ""
        if dotted in (
            "traceback.format_exc",
            "traceback.format_exception",
            "traceback.format_tb",
            "sys.exc_info",
        ):
            return True
        if dotted in ("str", "repr") and node.args:
            return _is_error(node.args[0], name) or _renders(module, node.args[0], name)
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("format", "join"):
            return any(_is_error(argument, name) or _renders(module, argument, name) for argument in node.args)
    return isinstance(node, ast.Attribute) and node.attr in ("args", "__dict__") and _is_error(node.value, name)


def _is_error(node: ast.expr, name: str | None) -> bool:
    return name is not None and isinstance(node, ast.Name) and node.id == name


def _value_edits(module: Module, leaks: list[_Leak]) -> tuple[list[Edit], list[ast.expr]]:
    """Generic text for each value; a traceback beside another field is dropped with its key."""
    edits: list[Edit] = []
    for leak in leaks:
        parent = module.parent(leak.value)
        drop = None
        if isinstance(parent, ast.Dict) and len(parent.values) > 1:
            place = parent.values.index(leak.value)
            key = parent.keys[place]
            if isinstance(key, ast.Constant) and _TRACE_KEY.search(str(key.value)) and place > 0:
                drop = Edit(module.span(parent.values[place - 1])[1], module.span(leak.value)[1], "")
        if drop is None:
            edits.append(Edit(*module.span(leak.value), f'"{_phrase(leak.status)}"'))
        else:
            edits.append(drop)
    return edits, [leak.value for leak in leaks]


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status if status >= 400 else 500).phrase.lower()
    except ValueError:
        return "error"


def _log_edits(
    module: Module, handler: _Handler, error: str | None, logger: LoggerChoice, removed: list[ast.expr]
) -> tuple[list[Edit], bool]:
    """A log line with the traceback where there is none, and `as exc` dropped where nothing reads it any more."""
    edits: list[Edit] = []
    if not isinstance(handler, ast.ExceptHandler):
        return _logged_by_function(module, handler, error or "True", logger)
    gone = {id(inner) for value in removed for inner in walk(value)}
    reads = [
        node
        for statement in handler.body
        for node in walk(statement)
        if isinstance(node, ast.Name) and node.id == handler.name and id(node) not in gone
    ]
    if handler.name and not reads and handler.type is not None:
        start = module.span(handler.type)[1]
        match = re.match(r"\s+as\s+\w+", module.text[start:])
        if match:
            edits.append(Edit(start, start + match.end(), ""))
    logs = [node for statement in handler.body for node in walk(statement) if is_log_call(module, node)]
    if logs:
        return edits + _with_traceback(module, logs[0]), False
    function = module.enclosing_function(handler)
    first = handler.body[0]
    call = f'{logger.name}.exception("{function.name if function else "request"} failed")'
    at = module.span(first)[0]
    separator = f"\n{module.indent(first)}" if on_own_line(module, first) else "; "
    return [*edits, Edit(at, at, call + separator)], True


def _logged_by_function(
    module: Module, handler: ast.FunctionDef | ast.AsyncFunctionDef, error: str, logger: LoggerChoice
) -> tuple[list[Edit], bool]:
    """The error handed to the log by its name: a plain function may run in a thread where none is being handled."""
    logs = [node for statement in handler.body for node in walk(statement) if is_log_call(module, node)]
    if logs:
        return _with_traceback(module, logs[0], error), False
    is_told = isinstance(handler.body[0], ast.Expr) and isinstance(handler.body[0].value, ast.Constant)
    first = handler.body[1 if is_told and len(handler.body) > 1 else 0]
    call = f'{logger.name}.error("{handler.name}: an error was not handled", exc_info={error})'
    at = module.span(first)[0]
    separator = f"\n{module.indent(first)}" if on_own_line(module, first) else "; "
    return [Edit(at, at, call + separator)], True


def _with_traceback(module: Module, call: ast.AST, error: str = "True") -> list[Edit]:
    """`exc_info=True` for a log call that drops the traceback that the answer does not show any more."""
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or call.func.attr == "exception":
        return []
    if any(keyword.arg == "exc_info" for keyword in call.keywords) or not call.args:
        return []
    function = module.enclosing_function(call)
    told = [assigned(part, function) if isinstance(part, ast.Name) else part for part in walk(call)]
    if any("format_exc" in unparsed(part) for part in (call, *told)):
        return []  # it writes the traceback already
    last = max([*call.args, *[keyword.value for keyword in call.keywords]], key=lambda node: module.span(node)[1])
    end = module.span(last)[1]
    return [Edit(end, end, f", exc_info={error}")]


def _unused_traceback(module: Module, removed: list[ast.expr], edits: list[Edit]) -> list[Edit]:
    """Takes `import traceback` away where nothing uses it any more."""
    gone = {id(inner) for value in removed for inner in walk(value)}
    uses = [node for node in module.nodes(ast.Name) if node.id == "traceback"]
    if not uses or any(id(node) not in gone for node in uses):
        return []
    for node in module.tree.body:
        if isinstance(node, ast.Import) and [alias.name for alias in node.names] == ["traceback"]:
            start, end = module.line_start(node.lineno), module.line_start(node.lineno + 1)
            if not any(edit.start < end and edit.end > start for edit in edits):
                return [Edit(start, end, "")]
    return []
