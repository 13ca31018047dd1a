"""Libraries of retries that are told how often, and not how long to pause: tenacity, urllib3's `Retry`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from swarm.analysis.edits import Edit
from swarm.analysis.effects import effects_cache
from swarm.analysis.index import Index
from swarm.analysis.source import Module
from swarm.rules.writing.splices import add_keyword, import_from

TENACITY = frozenset({"tenacity.retry", "tenacity.Retrying", "tenacity.AsyncRetrying"})
URLLIB3 = frozenset({
    "urllib3.Retry", "urllib3.util.Retry", "urllib3.util.retry.Retry", "requests.adapters.Retry",
    "requests.packages.urllib3.util.retry.Retry", "requests.packages.urllib3.util.Retry",
})  # fmt: skip
MOST_TRIES_WITHOUT = 1  # urllib3 sends the first repetition at once in any case


@dataclass(frozen=True, slots=True)
class Setting:
    """One call, or a bare `@retry`, that sets up retries without a pause."""

    node: ast.expr
    library: str
    name: str


def settings(index: Index, module: Module) -> Iterator[Setting]:
    """Every such setting of the module whose retries send something to another service."""
    if "tenacity" not in module.text and "Retry" not in module.text:
        return
    for call in module.nodes(ast.Call):
        dotted = index.resolve(module, call.func) or ""
        given = {keyword.arg for keyword in call.keywords if not _is_no_wait(index, module, keyword)}
        if dotted in TENACITY and "wait" not in given and None not in given and not _pauses(call) \
                and _calls_services(index, module, call):  # fmt: skip
            yield Setting(call, "tenacity", dotted)
        elif dotted in URLLIB3 and "backoff_factor" not in given and None not in given and _repeats(call):
            yield Setting(call, "urllib3", dotted)
    for function in index.functions_of(module) if "tenacity" in module.text else ():
        for decorator in function.node.decorator_list:
            bare = isinstance(decorator, ast.Name | ast.Attribute)
            if bare and index.resolve(module, decorator) == "tenacity.retry" \
                    and _calls_services(index, module, decorator):  # fmt: skip
                yield Setting(decorator, "tenacity", "tenacity.retry")


def paused(module: Module, setting: Setting) -> list[Edit]:
    """The library's own setting for a pause that grows: random in tenacity, doubling in urllib3."""
    if setting.library == "urllib3":
        return [add_keyword(module, setting.node, "backoff_factor=0.1")] if isinstance(setting.node, ast.Call) else []
    name, imported = _wait(module)
    wait = f"wait={name}(multiplier=0.1, max=2)"
    if isinstance(setting.node, ast.Call):
        none = next((keyword for keyword in setting.node.keywords if keyword.arg == "wait"), None)
        edits = [Edit(*module.span(none), wait) if none is not None else add_keyword(module, setting.node, wait)]
    else:
        end = module.span(setting.node)[1]
        edits = [Edit(end, end, f"({wait})")]
    return [*edits, imported] if imported else edits


def _is_no_wait(index: Index, module: Module, keyword: ast.keyword) -> bool:
    """`wait=wait_none()`, `wait=wait_fixed(0)`."""
    value = keyword.value
    if keyword.arg != "wait" or not isinstance(value, ast.Call):
        return False
    dotted = index.resolve(module, value.func)
    zero = len(value.args) == 1 and isinstance(value.args[0], ast.Constant) and value.args[0].value == 0
    return dotted == "tenacity.wait_none" or (dotted == "tenacity.wait_fixed" and zero)


def _wait(module: Module) -> tuple[str, Edit | None]:
    """How the module names `wait_random_exponential`, added to the import of tenacity that is there."""
    wanted = "wait_random_exponential"
    for node in module.head_imports:
        if isinstance(node, ast.ImportFrom) and node.module == "tenacity" and not node.level:
            if any(alias.name == wanted for alias in node.names):
                continue
            end = module.span(node.names[-1])[1]
            if node.lineno == node.end_lineno and wanted not in module.imports:
                return wanted, Edit(end, end, f", {wanted}")
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == "tenacity":
                    return f"{alias.asname or alias.name}.{wanted}", None
    return import_from(module, "tenacity", wanted)


def _pauses(call: ast.Call) -> bool:
    """Whether the call has a `sleep` of its own, or arguments by position, where it may stand."""
    return bool(call.args) or any(keyword.arg == "sleep" for keyword in call.keywords)


def _repeats(call: ast.Call) -> bool:
    values = [keyword.value for keyword in call.keywords if keyword.arg in ("total", "status")] or call.args[:1]
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, int) and value.value <= MOST_TRIES_WITHOUT:
            return False
    return bool(values)


def _calls_services(index: Index, module: Module, node: ast.expr) -> bool:
    """Whether what is retried makes an outgoing call on a request's path: what is decorated, or the code around."""
    parent = module.parent(node)
    if isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef):
        function = index.function_of(parent)
    else:
        around = index.enclosing(module, node)
        if around is None:
            return False
        function = around
    if not index.on_request_path(module, function.node.body[0]):
        return False
    return any(effects.http for _, effects in effects_cache(index).reached(function))
