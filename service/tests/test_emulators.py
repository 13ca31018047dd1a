import json
import random

import pytest
from fastapi.testclient import TestClient

from service.emulators import answers, ghl, messages
from service.emulators.conditions import Conditions
from service.emulators.ghl_access import RateLimit, Tokens


def calm(error_rate: float = 0.0) -> Conditions:
    return Conditions(latency_ms=0, jitter_ms=0, error_rate=error_rate, rng=random.Random(3))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def crm(clock):
    app = ghl.create_app(calm(), Tokens(clock=clock), RateLimit(burst=5, clock=clock))
    return TestClient(app, headers={"Authorization": "Bearer t", "Version": "2021-07-28"})


def test_crm_wants_a_token_and_a_version(crm):
    assert crm.get("/contacts/c", headers={"Authorization": ""}).json() == {
        "statusCode": 401,
        "message": "Invalid JWT",
    }
    assert crm.get("/contacts/c", headers={"Version": "2021-04-15"}).status_code == 401
    assert crm.get("/contacts/c").status_code == 200


def test_crm_limits_each_location(crm, clock):
    answers = [crm.get("/contacts/c") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == list("432100")
    assert answers[0].headers["X-RateLimit-Max"] == "5"
    assert crm.get("/contacts/c", headers={"Authorization": "Bearer other"}).status_code == 200
    clock.now += 10
    assert crm.get("/contacts/c").status_code == 200


def test_crm_updates_contacts(crm):
    field = {"key": "ai_score", "field_value": 70}
    assert crm.put("/contacts/c", json={"customFields": [field], "city": "Austin"}).status_code == 200
    crm.put("/contacts/c", json={"customFields": [{**field, "field_value": 80}]})
    contact = crm.get("/contacts/c").json()["contact"]
    assert contact["customFields"] == [{"key": "ai_score", "field_value": 80}]
    assert contact["city"] == "Austin"
    refused = crm.put("/contacts/c", json={"locationId": "x"})
    assert refused.status_code == 422
    assert refused.json()["message"] == ["property locationId should not exist"]


def test_crm_upserts_by_email(crm):
    person = {"locationId": "l", "email": "a@example.com"}
    first = crm.post("/contacts/upsert", json=person).json()
    second = crm.post("/contacts/upsert", json={**person, "city": "Tampa"}).json()
    assert (first["new"], second["new"]) == (True, False)
    assert first["contact"]["id"] == second["contact"]["id"]
    found = crm.post("/contacts/search", json={"locationId": "l", "query": "a@ex"}).json()
    assert found["total"] == 1


def test_crm_tags(crm):
    assert crm.post("/contacts/c/tags", json={"tags": ["a", "b"]}).status_code == 201
    added = crm.post("/contacts/c/tags", json={"tags": ["b", "c"]}).json()
    assert added == {"tags": ["a", "b", "c"], "tagsAdded": ["c"]}
    removed = crm.request("DELETE", "/contacts/c/tags", json={"tags": ["a"]}).json()
    assert removed == {"tags": ["b", "c"], "tagsRemoved": ["a"]}


def test_oauth_tokens_expire_and_refresh_once(crm, clock):
    client = {"client_id": "i", "client_secret": "s"}
    form = {**client, "grant_type": "authorization_code", "code": "x"}
    token = crm.post("/oauth/token", data=form).json()
    bearer = {"Authorization": f"Bearer {token['access_token']}"}
    assert token["expires_in"] == 86399
    assert crm.get("/contacts/c", headers=bearer).status_code == 200
    clock.now += 86400
    assert crm.get("/contacts/c", headers=bearer).status_code == 401
    again = {**client, "grant_type": "refresh_token", "refresh_token": token["refresh_token"]}
    assert crm.post("/oauth/token", data=again).status_code == 200
    assert crm.post("/oauth/token", data=again).status_code == 400


def test_crm_fails_at_its_error_rate():
    app = ghl.create_app(calm(error_rate=1.0))
    client = TestClient(app, headers={"Authorization": "Bearer t", "Version": "2021-07-28"})
    assert client.put("/contacts/c", json={"city": "Austin"}).status_code == 500
    assert app.state.store.contacts == {}


def ask(text: str, **more) -> dict:
    return {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": text}], **more}


@pytest.mark.parametrize(
    ("system", "keys"),
    [
        ('Answer with {"score": 0}', {"score", "tier", "reasons"}),
        ('Answer with {"advice": ""}', {"advice", "next_step"}),
        ('Answer with {"intent": ""}', {"intent", "sentiment", "facts"}),
        ("Answer in a sentence", set()),
    ],
)
def test_messages_depend_on_the_question_only(system, keys):
    client = TestClient(
        messages.create_app(calm()), headers={"x-api-key": "k", "anthropic-version": "2026-10-21"}
    )
    texts = ("hello", "hello", *(f"question {number}" for number in range(8)))
    one, same, *others = (client.post("/v1/messages", json=ask(t, system=system)).json() for t in texts)
    assert one == same
    assert any(other["content"] != one["content"] for other in others)
    text = one["content"][0]["text"]
    assert (set(json.loads(text)) if keys else set()) == keys
    assert one["usage"]["input_tokens"] > 0
    assert one["usage"]["output_tokens"] > 0


def test_messages_find_facts():
    assert json.loads(answers.understand("around $450k, 3 bedrooms, in spring"))["facts"] == {
        "budget": "450000",
        "bedrooms": "3",
        "timeline": "spring",
    }


def test_a_new_connection_costs_a_handshake():
    conditions = calm()
    first, second = ("127.0.0.1", 5000), tuple(["127.0.0.1", 5000])
    assert [conditions.is_new_connection(c) for c in (first, first, second, second)] == [
        True,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    "body", [{}, ask(""), ask("a", temperature=0.5), ask("a", messages=[]), ask("a", max_tokens=0)]
)
def test_messages_checks_the_body(body):
    client = TestClient(
        messages.create_app(calm()), headers={"x-api-key": "k", "anthropic-version": "2026-10-21"}
    )
    response = client.post("/v1/messages", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_messages_wants_a_key_and_fails_at_its_error_rate():
    client = TestClient(messages.create_app(calm(error_rate=1.0)))
    version = {"anthropic-version": "2026-10-21"}
    assert client.post("/v1/messages", json=ask("a"), headers=version).status_code == 401
    bearer = {**version, "Authorization": "Bearer k"}
    statuses = {client.post("/v1/messages", json=ask("a"), headers=bearer).status_code for _ in range(2)}
    assert statuses == {529, 500}
