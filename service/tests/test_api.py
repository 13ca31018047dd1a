import hashlib
import hmac

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
    (lead,) = http.get("/api/v1/leads", params={"email": event["email"]}, headers=ADMIN).json()
    assert lead["ghl_id"] == event["id"]
    assert lead["first_name"] == "Ana"
    assert http.get("/api/v1/leads", params={"email": "nobody@example.com"}, headers=ADMIN).json() == []


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
    assert http.get("/api/v1/leads/unknown/score", headers=ADMIN).status_code == 404
