"""The rule no-operation-metrics."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from swarm.analysis.added_modules import is_added
from swarm.analysis.edits import Edit
from swarm.analysis.effects import effects_cache
from swarm.analysis.index import Function, Index
from swarm.analysis.reading.mentions import holds, in_small_letters
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.core.patches import FileChange
from swarm.rules.facts.in_use import runs_with
from swarm.rules.monitoring.no_metrics import KNOWN_METRICS
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.writing.placing import free_file, free_name, import_edit, main_app
from swarm.rules.writing.reaching import import_of

_TEXT = Path(__file__).with_name("operation_metrics.txt")
_OWN = '"""How long the operations of this service take:'
_REQUEST_METRICS = '"""Prometheus metrics of HTTP requests, kept in this process'  # what no-metrics brings
_SHOWN = 6


class NoOperationMetrics(Rule):
    """Nothing tells which of a request's operations takes its time: the call to a service, the statement, the model.

    The mend adds a small module of the standard library with a decorator that counts an operation's calls and keeps
    their mean, p95 and p99 over the latest calls, and puts it on the functions of the request's path that wait by
    themselves: those that make outgoing calls or run SQL, sync and async. The middleware of no-metrics serves the
    figures at /metrics. Left alone are handlers of routes (request metrics have them, and frameworks read their
    signatures), generators, nested functions, and whatever carries another decorator than those of the caches that
    earlier mends put there (whose hits count too). `OPERATION_METRICS=0` turns it off.
    """

    id = "no-operation-metrics"
    category = "monitoring"
    severity = "low"
    title = "No metrics of single operations"
    order = 60
    sources = ("prometheus.io: metric types, summary", "Google SRE Book: Monitoring Distributed Systems")
    bad = (
        Example(
            "import httpx\nfrom fastapi import FastAPI\n\napp = FastAPI()\n\n\n"
            "class Shop:\n    async def order(self, number: int) -> dict:\n"
            "        async with httpx.AsyncClient(timeout=5) as client:\n"
            '            return (await client.get(f"http://shop/orders/{number}")).json()\n\n\n'
            'shop = Shop()\n\n\n@app.get("/orders/{number}")\nasync def show(number: int) -> dict:\n'
            "    return await shop.order(number)\n",
            "import httpx\nfrom fastapi import FastAPI\n\nfrom operation_metrics import measured\n\n"
            "app = FastAPI()\n\n\n"
            'class Shop:\n    @measured("app.Shop.order")\n    async def order(self, number: int) -> dict:\n'
            "        async with httpx.AsyncClient(timeout=5) as client:\n"
            '            return (await client.get(f"http://shop/orders/{number}")).json()\n\n\n'
            'shop = Shop()\n\n\n@app.get("/orders/{number}")\nasync def show(number: int) -> dict:\n'
            "    return await shop.order(number)\n",
            "fastapi",
        ),
        Example(
            "import requests\nfrom flask import Flask\n\napp = Flask(__name__)\n\n\n"
            'def rates():\n    return requests.get("http://bank/rates", timeout=5).json()\n\n\n'
            '@app.get("/rates")\ndef show():\n    return rates()\n',
            "import requests\nfrom flask import Flask\n\nfrom operation_metrics import measured\n\n"
            'app = Flask(__name__)\n\n\n@measured("app.rates")\n'
            'def rates():\n    return requests.get("http://bank/rates", timeout=5).json()\n\n\n'
            '@app.get("/rates")\ndef show():\n    return rates()\n',
            "flask",
        ),
    )
    good = (
        "import httpx\nfrom fastapi import FastAPI\nfrom prometheus_client import Histogram\n\napp = FastAPI()\n"
        'CALLS = Histogram("calls", "Calls")\n\n\ndef rates():\n    with CALLS.time():\n'
        '        return httpx.get("http://bank/rates", timeout=5).json()\n\n\n@app.get("/rates")\n'
        "def show():\n    return rates()\n",
        'import httpx\nfrom fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get("/rates")\n'
        'def show():\n    return httpx.get("http://bank/rates", timeout=5).json()\n',
        "import functools\n\nimport httpx\nfrom fastapi import FastAPI\n\napp = FastAPI()\n\n\n@functools.lru_cache\n"
        'def rates():\n    return httpx.get("http://bank/rates", timeout=5).json()\n\n\n'
        "def lines():\n    with httpx.Client(timeout=5) as client:\n"
        '        yield from client.get("http://bank/lines").text.splitlines()\n\n\n@app.get("/rates")\n'
        "def show():\n    return [rates(), *lines()]\n",
        'import httpx\n\n\ndef main():\n    print(httpx.get("http://bank/rates", timeout=5).json())\n\n\nmain()\n',
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """One finding a module that has such functions."""
        if main_app(index) is None or not index.routes or _measures_otherwise(index):
            return
        by_module: dict[Module, list[Function]] = {}
        app = main_app(index)
        for function in _waiting(index):
            if app is not None and runs_with(
                index, function.module, app.module
            ):  # else its service has no such module
                by_module.setdefault(function.module, []).append(function)
        for module, waiting in by_module.items():
            if waiting:
                names = ", ".join(function.qualname for function in waiting[:_SHOWN])
                more = f" and {len(waiting) - _SHOWN} more" if len(waiting) > _SHOWN else ""
                yield self.finding(
                    module,
                    waiting[0].node,
                    evidence=f"no figures of {names}{more}, which wait for other systems on a request's path",
                    recommendation="Count and time each operation: its number, mean, p95 and p99.",
                    anchor=f"operations of {module.path}",
                    mendable=True,
                )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """The decorator on each of the module's functions, and the module that has it."""
        module, app = index.tree.modules[findings[0].file], main_app(index)
        waiting = [function for function in _waiting(index) if function.module is module]
        if app is None or not waiting:
            return None
        there = next((other for other in index.tree.modules.values() if other.text.startswith(_OWN)), None)
        path = there.path if there else free_file(
            index.tree, app.module.path.rpartition("/")[0], "operation_metrics"
        )  # fmt: skip
        name = free_name(module, "measured", "measured_operation")
        imported = "measured" if name == "measured" else f"measured as {name}"
        stem = path.rpartition("/")[2].removesuffix(".py")
        statement = import_of(index.tree, module, there or app.module, stem, imported)
        edits = [import_edit(index.tree, module, statement)]
        for function in waiting:
            decorators = function.node.decorator_list
            at = module.line_start(min([function.node.lineno, *(one.lineno for one in decorators)]))
            text = f'{module.indent(function.node)}@{name}("{_operation(function)}")\n'
            edits.append(Edit(at, at, text))
        change = edited(module, edits)
        new = () if there else (FileChange(path, None, _TEXT.read_text(encoding="utf-8")),)
        return Mend(
            "Measure the operations of requests",
            "Counts each operation that waits for another system and keeps its mean, p95 and p99, for /metrics. "
            "OPERATION_METRICS=0 turns it off. Standard library only.",
            (change, *new),
        )


def _measures_otherwise(index: Index) -> bool:
    """Whether the service has a metrics library of its own, beside what these rules bring."""
    own = [m for m in index.tree.modules.values() if not is_added(m) and _REQUEST_METRICS not in m.text]
    pattern, others = in_small_letters(KNOWN_METRICS), index.tree.other.values()
    return any(m.mentions(KNOWN_METRICS) for m in own) or any(holds(text.lower(), pattern) for text in others)


def _waiting(index: Index) -> Iterator[Function]:
    """The plain functions on a request's path that call out or run SQL themselves."""
    handlers, inspected = {route.function for route in index.routes}, _inspected(index)
    for function in index.functions:
        module, node = function.module, function.node
        if is_added(module) or _REQUEST_METRICS in module.text or function in handlers or function in inspected:
            continue
        if function.name.startswith("__") or module.enclosing_function(node) is not None:
            continue
        if not all(_is_ours(index, module, decorator) for decorator in node.decorator_list):
            continue
        if function not in index.reachable():
            continue
        if index.own_of(function, ast.Yield, ast.YieldFrom):
            continue
        effects = effects_cache(index).of(function)
        if effects.http or effects.sql or effects.commits:
            yield function


def _is_ours(index: Index, module: Module, decorator: ast.expr) -> bool:
    """Whether a decorator is of a module that a mend added, and no measure yet: a cache, whose hits count too."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    home, _ = index.tree.split(index.resolve(module, called) or "", module)
    return home is not None and is_added(home) and not home.text.startswith(_OWN)


def _inspected(index: Index) -> set[Function]:
    """Functions whose signature a framework reads: `Depends(function)`."""
    found = set()
    for module in index.tree.modules.values():
        if "Depends" not in module.text and "Security" not in module.text:
            continue
        for call in module.nodes(ast.Call):
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            if name in ("Depends", "Security") and call.args:
                function = index.named_function(module, call.args[0])
                found |= {function} if function is not None else set()
    return found


def _operation(function: Function) -> str:
    stem = function.module.path.rpartition("/")[2].removesuffix(".py")
    return f"{stem}.{function.qualname}"
