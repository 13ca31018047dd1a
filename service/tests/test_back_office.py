import sqlite3

import pytest

from service.tests.conftest import ADMIN


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/contacts/c/export"),
        ("DELETE", "/api/v1/contacts/c"),
        ("POST", "/api/v1/privacy/purge"),
        ("PUT", "/api/v1/flows/flow_buyers"),
        ("PUT", "/api/v1/tenants/loc_a"),
        ("GET", "/api/v1/activity"),
        ("GET", "/api/v1/leads?city=Austin"),
        ("POST", "/api/v1/leads/search"),
        ("POST", "/api/v1/leads/c/review"),
        ("GET", "/api/v1/leads/c/score"),
        ("GET", "/api/v1/leads/c/matches"),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"X-Admin-Token": "wrong"}])
def test_routes_want_the_admin_token(http, method, path, headers):
    body = {} if method == "PUT" else None
    assert http.request(method, path, json=body, headers=headers).status_code == 403


def test_export_has_everything_about_a_contact(http, send, contact, message):
    event = contact()
    send(event)
    send(message("Can I see it?", contactId=event["id"]))
    export = http.get(f"/api/v1/contacts/{event['id']}/export", headers=ADMIN).json()
    assert export["lead"][0]["email"] == event["email"]
    assert export["scores"][0]["tier"] == "hot"
    assert len(export["matches"]) == 10
    assert [row["direction"] for row in export["messages"]] == ["inbound", "outbound"]
    assert {row["field"] for row in export["answers"]} == {"budget", "bedrooms", "timeline"}
    assert export["activity"] and export["analytics"] and export["notifications"]
    assert http.get("/api/v1/contacts/nobody/export", headers=ADMIN).status_code == 404


def everything(database) -> str:
    conn = sqlite3.connect(database)
    text = "\n".join(conn.iterdump())
    conn.close()
    return text


@pytest.mark.parametrize("way", ["route", "ContactDelete"])
def test_nothing_is_left_of_an_erased_contact(http, send, contact, message, database, rows, way):
    event = contact()
    send(event)
    send(message("Can I see it?", contactId=event["id"]))
    other = contact()
    send(other)
    (digest,) = (row["email_digest"] for row in rows("SELECT * FROM leads WHERE ghl_id = ?", event["id"]))
    assert event["id"] in everything(database)
    if way == "route":
        assert http.delete(f"/api/v1/contacts/{event['id']}", headers=ADMIN).status_code == 200
    else:
        assert send(contact(way, id=event["id"])).status_code == 200
    left = everything(database)
    assert event["id"] not in left
    assert digest not in left
    assert other["id"] in left


def test_purge_erases_what_is_too_old(http, send, contact, database, rows):
    old, new = contact(), contact()
    send(old)
    send(new)
    conn = sqlite3.connect(database)
    conn.execute("UPDATE leads SET updated_at = '2020-01-01T00:00:00+00:00' WHERE ghl_id = ?", (old["id"],))
    conn.commit()
    conn.close()
    assert http.post("/api/v1/privacy/purge", headers=ADMIN).json() == {"erased": 1}
    assert rows("SELECT * FROM lead_scores WHERE lead_id = ?", old["id"]) == []
    assert len(rows("SELECT * FROM leads WHERE ghl_id = ?", new["id"])) == 1
    assert http.post("/api/v1/privacy/purge", headers=ADMIN).json() == {"erased": 0}


def test_a_changed_flow_is_used_from_then_on(http, send, contact, upstream):
    before = http.put("/api/v1/flows/flow_relocation", json={}, headers=ADMIN)
    assert before.json()["stage"] == "planning"
    answer = http.put("/api/v1/flows/flow_relocation", json={"stage": "moving"}, headers=ADMIN)
    assert answer.json()["stage"] == "moving"
    send(contact(locationId="loc_i"))  # the first tenant with this flow
    assert upstream.about("Stage: moving", "POST")
    http.put("/api/v1/flows/flow_relocation", json={"stage": "planning"}, headers=ADMIN)


def test_a_changed_tenant_is_used_from_then_on(http, send, message, upstream):
    answer = http.put("/api/v1/tenants/loc_d", json={"auto_reply": False}, headers=ADMIN)
    assert answer.json()["auto_reply"] is False
    event = message(locationId="loc_d")
    assert send(event).status_code == 200
    assert upstream.about(event["contactId"], "POST") == []
    http.put("/api/v1/tenants/loc_d", json={"auto_reply": True}, headers=ADMIN)
    event = message(locationId="loc_d")
    send(event)
    assert len(upstream.about(event["contactId"], "POST")) == 1


def test_without_redis_there_is_no_feed(http):
    assert http.get("/api/v1/activity", headers=ADMIN).json() == []
