import hashlib
import hmac

import pytest

from service.tests.conftest import ADMIN, ENDPOINT, SECRET


def test_health(http):
    response = http.get("/health")
    assert response.status_code == 200
    assert response.json()["status"] == "ok"


def test_wrong_signature_is_refused(send, contact, upstream, rows):
    event = contact()
    assert send(event, secret="somebody else's").status_code == 401
    assert upstream.about(event["id"]) == []
    assert rows("SELECT * FROM leads WHERE ghl_id = ?", event["id"]) == []


def test_missing_signature_is_refused(http, contact):
    assert http.post(ENDPOINT, json=contact()).status_code == 401


def test_signature_of_another_body_is_refused(http, contact):
    signature = hmac.new(SECRET.encode(), b"{}", hashlib.sha256).hexdigest()
    response = http.post(ENDPOINT, json=contact(), headers={"X-GHL-Signature": signature})
    assert response.status_code == 401


def test_a_body_that_is_not_json_is_refused(http):
    body = b"type=ContactCreate"
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    response = http.post(ENDPOINT, content=body, headers={"X-GHL-Signature": signature})
    assert response.status_code in (400, 415, 422)


def test_leads_are_found_by_email(http, send, contact):
    event = contact()
    send(event)
    (lead,) = http.post("/api/v1/leads/search", json={"email": event["email"].upper()}, headers=ADMIN).json()
    assert lead["ghl_id"] == event["id"]
    assert (lead["email"], lead["first_name"]) == (event["email"], "Ana")
    assert http.post("/api/v1/leads/search", json={"email": "nobody@example.com"}, headers=ADMIN).json() == []


def test_leads_of_a_city(http, send, contact):
    event = contact(city="Santa Fe")
    send(event)
    found = http.get("/api/v1/leads", params={"city": "Santa Fe"}, headers=ADMIN).json()
    assert [lead["ghl_id"] for lead in found] == [event["id"]]
    assert http.get("/api/v1/leads", params={"city": "Nowhere"}, headers=ADMIN).json() == []


def test_personal_data_lies_encrypted(send, contact, message, raw_rows):
    event = contact()
    send(event)
    send(message("My number is 4711", contactId=event["id"]))
    (lead,) = raw_rows("SELECT * FROM leads WHERE ghl_id = ?", event["id"])
    stored = [lead[name] for name in ("email", "phone", "first_name", "last_name")]
    messages = "SELECT body FROM conversation_messages WHERE contact_id = ?"
    stored += [row["body"] for row in raw_rows(messages, event["id"])]
    assert len(stored) == 6 and all(value.startswith("box1:") for value in stored)
    assert event["email"] not in lead["email_digest"] and len(lead["email_digest"]) == 64


def test_without_a_key_nothing_is_stored(monkeypatch):
    from service import encryption

    monkeypatch.setattr(encryption.ghl_config, "FIELD_KEY", "")
    encryption.key_for.cache_clear()
    encryption.box.cache_clear()
    with pytest.raises(RuntimeError, match="FIELD_KEY"):
        encryption.Encrypted().process_bind_param("Ana", None)
    monkeypatch.undo()


def test_matches_of_a_lead(http, send, contact, matches):
    event = contact()
    send(event)
    found = http.get(f"/api/v1/leads/{event['id']}/matches", headers=ADMIN).json()
    assert [row["property_id"] for row in found] == [row["property_id"] for row in matches(event["id"])]
    assert len(found) == 10
    assert http.get("/api/v1/leads/unknown/matches", headers=ADMIN).json() == []


def test_latest_score_of_a_lead(http, send, contact):
    event = contact()
    send(event)
    send(contact("ContactUpdate", id=event["id"], custom={"timeline": "90 days"}))
    score = http.get(f"/api/v1/leads/{event['id']}/score", headers=ADMIN).json()
    assert (score["score"], score["tier"]) == (38, "cold")
    assert score["reasons"]
    assert http.get("/api/v1/leads/unknown/score", headers=ADMIN).status_code == 404


def test_a_score_can_be_looked_at_again(http, send, contact, rows):
    event = contact()
    send(event)
    assert http.post(f"/api/v1/leads/{event['id']}/review", headers=ADMIN).status_code == 202
    asked = "SELECT * FROM activity_log WHERE subject_id = ? AND action = 'review_requested'"
    assert len(rows(asked, event["id"])) == 1
    assert http.post("/api/v1/leads/unknown/review", headers=ADMIN).status_code == 404
