import uuid
from datetime import UTC, datetime


def opportunity(**fields):
    return {
        "type": "OpportunityStatusUpdate",
        "locationId": "loc_north",
        "id": uuid.uuid4().hex,
        "contactId": uuid.uuid4().hex,
        "pipelineId": "pipe_buyers",
        "pipelineStageId": "stage_2",
        "name": "Purchase",
        "status": "won",
        "monetaryValue": 410000,
        "timestamp": datetime.now(UTC).isoformat(),
        "webhookId": str(uuid.uuid4()),
        **fields,
    }


def appointment():
    return {
        "type": "AppointmentCreate",
        "locationId": "loc_south",
        "appointment": {
            "id": uuid.uuid4().hex,
            "contactId": uuid.uuid4().hex,
            "calendarId": "cal_viewings",
            "title": "12 Oak St",
            "startTime": "2026-06-01T15:00:00Z",
            "appointmentStatus": "confirmed",
        },
        "timestamp": datetime.now(UTC).isoformat(),
        "webhookId": str(uuid.uuid4()),
    }


def test_opportunity_is_stored_with_its_stage_and_tagged(send, rows, upstream):
    event = opportunity()
    response = send(event)
    assert response.status_code == 200
    assert response.json()["stage"] == "Viewing"
    (row,) = rows("SELECT * FROM opportunities WHERE id = ?", event["id"])
    assert (row["stage"], row["status"], row["value"]) == ("Viewing", "won", 410000.0)
    (call,) = upstream.about(event["contactId"], "POST")
    assert call.path == f"/contacts/{event['contactId']}/tags"
    assert call.body == {"tags": ["opportunity-won"]}


def test_opportunity_of_unknown_stage_keeps_the_id(send):
    assert send(opportunity(pipelineStageId="stage_99")).json()["stage"] == "stage_99"


def test_a_tag_that_is_there_is_not_written_again(send, upstream):
    event = opportunity()
    upstream.contact_tags[event["contactId"]] = ["opportunity-won"]
    assert send(event).status_code == 200
    assert upstream.about(event["contactId"], "POST") == []


def test_a_failed_tag_does_not_fail_the_opportunity(send, rows, upstream):
    event = opportunity()
    upstream.fail("POST", f"{event['contactId']}/tags")
    assert send(event).status_code == 200
    assert len(rows("SELECT * FROM opportunities WHERE id = ?", event["id"])) == 1


def test_a_failed_contact_read_fails_the_opportunity(send, rows, upstream):
    event = opportunity()
    upstream.fail("GET", event["contactId"])
    assert send(event).status_code in (500, 502, 503)
    assert rows("SELECT * FROM opportunities WHERE id = ?", event["id"]) == []


def test_appointment_is_confirmed_and_stored(send, rows, upstream):
    event = appointment()
    inner = event["appointment"]
    assert send(event).status_code == 200
    (call,) = upstream.about(inner["contactId"], "POST")
    assert call.headers["version"] == "2021-04-15"
    assert call.headers["authorization"] == "Bearer key-south"
    assert "12 Oak St" in call.body["message"]
    (row,) = rows("SELECT * FROM appointments WHERE id = ?", inner["id"])
    assert row["status"] == "confirmed"
    assert row["message_id"] == f"msg-{inner['contactId']}"


def test_an_event_of_no_interest_is_ignored(send, upstream):
    before = len(upstream.calls)
    response = send({"type": "NoteCreate", "id": "note", "webhookId": str(uuid.uuid4()),
                     "timestamp": datetime.now(UTC).isoformat()})
    assert response.status_code == 200
    assert response.json() == {"status": "ignored"}
    assert len(upstream.calls) == before
