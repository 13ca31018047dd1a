"""The rule no-metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from swarm.analysis.index import Index
from swarm.core.findings import Finding
from swarm.rules.rule import Example, Mend, Rule
from swarm.rules.writing.middlewares import installed, middleware_text
from swarm.rules.writing.placing import main_app, text_mentions

KNOWN_METRICS = (
    r"prometheus[-_](?!lines)\w|\w[-_]prometheus|prometheus\.Counter|aioprometheus|opentelemetry|statsd|datadog|ddtrace|newrelic|elastic-?apm|influxdb|micrometer"
    r"|http_server_request_duration|appoptics|sentry_sdk\.metrics|pyroscope|instana|scout_apm|cloudwatch"
)


class NoMetrics(Rule):
    """Nothing counts or times this service's requests: nobody can see that it got slow, or alert on it.

    The mend adds a small module of the standard library with a histogram of request durations by method, route
    template and status (the name and buckets that OpenTelemetry sets), puts it around the application, and serves it
    in Prometheus' text format. `METRICS_PATH` names the place (default `/metrics`); empty or 0 turns everything off.
    It never labels by raw path, never touches websockets or streams, and counts for one process: several workers
    count each for itself. Keep the path inside of the network, as any metrics.
    """

    id = "no-metrics"
    category = "monitoring"
    severity = "medium"
    title = "No metrics of requests"
    sources = (
        "OpenTelemetry semantic conventions: http.server.request.duration",
        "prometheus.io: text exposition format",
    )
    bad = (
        Example(
            'from fastapi import FastAPI\n\napp = FastAPI(title="Orders")\n\n\n@app.post("/orders")\n'
            'async def take(order: dict) -> dict:\n    return {"ok": True}\n',
            "from fastapi import FastAPI\n\nfrom request_metrics import MetricsMiddleware\n\n"
            'app = FastAPI(title="Orders")\napp.add_middleware(MetricsMiddleware)\n\n\n@app.post("/orders")\n'
            'async def take(order: dict) -> dict:\n    return {"ok": True}\n',
            "fastapi",
        ),
        Example(
            'from fastapi import FastAPI\n\napp = FastAPI(title="Forwards alerts of Prometheus\' Alertmanager")\n',
            "from fastapi import FastAPI\n\nfrom request_metrics import MetricsMiddleware\n\n"
            'app = FastAPI(title="Forwards alerts of Prometheus\' Alertmanager")\n'
            "app.add_middleware(MetricsMiddleware)\n",
            "fastapi",
        ),
        Example(
            "from flask import Flask\n\n\ndef create_app():\n    app = Flask(__name__)\n\n"
            '    @app.post("/orders")\n    def take():\n        return {"ok": True}\n\n    return app\n',
            "from flask import Flask\n\nfrom request_metrics import MetricsMiddleware\n\n\ndef create_app():\n"
            "    app = Flask(__name__)\n    app.wsgi_app = MetricsMiddleware(app.wsgi_app)\n\n"
            '    @app.post("/orders")\n    def take():\n        return {"ok": True}\n\n    return app\n',
            "flask",
        ),
    )
    good = (
        "from fastapi import FastAPI\nfrom prometheus_fastapi_instrumentator import Instrumentator\n\n"
        "app = FastAPI()\nInstrumentator().instrument(app).expose(app)\n",
        'from fastapi import APIRouter, FastAPI\n\nrouter = APIRouter(prefix="/v1")\n\n\n@router.get("/metrics")\n'
        'def metrics() -> str:\n    return "hooks_total 1"\n\n\napp = FastAPI()\napp.include_router(router)\n',
        'def add(a: int, b: int) -> int:\n    """No service at all."""\n    return a + b\n',
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """One finding, at the application."""
        app = main_app(index)
        served = any(route.path.endswith("/metrics") for route in index.routes)
        if app is None or served or text_mentions(index, KNOWN_METRICS):
            return
        yield self.finding(
            app.module,
            app.node,
            evidence="no metrics library is imported or required, and no route serves metrics",
            recommendation="Keep a histogram of request durations by route and status, and serve it at /metrics.",
            anchor=f"app {app.name}",
            mendable=True,
        )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A metrics middleware in a module of its own."""
        return installed(
            index,
            findings,
            middleware_text(Path(__file__).parent, "request_metrics", "MetricsMiddleware"),
            "Measure requests and serve the metrics",
            "Adds a histogram of request durations by method, route template and status, in Prometheus' text format "
            "at METRICS_PATH (default /metrics; 0 turns it off). Standard library only.",
        )
