"""The service with real PostgreSQL and Redis servers."""

import asyncio
import functools
import hashlib
import hmac
import json
import shutil
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import pytest
import redis

from service.tests import servers
from service.tests.conftest import ADMIN, ENDPOINT, SECRET

needs_postgres = pytest.mark.skipif(
    not servers.postgres_program("initdb"), reason="PostgreSQL's initdb is not installed"
)
needs_redis = pytest.mark.skipif(not shutil.which("redis-server"), reason="redis-server is not installed")
pytestmark = [pytest.mark.servers, pytest.mark.long]


def post(client, event):
    body = json.dumps(event).encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return client.post(ENDPOINT, content=body, headers={"X-GHL-Signature": signature})


@pytest.fixture
def settings(upstream):
    return {
        "GHL_API_KEY": "key-default",
        "GHL_LOCATION_ID": "loc_default",
        "GHL_WEBHOOK_SECRET": SECRET,
        "GHL_WEBHOOK_ENDPOINT": ENDPOINT,
        "GHL_API_URL": upstream.url,
        "AI_API_URL": upstream.url,
        "AI_API_KEY": "ai-key",
        "ADMIN_TOKEN": ADMIN["X-Admin-Token"],
        "FIELD_KEY": "field-key-unit-test",
        "SEED_PROPERTIES": "400",
    }


def query(url: str, sql: str, *values):
    async def ask():
        connection = await asyncpg.connect(url)
        try:
            return [dict(row) for row in await connection.fetch(sql, *values)]
        finally:
            await connection.close()

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def postgres():
    """One server for all: to make a cluster takes longer than what is asked of it."""
    with servers.postgres() as url:
        ends = time.monotonic() + 30
        while True:
            try:
                query(url, "SELECT 1")
                break
            except asyncpg.CannotConnectNowError:  # its port is open before it is ready
                assert time.monotonic() < ends
                time.sleep(0.05)
        yield url


@pytest.fixture
def database(postgres):
    """The URL of an empty database."""
    name = f"leads_{uuid.uuid4().hex}"
    query(postgres, f"CREATE DATABASE {name}")
    return f"{postgres.rpartition('/')[0]}/{name}"


def eventually(read, expected) -> None:
    """A server may answer an event before all of its work is done."""
    ends = time.monotonic() + 10
    while read() != expected and time.monotonic() < ends:
        time.sleep(0.05)
    assert read() == expected


@needs_postgres
def test_every_flow_stores_in_postgres(settings, tmp_path, contact, message, database):
    url = database
    with servers.service(tmp_path, DATABASE_URL=url, **settings) as client:
        lead = contact()
        assert post(client, lead).status_code == 200
        assert post(client, message("My budget is around 450k", contactId=lead["id"])).status_code == 200
        assert post(client, contact("ContactUpdate", id=lead["id"], city="Tampa")).status_code == 200
        tagged = contact("ContactTagUpdate", id=lead["id"], tags=["vip"], email="ana@example.com")
        assert post(client, tagged).status_code == 200
        opportunity = {
            "type": "OpportunityCreate",
            "id": "opp",
            "contactId": lead["id"],
            "pipelineStageId": "stage_2",
        }
        assert post(client, opportunity).status_code == 200
        inner = {"id": "viewing", "contactId": lead["id"], "title": "12 Oak St"}
        assert post(client, {"type": "AppointmentCreate", "appointment": inner}).status_code == 200

        count = "SELECT count(*) FROM notifications WHERE contact_id = $1"
        eventually(lambda: query(url, count, lead["id"]), [{"count": 5}])
        (row,) = query(url, "SELECT * FROM leads WHERE ghl_id = $1", lead["id"])
        assert (row["city"], row["tags"], row["do_not_contact"]) == ("Denver", "vip", False)
        assert len(query(url, "SELECT * FROM lead_matches WHERE lead_id = $1", lead["id"])) == 10
        assert query(url, "SELECT stage FROM opportunities") == [{"stage": "Viewing"}]
        assert query(url, "SELECT title FROM appointments") == [{"title": "12 Oak St"}]
        answers = query(
            url,
            "SELECT answer FROM qualification_answers WHERE contact_id = $1 AND field = 'budget'",
            lead["id"],
        )
        assert answers == [{"answer": "480000"}]

        (found,) = client.post("/api/v1/leads/search", json={"email": "ana@example.com"}, headers=ADMIN).json()
        assert found["ghl_id"] == lead["id"]
        export = client.get(f"/api/v1/contacts/{lead['id']}/export", headers=ADMIN).json()
        assert [len(export[kind]) for kind in ("lead", "scores", "messages")] == [1, 2, 2]
        assert post(client, contact("ContactDelete", id=lead["id"])).status_code == 200
        for kind in (
            "leads WHERE ghl_id",
            "lead_scores WHERE lead_id",
            "conversation_messages WHERE contact_id",
        ):
            eventually(functools.partial(query, url, f"SELECT * FROM {kind} = $1", lead["id"]), [])


@needs_postgres
def test_a_second_start_keeps_what_postgres_holds(settings, tmp_path, contact, database):
    url = database
    with servers.service(tmp_path, DATABASE_URL=url, **settings) as client:
        lead = contact()
        post(client, lead)
        count = "SELECT count(*) FROM notifications"
        eventually(lambda: query(url, count), [{"count": 1}])
    with servers.service(tmp_path, DATABASE_URL=url, **settings) as client:
        score = f"/api/v1/leads/{lead['id']}/score"
        eventually(lambda: client.get(score, headers=ADMIN).json().get("tier"), "hot")
        assert query(url, "SELECT count(*) FROM properties") == [{"count": 400}]
        events = [contact(locationId="loc_a") for _ in range(8)]
        post(client, events[0])
        eventually(lambda: query(url, count), [{"count": 2}])
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda event: post(client, event).status_code, events[1:]))
        assert answers == [200] * 7
        totals = "SELECT total FROM business_metrics WHERE location_id = 'loc_a' AND name = 'leads'"
        eventually(lambda: query(url, totals), [{"total": 8.0}])


@needs_redis
def test_notifications_go_to_the_feed_in_redis(settings, tmp_path, contact):
    database = str(tmp_path / "leads.db")
    with (
        servers.redis_server(tmp_path) as url,
        servers.service(tmp_path, DATABASE_PATH=database, REDIS_URL=url, **settings) as client,
    ):

        def feed():
            entries = client.get("/api/v1/activity", params={"count": 5}, headers=ADMIN).json()
            return [entry["contact_id"] for entry in entries]

        first, second = contact(), contact()
        post(client, first)
        eventually(feed, [first["id"]])
        post(client, second)
        eventually(feed, [second["id"], first["id"]])
        assert redis.Redis.from_url(url).llen("activity:recent") == 2
        client.delete(f"/api/v1/contacts/{first['id']}", headers=ADMIN)
        assert feed() == [second["id"]]


def test_a_lost_redis_loses_no_lead(settings, tmp_path, contact):
    database = str(tmp_path / "leads.db")
    lost = f"redis://127.0.0.1:{servers.free_port()}/0"
    with servers.service(tmp_path, DATABASE_PATH=database, REDIS_URL=lost, **settings) as client:
        lead = contact()
        assert post(client, lead).status_code == 200
        score = f"/api/v1/leads/{lead['id']}/score"
        eventually(lambda: client.get(score, headers=ADMIN).json().get("tier"), "hot")
