"""Bodies and addresses that a service's own tests send."""

from __future__ import annotations

import json
from pathlib import Path

from swarm.intake.webhooks.recorded import named_bodies, payload_files, posted
from tests.intake.strangers import write_tree


def test_bodies_handed_to_a_function_that_signs_and_posts(tmp_path: Path) -> None:
    text = """
        import json

        ORDER = {"id": "o-1", "lines": [{"sku": "A", "count": 2}]}


        def send(client, order, secret="s", at=None):
            body = json.dumps(order).encode()
            at = at or "1"
            return client.post("/hooks/acme/orders", content=body, headers={"X-Sig": sign(secret, at, body)})


        def made(number="o-9", **more):
            return {"id": number, "lines": [], **more}


        def test_one(client):
            send(client, ORDER)


        def test_others(client):
            order = made("o-2")
            send(client, order)
            send(client, order={"id": f"o-{3}", "note": None})
            send(client, made(), secret="wrong")
        """
    write_tree(tmp_path, {"tests/test_orders.py": text})
    found = posted(tmp_path, "/hooks/{shop}/orders")
    assert found.path == "/hooks/acme/orders"
    assert not found.is_form
    assert list(found.bodies) == [
        {"id": "o-1", "lines": [{"sku": "A", "count": 2}]},
        {"id": "o-3", "note": None},
        {"id": "o-2", "lines": []},
        {"id": "o-9", "lines": []},
    ]


def test_names_mean_what_they_mean_where_they_are_used(tmp_path: Path) -> None:
    text = """
        def test_a(client):
            event = {"kind": "paid"}
            client.post("/", json=event)


        def test_b(client):
            event = {"kind": "sent", "to": "x"}
            client.post("/", json=event)


        def test_elsewhere(client):
            client.post("/other", json={"no": 1})
        """
    write_tree(tmp_path, {"tests/test_app.py": text})
    assert posted(tmp_path, "/").bodies == ({"kind": "sent", "to": "x"}, {"kind": "paid"})


def test_a_name_of_itself_ends(tmp_path: Path) -> None:
    text = """
        x = dict(x)


        def again():
            return again()


        client.post("/a", json=x)
        client.post("/a", json=again())
        """
    write_tree(tmp_path, {"tests/test_app.py": text})
    assert posted(tmp_path, "/a").bodies == ()


def test_files_that_hold_most_fields_come_first(tmp_path: Path) -> None:
    bodies = {
        "one": {"action": 1, "issue": {}, "sender": {}},
        "most": {"action": 1, "issue": {}, "sender": {}, "label": {}},
        "settings": {"action": 1, "colour": "red"},
    }
    write_tree(tmp_path, {f"tests/payloads/{name}.json": json.dumps(body) for name, body in bodies.items()})
    fields = {"action", "issue", "sender", "label", "comment"}
    assert [name for name, _ in payload_files(tmp_path, fields)] == [
        "tests/payloads/most.json", "tests/payloads/one.json",
    ]  # fmt: skip


def test_a_client_of_the_tests_that_signs_and_posts(tmp_path: Path) -> None:
    files = {
        "tests/conftest.py": """
            class Client(TestClient):
                def webhook(self, data):
                    body = json.dumps(data).encode()
                    return self.post("/hooks/", data=body, headers=signed(body))
            """,
        "tests/test_events.py": """
            def test_it(client):
                client.webhook({"action": "opened", "number": 7})
            """,
    }
    write_tree(tmp_path, files)
    found = posted(tmp_path, "/hooks/")
    assert found.bodies == ({"action": "opened", "number": 7},)
    assert found.path == "/hooks/"


def test_tables_with_a_name_that_hold_all_fields(tmp_path: Path) -> None:
    text = """
        OPENED = {"action": "opened", "repository": {"name": "shop"}, "sender": 1}
        SHORT = {"action": "opened"}


        def test_it():
            closed = {"action": "closed", "repository": {}}
            assert Event.model_validate(OPENED)
        """
    write_tree(tmp_path, {"tests/test_models.py": text})
    assert named_bodies(tmp_path, {"action", "repository"}) == (
        {"action": "opened", "repository": {"name": "shop"}, "sender": 1},
    )
    assert named_bodies(tmp_path, {"action"}) == ()


def test_helper_that_posts_to_an_address_unless_it_is_told_another(tmp_path: Path) -> None:
    text = """
        import json


        def send(client, payload, path="/hooks/print"):
            return client.post(path, data=json.dumps(payload), headers={"X-Sig": "s"})


        def test_some(client):
            send(client, {"event": "placed"})
            send(client, {"event": "cancelled"}, path="/hooks/print")
            send(client, {"url": "x"}, "/hooks/preview")
        """
    write_tree(tmp_path, {"tests/test_print.py": text})
    assert posted(tmp_path, "/hooks/print").bodies == ({"event": "cancelled"}, {"event": "placed"})
