import uuid
from datetime import UTC, datetime

import pytest


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


def appointment(event_type="AppointmentCreate"):
    return {
        "type": event_type,
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
    assert send(event).status_code == 200
    (row,) = rows("SELECT * FROM opportunities WHERE id = ?", event["id"])
    assert (row["stage"], row["status"], row["amount"]) == ("Viewing", "won", 410000.0)
    (call,) = upstream.about(event["contactId"], "POST")
    assert call.path == f"/contacts/{event['contactId']}/tags"
    assert call.body == {"tags": ["opportunity-won"]}


def test_opportunity_of_unknown_stage_keeps_the_id(send, rows):
    event = opportunity(pipelineStageId="stage_99")
    assert send(event).status_code == 200
    (row,) = rows("SELECT stage FROM opportunities WHERE id = ?", event["id"])
    assert row["stage"] == "stage_99"


@pytest.mark.parametrize(
    "event_type", ["OpportunityCreate", "opportunity.created", "opportunity.status_changed"]
)
def test_every_name_of_an_opportunity_event(send, rows, event_type):
    event = opportunity(type=event_type, status="open")
    assert send(event).json() == {"status": "processed", "event": event_type}
    assert len(rows("SELECT * FROM opportunities WHERE id = ?", event["id"])) == 1


def test_a_later_status_replaces_the_first(send, rows):
    event = opportunity(status="open", locationId="loc_deals")
    send(event)
    send({**event, "status": "won", "webhookId": str(uuid.uuid4())})
    (row,) = rows("SELECT * FROM opportunities WHERE id = ?", event["id"])
    assert row["status"] == "won"
    totals = rows("SELECT name, total FROM business_metrics WHERE location_id = 'loc_deals'")
    assert {row["name"]: row["total"] for row in totals} == {
        "open_opportunities": 1,
        "open_value": 410000,
        "won_opportunities": 1,
        "won_value": 410000,
    }


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


@pytest.mark.parametrize("event_type", ["AppointmentCreate", "appointment.booked"])
def test_appointment_is_confirmed_and_stored(send, rows, upstream, event_type):
    event = appointment(event_type)
    inner = event["appointment"]
    assert send(event).status_code == 200
    (call,) = upstream.about(inner["contactId"], "POST")
    assert call.headers["version"] == "2021-04-15"
    assert call.headers["authorization"] == "Bearer key-south"
    assert "12 Oak St" in call.body["message"]
    (row,) = rows("SELECT * FROM appointments WHERE id = ?", inner["id"])
    assert row["status"] == "confirmed"
    assert row["message_id"] == f"msg-{inner['contactId']}"
    (update,) = upstream.about(inner["contactId"], "PUT")
    assert update.body["customFields"] == [{"key": "next_viewing", "field_value": inner["startTime"]}]
    (note,) = rows("SELECT message FROM notifications WHERE contact_id = ?", inner["contactId"])
    assert note["message"] == "Viewing booked: 12 Oak St. Call them."


def test_an_event_of_no_interest_does_nothing(send, upstream):
    before = len(upstream.calls)
    response = send(
        {
            "type": "NoteCreate",
            "id": "note",
            "webhookId": str(uuid.uuid4()),
            "timestamp": datetime.now(UTC).isoformat(),
        }
    )
    assert response.status_code == 200
    assert response.json()["event"] == "NoteCreate"
    assert len(upstream.calls) == before
