"""Operation metrics as they run: figures of sync and async operations at /metrics, failures, windows, off."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from starlette.testclient import TestClient

from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.rules.monitoring.no_metrics import NoMetrics
from swarm.rules.monitoring.no_operation_metrics import NoOperationMetrics
from tests.rules.mending import loaded, mend, write

APP = '''"""Orders."""

from fastapi import Depends, FastAPI

from shop.crm import Crm
from shop.store import orders_of, session

app = FastAPI()


@app.get("/orders/{number}")
async def orders(number: int, database=Depends(session)) -> dict[str, int]:
    return {"known": orders_of(number), "told": await Crm().tell(number)}
'''
STORE = """import sqlite3


def session():
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE orders (number INTEGER)")
    return connection


def orders_of(number):
    connection = sqlite3.connect(":memory:")
    return connection.execute("SELECT ? + 1", (number,)).fetchone()[0]
"""
CRM = """import httpx


class Crm:
    async def tell(self, number):
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            answer = await client.get("http://127.0.0.1:1/orders")
        return answer.status_code
"""
TEXT = Path("swarm/rules/monitoring/operation_metrics.txt")


def test_operations_stand_beside_the_request_metrics(tmp_path: Path) -> None:
    files = {"shop/__init__.py": "", "shop/app.py": APP, "shop/store.py": STORE, "shop/crm.py": CRM}
    write(tmp_path, files)
    mend(tmp_path, "no-operation-metrics", "no-metrics")
    assert '@measured("crm.Crm.tell")' in (tmp_path / "shop/crm.py").read_text()
    store = (tmp_path / "shop/store.py").read_text()
    assert store.count("@measured") == 1, "what a framework inspects is left alone"
    assert "from shop.operation_metrics import measured" in store
    with loaded(tmp_path, "shop.app") as module:
        client = TestClient(module.app, raise_server_exceptions=False)
        assert client.get("/orders/17").status_code == 500  # nobody listens on port 1
        shown = client.get("/metrics").text
    assert 'http_server_request_duration_seconds_count{method="GET",route="/orders/{number}",status="500"} 1' in shown
    for operation, failed in (("store.orders_of", 0), ("crm.Crm.tell", 1)):
        assert f'operation_duration_seconds_count{{operation="{operation}"}} 1' in shown
        assert f'operation_duration_seconds{{operation="{operation}",quantile="0.99"}}' in shown
        assert f'operation_failures_total{{operation="{operation}"}} {failed}' in shown


def test_a_mended_tree_is_mended(tmp_path: Path) -> None:
    write(tmp_path, {"shop/__init__.py": "", "shop/app.py": APP, "shop/store.py": STORE, "shop/crm.py": CRM})
    mend(tmp_path, "no-operation-metrics")
    index = build_index(SourceTree.load(tmp_path))
    assert not list(NoOperationMetrics().find(index))
    assert list(NoMetrics().find(index)), "a module with figures of operations is no metrics of requests"
    mend(tmp_path, "no-metrics")
    assert not list(NoMetrics().find(build_index(SourceTree.load(tmp_path))))


def test_a_cached_operation_is_measured_with_its_hits(tmp_path: Path) -> None:
    cache = "PROMETHEUS_LINES = True\n\n\ndef cached(kind):\n    return lambda function: function\n"
    store = STORE.replace("import sqlite3\n", "import sqlite3\n\nfrom shop.answers import cached\n", 1)
    store = store.replace("def orders_of", '@cached("orders")\ndef orders_of')
    files = {"shop/__init__.py": "", "shop/app.py": APP, "shop/store.py": store, "shop/crm.py": CRM}
    write(tmp_path, {**files, "shop/answers.py": cache})
    mend(tmp_path, "no-operation-metrics")
    mended = (tmp_path / "shop/store.py").read_text()
    assert '@measured("store.orders_of")\n@cached("orders")\ndef orders_of' in mended
    assert "@measured" not in (tmp_path / "shop/answers.py").read_text()


def metrics_module(monkeypatch: pytest.MonkeyPatch, **env: str) -> Any:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    module = ModuleType("operation_metrics")
    exec(compile(TEXT.read_text(), str(TEXT), "exec"), module.__dict__)
    return module


def test_percentiles_are_of_the_latest_calls_and_totals_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = metrics_module(monkeypatch, OPERATION_METRICS_WINDOW="100")
    for ms in range(1, 301):
        metrics.observe("x", ms / 1000)
    figures = metrics.summary()["x"]
    assert (figures["count"], figures["mean_ms"]) == (300, pytest.approx(150.5))
    assert (figures["p95_ms"], figures["p99_ms"]) == (pytest.approx(295), pytest.approx(299))


def test_names_are_bounded_and_zero_turns_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = metrics_module(monkeypatch)
    for number in range(metrics.MAX_OPERATIONS + 50):
        metrics.observe(f"x{number}", 0.001)
    assert len(metrics.summary()) == metrics.MAX_OPERATIONS + 1
    assert metrics.summary()["other"]["count"] == 50
    off = metrics_module(monkeypatch, OPERATION_METRICS="0")

    def function() -> int:
        return 7

    assert off.measured("x")(function) is function
    assert off.summary() == {}


async def test_what_is_raised_goes_on_and_names_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = metrics_module(monkeypatch)

    @metrics.measured("fails")  # type: ignore[untyped-decorator]
    async def fails(number: int) -> None:
        raise KeyError(number)

    with pytest.raises(KeyError):
        await fails(number=3)
    assert fails.__name__ == "fails"
    assert metrics.summary()["fails"]["failed"] == 1
