import pytest


def stored(rows, event):
    found = rows(
        "SELECT direction, body FROM conversation_messages WHERE contact_id = ? ORDER BY id",
        event["contactId"],
    )
    return [(row["direction"], row["body"]) for row in found]


@pytest.mark.parametrize("event_type", ["InboundMessage", "message.inbound"])
def test_a_message_is_answered_and_both_are_stored(send, message, rows, upstream, event_type):
    event = message(type=event_type)
    response = send(event)
    assert response.status_code == 200
    assert response.json() == {"status": "processed", "event": event_type}
    (sent,) = upstream.about(event["contactId"], "POST")
    assert sent.path == "/conversations/messages"
    assert sent.headers["version"] == "2021-04-15"
    assert sent.body["message"] == "It is. When would you like to see it?"
    assert stored(rows, event) == [("inbound", event["body"]), ("outbound", sent.body["message"])]
    (update,) = upstream.about(event["contactId"], "PUT")
    assert update.body["customFields"] == [
        {"key": "last_intent", "field_value": "availability"},
        {"key": "qualified_percent", "field_value": 0},
    ]


def test_facts_in_a_message_qualify_the_lead(send, message, rows, upstream):
    event = message("My budget is around 450k, tag-7")
    send(event)
    answers = rows("SELECT * FROM qualification_answers WHERE contact_id = ?", event["contactId"])
    assert [(row["field"], row["answer"]) for row in answers] == [("budget", "450000")]
    (update,) = upstream.about(event["contactId"], "PUT")
    assert {"key": "qualified_percent", "field_value": 20} in update.body["customFields"]
    reply = next(call for call in upstream.about("tag-7", "POST") if "You answer" in call.body["system"])
    assert "Known: budget" in reply.body["messages"][0]["content"]
    assert "Next question: When would you like to move?" in reply.body["messages"][0]["content"]


def test_the_agent_hears_of_first_and_of_unhappy_messages(send, message, rows):
    first = message()
    send(first)
    count = "SELECT * FROM notifications WHERE contact_id = ?"
    assert len(rows(count, first["contactId"])) == 1
    send(message(contactId=first["contactId"]))
    assert len(rows(count, first["contactId"])) == 1
    send(message("I am disappointed", contactId=first["contactId"]))
    assert len(rows(count, first["contactId"])) == 2


def test_who_opts_out_is_left_alone(send, message, contact, rows, upstream):
    lead = contact()
    send(lead)
    event = message("STOP", contactId=lead["id"])
    assert send(event).status_code == 200
    (row,) = rows("SELECT * FROM leads WHERE ghl_id = ?", lead["id"])
    assert (row["do_not_contact"], row["email"]) == (1, lead["email"])
    assert upstream.about(lead["id"], "PUT")[-1].body == {"dnd": True}

    send(contact("ContactUpdate", id=lead["id"]))
    send(message("Is it still available?", contactId=lead["id"]))
    sent = [call for call in upstream.about(lead["id"], "POST") if call.path.startswith("/conversations")]
    assert sent == []
    assert ("inbound", "Is it still available?") in stored(rows, event)


@pytest.mark.parametrize("word", ["Stop", "unsubscribe", "Quit."])
def test_who_never_wrote_can_opt_out(send, message, rows, word):
    event = message(word)
    send(event)
    (row,) = rows("SELECT do_not_contact FROM leads WHERE ghl_id = ?", event["contactId"])
    assert row["do_not_contact"] == 1


def test_a_contact_with_dnd_in_the_crm_gets_no_message(send, message, contact, upstream):
    lead = contact(dnd=True)
    send(lead)
    send(message(contactId=lead["id"]))
    assert [call for call in upstream.about(lead["id"]) if call.path.startswith("/conversations")] == []


def test_a_message_that_could_not_be_sent_is_not_stored_as_sent(send, message, rows, upstream):
    event = message()
    upstream.fail("POST", event["contactId"])
    send(event)
    assert stored(rows, event) == [("inbound", event["body"])]


def test_a_message_that_is_not_understood_is_an_error(send, message, rows, upstream):
    event = message("outage-of-the-model")
    upstream.fail("POST", "outage-of-the-model")
    assert send(event).status_code in (500, 502, 503)
    assert stored(rows, event) == []
