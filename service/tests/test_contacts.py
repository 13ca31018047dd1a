import pytest


def fields_sent(call):
    return {field["key"]: field["field_value"] for field in call.body["customFields"]}


@pytest.mark.parametrize("event_type", ["ContactUpdate", "contact.created", "contact.updated"])
def test_contact_events_are_scored_and_matched(send, contact, event_type, rows, matches):
    event = contact(event_type)
    response = send(event)
    assert response.status_code == 200
    assert response.json() == {"status": "processed", "event": event_type}
    (score,) = rows("SELECT * FROM lead_scores WHERE lead_id = ?", event["id"])
    assert (score["score"], score["tier"]) == (91, "hot")
    assert len(matches(event["id"])) == 10


def test_score_follows_the_lead(send, contact, rows):
    event = contact(custom={"timeline": "just looking"})
    send(event)
    (score,) = rows("SELECT * FROM lead_scores WHERE lead_id = ?", event["id"])
    assert (score["score"], score["tier"]) == (38, "cold")


def test_crm_gets_score_three_best_matches_and_tags(send, contact, upstream, matches):
    event = contact()
    send(event)
    calls = upstream.about(event["id"], "PUT")
    assert {call.path for call in calls} == {f"/contacts/{event['id']}"}
    sent = {}
    for call in calls:
        sent.update(fields_sent(call))
        assert call.headers["version"] == "2021-07-28"
    assert sent == {
        "ai_score": 91,
        "ai_tier": "hot",
        "matched_properties": [match["property_id"] for match in matches(event["id"])[:3]],
    }
    (tags,) = upstream.about(event["id"], "POST")
    assert tags.path == f"/contacts/{event['id']}/tags"
    assert tags.body == {"tags": ["ai-hot", "flow_buyers"]}


@pytest.mark.parametrize(
    ("location", "key"),
    [("loc_north", "key-north"), ("loc_south", "key-south"), ("loc_other", "key-default")],
)
def test_each_location_calls_with_its_own_token(send, contact, upstream, location, key):
    event = contact("ContactTagUpdate", locationId=location)
    assert send(event).status_code == 200
    assert {call.headers["authorization"] for call in upstream.about(event["id"], "PUT")} == {f"Bearer {key}"}


def test_outcome_is_stored(send, contact, rows, matches):
    event = contact()
    send(event)
    (lead,) = rows("SELECT * FROM leads WHERE ghl_id = ?", event["id"])
    assert (lead["email"], lead["city"], lead["tags"]) == (event["email"], "Denver", "buyer")
    assert [row["position"] for row in matches(event["id"])] == list(range(1, 11))
    actions = [
        row["action"]
        for row in rows("SELECT action FROM activity_log WHERE subject_id = ? ORDER BY id", event["id"])
    ]
    assert actions == ["scored", *["matched"] * 10, "crm_updated"]
    answers = rows("SELECT field, answer FROM qualification_answers WHERE contact_id = ?", event["id"])
    assert {row["field"]: row["answer"] for row in answers} == {
        "budget": "480000",
        "bedrooms": "3",
        "timeline": "now",
    }


def test_interest_is_counted_once_for_each_match(send, contact, rows, matches):
    total = "SELECT SUM(leads) AS leads FROM property_interest WHERE tier = 'hot'"
    before = rows(total)[0]["leads"]
    event = contact()
    send(event)
    assert rows(total)[0]["leads"] == before + 10
    best = matches(event["id"])[0]["property_id"]
    (counted,) = rows("SELECT leads FROM property_interest WHERE tier = 'hot' AND property_id = ?", best)
    assert counted["leads"] >= 1


def test_analytics_metrics_and_notifications(send, contact, rows, matches):
    total = "SELECT total FROM business_metrics WHERE location_id = 'loc_metrics' AND name = 'hot_leads'"
    event = contact(locationId="loc_metrics")
    send(event)
    send(contact(locationId="loc_metrics"))
    assert [row["total"] for row in rows(total)] == [2.0]
    events = rows("SELECT name, label FROM analytics_events WHERE contact_id = ? ORDER BY id", event["id"])
    assert [(row["name"], row["label"]) for row in events] == [
        ("lead_created", "website"),
        ("lead_scored", "hot"),
        *(("property_matched", str(match["property_id"])) for match in matches(event["id"])),
    ]
    (note,) = rows("SELECT * FROM notifications WHERE contact_id = ?", event["id"])
    assert note["agent_id"] == "agent_1"
    assert note["message"] == "New hot lead, 0 messages so far: Call them."


