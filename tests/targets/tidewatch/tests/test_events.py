"""Genuine deliveries are taken once, others refused; a berth service that fails costs no event."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, text

from tidewatch.app import create_app
from tidewatch.settings import Settings, SettingsError

EVENT = {"delivery_id": "delivery-1", "vessel": "IMO1234567", "kind": "arrived", "berth": "B3", "at": "2026-05-01T08:00:00Z"}


class Berths:
    """The berth service: answers what it is told to."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.paths: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.paths.append(request.url.path)
        status = self.statuses.pop(0) if self.statuses else 200
        return httpx.Response(status, json={"depth_m": 14.5, "next_high": "12:40"})


@pytest.fixture
def berths() -> Berths:
    return Berths()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "t.db"


@pytest.fixture
def client(berths: Berths, database: Path) -> Iterator[TestClient]:
    settings = Settings(("new", "old"), "token", f"sqlite+aiosqlite:///{database}", "http://berths.test", max_body_bytes=900)
    with TestClient(create_app(settings, httpx.MockTransport(berths))) as client:
        yield client


def send(client: TestClient, event: object = EVENT, secret: str = "new", age_s: int = 0, **headers: str) -> httpx.Response:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    stamp = str(int(time.time()) - age_s)
    digest = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    given = {"X-Port-Signature": f"t={stamp},v1={digest}", "Content-Type": "application/json", **headers}
    return client.post("/events/vessel", content=body, headers=given)


def rows(database: Path, table: str) -> list[tuple[object, ...]]:
    engine = create_engine(f"sqlite:///{database}")
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text(f"SELECT * FROM {table}"))]
    engine.dispose()
    return found


def test_an_event_is_stored_with_its_berth(client: TestClient, berths: Berths, database: Path) -> None:
    answer = send(client)
    assert (answer.status_code, answer.json()) == (202, {"status": "taken"})
    assert sorted(berths.paths) == ["/berths/B3", "/tides/B3"]
    ((_, vessel, kind, berth, depth_m, next_high, _),) = rows(database, "arrivals")
    assert (vessel, kind, berth, depth_m, next_high) == ("IMO1234567", "arrived", "B3", 14.5, "12:40")


def test_a_repeated_delivery_changes_nothing(client: TestClient, database: Path) -> None:
    assert send(client).status_code == send(client).status_code == 202
    assert len(rows(database, "arrivals")) == 1


@pytest.mark.parametrize(("secret", "age_s", "status"), [("old", 0, 202), ("wrong", 0, 401), ("new", 900, 401), ("new", -900, 401)])
def test_signatures_and_their_age(client: TestClient, secret: str, age_s: int, status: int) -> None:
    assert send(client, secret=secret, age_s=age_s).status_code == status


@pytest.mark.parametrize(
    ("event", "headers", "status"),
    [({**EVENT, "kind": "sank"}, {}, 422), (b"{", {}, 422), ({**EVENT, "more": 1}, {}, 422), (b"x" * 2000, {}, 413), (EVENT, {"Content-Type": "text/plain"}, 415)],
)
def test_what_is_not_an_event_is_refused(client: TestClient, event: object, headers: dict[str, str], status: int) -> None:
    assert send(client, event, **headers).status_code == status


def test_a_read_is_tried_again_and_a_failing_berth_service_costs_no_event(client: TestClient, berths: Berths, database: Path) -> None:
    berths.statuses = [503, 200, 200]
    send(client)
    assert len(berths.paths) == 3
    berths.statuses = [500, 500]
    assert send(client, {**EVENT, "delivery_id": "delivery-2"}).status_code == 202
    assert rows(database, "arrivals")[1][4] is None


def test_health_readiness_and_figures(client: TestClient) -> None:
    assert client.get("/health", headers={"X-Request-ID": "request-77"}).headers["X-Request-ID"] == "request-77"
    assert client.get("/ready").json() == {"status": "ok"}
    assert client.get("/metrics").status_code == 401
    figures = client.get("/metrics", headers={"Authorization": "Bearer token"}).text
    assert 'http_requests_total{route="/health",method="GET",status="200"} 1' in figures


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(SettingsError, match="PORT_SECRETS"):
        Settings.from_environment({})
