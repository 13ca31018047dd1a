def test_event_is_answered_and_kept(client, deliver):
    answer = deliver(event_id="evt-1", status="picked_up")
    assert answer.status_code == 200
    assert answer.json["event_id"] == "evt-1"
    assert answer.json["order_id"] == 3
    assert answer.json["mailed"] is True
    kept = client.get("/orders/3/events").json["events"]
    assert kept == [{"event_id": "evt-1", "courier": "swift", "status": "picked_up", "location": "Depot 7"}]


def test_weight_is_the_sum_over_the_lines(deliver):
    # order 3: SKU-21, -32, -43, -54, -5, -16 with quantities 1, 2, 3, 1, 2, 3
    grams = {21: 1, 32: 2, 43: 3, 54: 1, 5: 2, 16: 3}
    expected = sum((150 + n * 35) * quantity for n, quantity in grams.items())
    assert deliver(order_id=3).json["weight_g"] == expected


def test_customer_gets_a_mail_with_the_goods(deliver, neighbours):
    assert deliver(status="delivered").status_code == 200
    [(_, _, mail, headers)] = neighbours.received("POST", "/v3/send")
    assert mail["to"] == "dilan.3@customers.example"
    assert mail["subject"] == "Your parcel has arrived"
    assert "Depot 7" in mail["text"]
    assert "1 x Chess set no. 21" in mail["text"]
    assert headers["X-Postbox-Key"] == "postbox-key"


def test_no_mail_for_those_who_want_none(deliver, neighbours):
    neighbours.wants_mail = False
    answer = deliver()
    assert answer.status_code == 200
    assert answer.json["mailed"] is False
    assert neighbours.received("POST", "/v3/send") == []


def test_shop_hears_of_it_after_the_customer(deliver, neighbours):
    deliver(order_id=5, status="failed")
    [(_, path, told, headers)] = neighbours.received("POST", "/orders/")
    assert path == "/orders/5/status"
    assert told == {"status": "failed", "eta": "2026-05-04"}
    assert headers["Authorization"] == "Bearer shop-token"
    assert [call[1] for call in neighbours.received("POST", "/")] == ["/v3/send", "/orders/5/status"]


def test_wrong_secret_and_changed_body_are_refused(client, deliver, neighbours):
    assert deliver(secret="another").status_code == 401
    assert deliver(tamper=b" ").status_code == 401
    assert client.post("/hooks/courier", json={"order_id": 3}).status_code in (400, 401, 403)
    assert neighbours.calls == []


def test_unknown_order(deliver, neighbours):
    assert deliver(order_id=999).status_code == 404
    assert neighbours.received("POST", "/") == []


def test_courier_down_means_an_error_and_no_news(client, deliver, neighbours):
    neighbours.broken = {"/v2/parcels/"}
    assert deliver(order_id=4).status_code >= 500
    assert neighbours.received("POST", "/") == []
    assert client.get("/orders/4/events").json["events"] == []


def test_search_by_name(client, deliver):
    found = client.get("/orders/search", query_string={"q": "Moretti"}).json["orders"]
    assert [order["id"] for order in found] == [2, 7, 12]
    deliver(order_id=7, status="delivered")
    found = client.get("/orders/search", query_string={"q": "Moretti"}).json["orders"]
    assert [order["status"] for order in found] == ["packed", "delivered", "packed"]