def test_an_update_replaces_matches_and_keeps_score_history(send, contact, rows, matches):
    event = contact()
    send(event)
    before = [row["property_id"] for row in matches(event["id"])]
    send(contact("ContactUpdate", id=event["id"], city="Tampa", email="moved@example.com"))
    (lead,) = rows("SELECT * FROM leads WHERE ghl_id = ?", event["id"])
    assert (lead["email"], lead["city"]) == ("moved@example.com", "Tampa")
    after = [row["property_id"] for row in matches(event["id"])]
    assert len(after) == 10
    assert set(after).isdisjoint(before)
    assert len(rows("SELECT * FROM lead_scores WHERE lead_id = ?", event["id"])) == 2


def test_the_agent_hears_of_a_new_tier(send, contact, rows):
    event = contact()
    send(event)
    send(contact("ContactUpdate", id=event["id"], custom={"timeline": "90 days"}))
    notes = rows("SELECT message FROM notifications WHERE contact_id = ? ORDER BY id", event["id"])
    assert notes[-1]["message"] == "Lead went from hot to cold, 60 % qualified"
    send(contact("ContactUpdate", id=event["id"], custom={"timeline": "90 days"}))
    assert len(rows("SELECT * FROM notifications WHERE contact_id = ?", event["id"])) == len(notes)


def test_tags_make_a_segment(send, contact, rows, upstream):
    for event_type in ("ContactTagUpdate", "contact.tagged"):
        event = contact(event_type, tags=["vip", "investor"])
        assert send(event).status_code == 200
        (call,) = upstream.about(event["id"], "PUT")
        assert fields_sent(call) == {"segment": "investor"}
        (lead,) = rows("SELECT tags FROM leads WHERE ghl_id = ?", event["id"])
        assert lead["tags"] == "vip, investor"
        (note,) = rows("SELECT message FROM notifications WHERE contact_id = ?", event["id"])
        assert note["message"] == "A contact became VIP"


def test_a_failed_crm_update_is_an_error_and_stores_nothing(send, contact, rows, upstream):
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


def test_failed_tags_do_not_fail_the_lead(send, contact, rows, upstream):
    event = contact()
    upstream.fail("POST", f"{event['id']}/tags")
    assert send(event).status_code == 200
    assert len(rows("SELECT * FROM lead_scores WHERE lead_id = ?", event["id"])) == 1


def test_without_coaching_the_agent_gets_the_usual_advice(send, contact, rows, upstream):
    event = contact(tags=["relocation"])
    upstream.fail("POST", "Intent: relocation")
    assert send(event).status_code == 200
    (note,) = rows("SELECT message FROM notifications WHERE contact_id = ?", event["id"])
    assert note["message"].endswith("ask the next open question.")
    upstream.failing.clear()


def test_outcome_is_stored_after_the_crm_update(send, contact, rows, upstream):
    event = contact()
    stored_before = []

    def watch(call):
        if call.method == "PUT":
            found = rows("SELECT * FROM lead_scores WHERE lead_id = ?", event["id"])
            stored_before.append(len(found))

    upstream.watchers[event["id"]] = watch
    assert send(event).status_code == 200
    assert stored_before
    assert set(stored_before) == {0}
    assert len(rows("SELECT * FROM lead_scores WHERE lead_id = ?", event["id"])) == 1


def test_questions_to_the_model_are_well_formed(send, contact, upstream):
    event = contact(source="form-check")
    send(event)
    (call,) = upstream.about("form-check", "POST")
    assert call.path == "/v1/messages"
    assert call.headers["x-api-key"] == "ai-key"
    assert call.headers["anthropic-version"]
    assert call.body["max_tokens"] > 0
    assert [message["role"] for message in call.body["messages"]] == ["user"]
