import hashlib
import hmac
import json
import os
import sqlite3
import sys
import tempfile
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from service.tests.upstream import FakeUpstream  # noqa: E402

SECRET = "unit-test-secret"
ENDPOINT = "/api/v1/ghl/webhook"
ADMIN = {"X-Admin-Token": "admin-unit-test"}


def pytest_configure(config):
    config.addinivalue_line("markers", "servers: starts a real PostgreSQL or Redis server")


@pytest.fixture(scope="session")
def upstream():
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture(scope="session")
def database():
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "leads.db"


@pytest.fixture(scope="session")
def http(upstream, database):
    os.environ.update(
        GHL_API_KEY="key-default",
        GHL_LOCATION_ID="loc_default",
        GHL_LOCATION_TOKENS="loc_north:key-north,loc_south:key-south",
        GHL_WEBHOOK_SECRET=SECRET,
        GHL_WEBHOOK_ENDPOINT=ENDPOINT,
        GHL_API_URL=upstream.url,
        AI_API_URL=upstream.url,
        AI_API_KEY="ai-key",
        ADMIN_TOKEN=ADMIN["X-Admin-Token"],
        FIELD_KEY="field-key-unit-test",
        DATABASE_PATH=str(database),
        SEED_PROPERTIES="320",
        NO_PROXY="127.0.0.1,localhost",
        SSL_CERT_DIR=str(database.parent),  # loopback speaks plain HTTP: no CA bundle to load
    )
    for name in ("SSL_CERT_FILE", "DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    from service.app import app

    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def send(http):
    """Post an event the way GoHighLevel does."""

    def post(event: dict, secret: str = SECRET):
        body = json.dumps(event).encode()
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-GHL-Signature": signature, "Content-Type": "application/json"}
        return http.post(ENDPOINT, content=body, headers=headers)

    return post


@pytest.fixture
def matches(rows):
    """The stored shortlist of a lead, best first."""

    def read(lead_id: str):
        return rows("SELECT * FROM lead_matches WHERE lead_id = ? ORDER BY position", lead_id)

    return read


@pytest.fixture
def rows(raw_rows):
    """Rows of a query, encrypted columns readable."""

    def query(sql: str, *values):
        return [{name: readable(value) for name, value in row.items()} for row in raw_rows(sql, *values)]

    return query


def readable(value):
    from service.encryption import PREFIX, decrypt

    return decrypt(value) if isinstance(value, str) and value.startswith(PREFIX) else value


@pytest.fixture
def raw_rows(database):
    def query(sql: str, *values):
        conn = sqlite3.connect(database)
        conn.row_factory = sqlite3.Row
        found = [dict(row) for row in conn.execute(sql, values)]
        conn.close()
        return found

    return query


@pytest.fixture
def contact():
    """A contact event of a fresh contact; fields by keyword, custom fields under `custom`."""

    def build(event_type: str = "ContactCreate", custom: dict | None = None, **fields):
        now = datetime.now(UTC).isoformat()
        answers = {"budget": "480000", "bedrooms": "3", "timeline": "now", **(custom or {})}
        return {
            "type": event_type,
            "locationId": "loc_north",
            "id": uuid.uuid4().hex,
            "email": f"{uuid.uuid4().hex[:12]}@example.com",
            "phone": "+15125550100",
            "firstName": "Ana",
            "lastName": "Lopez",
            "city": "Denver",
            "source": "website",
            "tags": ["buyer"],
            "customFields": [{"id": key, "value": value} for key, value in answers.items()],
            "dateAdded": now,
            "timestamp": now,
            "webhookId": str(uuid.uuid4()),
            **fields,
        }

    return build


@pytest.fixture
def message():
    """An inbound message of a contact that never wrote before."""

    def build(body: str = "Is the house on Oak St still available?", **fields):
        now = datetime.now(UTC).isoformat()
        return {
            "type": "InboundMessage",
            "locationId": "loc_north",
            "contactId": uuid.uuid4().hex,
            "conversationId": uuid.uuid4().hex,
            "messageType": "SMS",
            "direction": "inbound",
            "body": body,
            "dateAdded": now,
            "timestamp": now,
            "webhookId": str(uuid.uuid4()),
            **fields,
        }

    return build
