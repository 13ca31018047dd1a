"""Payments are booked once, strangers refused, and a shop that is away brings the bank back."""

from __future__ import annotations

import hmac
import json
import sqlite3
import time
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from mill_ledger import create_app
from mill_ledger.settings import MissingSetting, Settings
from mill_ledger.shop import ShopUnavailable

PAYMENT = {"event_id": "event-0001", "order": "ORD-7", "amount_cents": 1250, "currency": "EUR"}


class Shop:
    """Remembers what it was told; away where it is said to be."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        self.away = False

    def tell_paid(self, order: str, paid_cents: int) -> None:
        if self.away:
            raise ShopUnavailable("Timeout")
        self.told.append((order, paid_cents))


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def client(shop: Shop, path: Path) -> FlaskClient:
    settings = Settings(("new", "old"), str(path), "http://shop.test", max_body_bytes=900)
    return create_app(settings, shop).test_client()


def send(client: FlaskClient, payment: object = PAYMENT, secret: str = "new", age_s: int = 0, **more: str) -> TestResponse:
    body = payment if isinstance(payment, bytes) else json.dumps(payment).encode()
    stamp = str(int(time.time()) - age_s)
    digest = hmac.digest(secret.encode(), stamp.encode() + b"." + body, "sha256").hex()
    headers = {"X-Bank-Signature": f"t={stamp},v1={digest}", "Content-Type": "application/json", **more}
    return client.post("/hooks/bank/payments", data=body, headers=headers)


def test_a_payment_is_booked_once_and_the_shop_told(client: FlaskClient, shop: Shop, path: Path) -> None:
    assert send(client).status_code == send(client).status_code == 200
    assert shop.told == [("ORD-7", 1250)]
    send(client, {**PAYMENT, "event_id": "event-0002", "amount_cents": 50})
    assert shop.told[-1] == ("ORD-7", 1300)
    rows = sqlite3.connect(path).execute("SELECT event_id, told_shop FROM payments").fetchall()
    assert rows == [("event-0001", 1), ("event-0002", 1)]


def test_a_shop_that_is_away_is_told_when_the_bank_delivers_again(client: FlaskClient, shop: Shop) -> None:
    shop.away = True
    answer = send(client)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    shop.away = False
    assert send(client).status_code == 200
    assert shop.told == [("ORD-7", 1250)]


@pytest.mark.parametrize(("secret", "age_s", "status"), [("old", 0, 200), ("wrong", 0, 401), ("new", 900, 401)])
def test_signatures(client: FlaskClient, secret: str, age_s: int, status: int) -> None:
    assert send(client, secret=secret, age_s=age_s).status_code == status


@pytest.mark.parametrize(
    ("payment", "status"),
    [({**PAYMENT, "amount_cents": -1}, 400), ({**PAYMENT, "order": 7}, 400), (b"{", 400), (b"[" * 890, 400), ([], 400), (b"x" * 2000, 413)],
)
def test_what_is_no_payment_is_refused(client: FlaskClient, payment: object, status: int) -> None:
    assert send(client, payment).status_code == status


def test_health_readiness_and_figures(client: FlaskClient) -> None:
    assert client.get("/health", headers={"X-Request-ID": "request-77"}).headers["X-Request-ID"] == "request-77"
    assert client.get("/ready").status_code == 200
    assert 'http_requests_total{endpoint="health.health",status="200"} 1' in client.get("/metrics").text


def test_a_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BANK_SECRET", raising=False)
    with pytest.raises(MissingSetting, match="BANK_SECRET"):
        Settings.from_environment()
