"""How long a call may wait, as the code around it tells: limits of None, patient adapters, limits of its own."""

from __future__ import annotations

import ast

from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module
from swarm.rules.security.signatures.digests import assigned

_LIMITS = frozenset({
    "asyncio.timeout", "asyncio.timeout_at", "asyncio.wait_for", "async_timeout.timeout", "anyio.fail_after",
    "anyio.move_on_after",
})  # fmt: skip
_VERBS = ("get", "post", "put", "patch", "delete", "head", "options", "request", "ws_connect")


def is_endless(index: Index, module: Module, value: ast.expr) -> bool:
    """Whether a timeout is None, or a library's of None: `httpx.Timeout(None)`, `ClientTimeout(total=None)`."""
    if isinstance(value, ast.Name):
        value = assigned(value, module.enclosing_function(value))
    if isinstance(value, ast.Call):
        dotted = index.resolve(module, value.func)
        whole = [*value.args, *(k.value for k in value.keywords if k.arg in ("timeout", "total"))]
        parts = {k.arg for k in value.keywords} - {"timeout", "total"}
        is_known = dotted in ("httpx.Timeout", "aiohttp.ClientTimeout", "aiohttp.client.ClientTimeout")
        reads = [k.value for k in value.keywords if k.arg == "read"]
        if dotted == "httpx.Timeout" and reads and is_endless(index, module, reads[0]):
            return True  # the answer itself may never come
        return is_known and len(whole) == 1 and not parts and is_endless(index, module, whole[0])
    return isinstance(value, ast.Constant) and value.value is None


def is_limited_around(index: Index, module: Module, node: ast.AST) -> bool:
    """Whether `async with asyncio.timeout(…)` or `asyncio.wait_for(…)` ends it, in its own function."""
    for around in module.ancestors(node):
        if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return False
        calls = [item.context_expr for item in around.items] if isinstance(around, ast.AsyncWith) else [around]
        for call in calls:
            limits = isinstance(call, ast.Call) and index.resolve(module, call.func) in _LIMITS
            if limits and isinstance(call, ast.Call) and (call.args or call.keywords):
                return True
    return False


def has_patient_adapter(index: Index, module: Module, session: ast.expr | None) -> bool:
    """Whether adapters of the target's own, which look at timeouts, are mounted on the session for every address."""
    name, mounted = unparsed(session).rpartition(".")[2] if session is not None else "", []
    for call in module.nodes(ast.Call):
        mounts = isinstance(call.func, ast.Attribute) and call.func.attr == "mount" and len(call.args) == 2
        if mounts and unparsed(call.func).split(".")[-2] == name:
            info = index.classes.get(index.kinds.of(module, call.args[1]) or "")
            methods = info.methods.values() if info is not None else ()
            mounted.append(any("timeout" in unparsed(method.node) for method in methods))
    return bool(mounted) and all(mounted)


def each_has_its_own(module: Module) -> bool:
    """Whether every request that the module makes with a session is given a timeout of its own."""
    requests = [
        call
        for call in module.nodes(ast.Call)
        if isinstance(call.func, ast.Attribute) and call.func.attr in _VERBS
        and unparsed(call.func.value).lower().rstrip("_").endswith("session")
    ]  # fmt: skip
    return bool(requests) and all(any(keyword.arg == "timeout" for keyword in call.keywords) for call in requests)


def is_program(module: Module) -> bool:
    """Whether the module is started by itself: it reads a command line, or runs only where it is the main one."""
    imported = {name.split(".")[0] for name in module.imports.values()}
    if imported & {"argparse", "click", "typer", "fire", "docopt"}:
        return True
    return any(isinstance(node, ast.If) and '__name__ == "__main__"' in unparsed(node.test).replace("'", '"')
               for node in module.tree.body)  # fmt: skip
