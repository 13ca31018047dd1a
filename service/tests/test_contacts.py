import pytest


def fields_sent(call):
    return {field["key"]: field["field_value"] for field in call.body["customFields"]}


@pytest.mark.parametrize(
    "event_type", ["ContactCreate", "ContactUpdate", "contact.created", "contact.updated"]
)
def test_contact_events_are_scored_and_matched(send, contact, event_type):
    event = contact(event_type)
    response = send(event)
    assert response.status_code == 200
    answer = response.json()
    assert answer["status"] == "processed"
    assert answer["contact_id"] == event["id"]
    assert (answer["score"], answer["tier"]) == (91, "hot")
    assert len(answer["matches"]) == 10


def test_score_follows_the_lead(send, contact):
    answer = send(contact(custom={"timeline": "just looking"})).json()
    assert (answer["score"], answer["tier"]) == (38, "cold")


def test_crm_gets_score_and_three_best_matches(send, contact, upstream):
    event = contact()
    answer = send(event).json()
    (call,) = upstream.about(event["id"], "PUT")
    assert call.path == f"/contacts/{event['id']}"
    assert fields_sent(call) == {
        "ai_score": 91,
        "ai_tier": "hot",
        "matched_properties": [match["property_id"] for match in answer["matches"][:3]],
    }
    assert call.headers["version"] == "2021-07-28"


@pytest.mark.parametrize(
    ("location", "key"),
    [("loc_north", "key-north"), ("loc_south", "key-south"), ("loc_other", "key-default")],
)
def test_each_location_calls_with_its_own_token(send, contact, upstream, location, key):
    event = contact(locationId=location)
    assert send(event).status_code == 200
    (call,) = upstream.about(event["id"], "PUT")
    assert call.headers["authorization"] == f"Bearer {key}"


def test_outcome_is_stored(send, contact, rows):
    event = contact()
    answer = send(event).json()
    (lead,) = rows("SELECT * FROM leads WHERE ghl_id = ?", event["id"])
    assert (lead["email"], lead["city"], lead["status"]) == (event["email"], "Denver", "active")
    (score,) = rows("SELECT * FROM lead_scores WHERE lead_id = ?", event["id"])
    assert (score["score"], score["tier"]) == (91, "hot")
    stored = rows("SELECT * FROM lead_matches WHERE lead_id = ? ORDER BY position", event["id"])
    assert [row["property_id"] for row in stored][:10] == [m["property_id"] for m in answer["matches"]]
    actions = [
        row["action"]
        for row in rows("SELECT action FROM activity_log WHERE subject_id = ? ORDER BY id", event["id"])
    ]
    assert actions[0] == "scored"
    assert actions[-1] == "crm_updated"
    assert actions.count("matched") == len(stored)


def test_interest_is_counted_once_for_each_match(send, contact, rows):
    total = "SELECT SUM(leads) AS leads FROM property_interest WHERE tier = 'hot'"
    before = rows(total)[0]["leads"]
    event = contact()
    send(event)
    matches = rows("SELECT * FROM lead_matches WHERE lead_id = ?", event["id"])
    assert rows(total)[0]["leads"] == before + len(matches)


def test_an_update_replaces_matches_and_keeps_score_history(send, contact, rows):
    event = contact()
    send(event)
    later = contact("ContactUpdate", id=event["id"], city="Tampa", email="moved@example.com")
    answer = send(later).json()
    (lead,) = rows("SELECT * FROM leads WHERE ghl_id = ?", event["id"])
    assert (lead["email"], lead["city"]) == ("moved@example.com", "Tampa")
    stored = rows("SELECT * FROM lead_matches WHERE lead_id = ? ORDER BY position", event["id"])
    assert [row["position"] for row in stored] == list(range(1, len(stored) + 1))
    assert stored[0]["property_id"] == answer["matches"][0]["property_id"]
    assert len(rows("SELECT * FROM lead_scores WHERE lead_id = ?", event["id"])) == 2


def test_deleted_contact_is_marked(send, contact, rows):
    event = contact()
    send(event)
    assert send(contact("ContactDelete", id=event["id"])).status_code == 200
    (lead,) = rows("SELECT status FROM leads WHERE ghl_id = ?", event["id"])
    assert lead["status"] == "deleted"


def test_failed_crm_update_is_an_error_and_stores_nothing(send, contact, rows, upstream):
    event = contact()
    upstream.fail("PUT", event["id"])
    assert send(event).status_code in (500, 502, 503)
    assert upstream.about(event["id"], "PUT")
    assert rows("SELECT * FROM lead_scores WHERE lead_id = ?", event["id"]) == []
    assert rows("SELECT * FROM lead_matches WHERE lead_id = ?", event["id"]) == []


def test_failed_scoring_is_an_error_and_leaves_the_crm_alone(send, contact, rows, upstream):
    event = contact(source="scoring-outage")
    upstream.fail("POST", "scoring-outage")
    assert send(event).status_code in (500, 502, 503)
    assert upstream.about(event["id"], "PUT") == []
    assert rows("SELECT * FROM lead_scores WHERE lead_id = ?", event["id"]) == []


def test_outcome_is_stored_after_the_crm_update(send, contact, rows, upstream):
    event = contact()
    stored_before = []

    def watch(call):
        if call.method == "PUT":
            found = rows("SELECT * FROM lead_scores WHERE lead_id = ?", event["id"])
            stored_before.append(len(found))

    upstream.watchers[event["id"]] = watch
    assert send(event).status_code == 200
    assert stored_before == [0]
    assert len(rows("SELECT * FROM lead_scores WHERE lead_id = ?", event["id"])) == 1


def test_scoring_call_is_well_formed(send, contact, upstream):
    event = contact(source="form-check")
    send(event)
    (call,) = upstream.about("form-check", "POST")
    assert call.path == "/v1/messages"
    assert call.headers["x-api-key"] == "ai-key"
    assert call.headers["anthropic-version"]
    assert call.body["max_tokens"] > 0
    assert [message["role"] for message in call.body["messages"]] == ["user"]
