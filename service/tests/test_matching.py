from types import SimpleNamespace as Home

from service import seed


def home(row):
    return Home(**row)


def test_catalogue_is_always_the_same():
    assert list(seed.catalogue(60)) == list(seed.catalogue(60))
    homes = list(seed.catalogue(80))
    assert [home["id"] for home, _ in homes] == list(range(1, 81))
    assert all(row["property_id"] == home["id"] for home, features in homes for row in features)


def test_matches_are_active_properties_of_the_city(send, contact, rows):
    event = contact(city="Miami")
    send(event)
    found = rows(
        "SELECT p.city, p.status FROM lead_matches m JOIN properties p ON p.id = m.property_id"
        " WHERE m.lead_id = ?",
        event["id"],
    )
    assert len(found) == 10
    assert {(row["city"], row["status"]) for row in found} == {("Miami", "active")}


def test_the_best_fit_comes_first(send, contact, rows, matches):
    from service.ghl.models import LeadProfile
    from service.properties import rank

    event = contact(
        city="Houston",
        custom={"budget": "520000", "bedrooms": "4", "property_type": "condo", "must_haves": "pool, garage"},
    )
    send(event)

    lead = LeadProfile.from_ghl_contact(event)
    features: dict[int, list[str]] = {}
    for row in rows("SELECT * FROM property_features"):
        features.setdefault(row["property_id"], []).append(row["name"])
    candidates = rows(
        "SELECT * FROM properties WHERE city = 'Houston' AND status = 'active' AND price <= 572000"
        " ORDER BY price DESC, id LIMIT 14"
    )
    expected = sorted((-rank(lead, home(row), features[row["id"]]), row["id"]) for row in candidates)[:10]

    assert [(-match["fit"], match["property_id"]) for match in matches(event["id"])] == expected


def test_a_city_without_properties_has_no_matches(send, contact, rows):
    event = contact(city="Springfield")
    assert send(event).status_code == 200
    assert len(rows("SELECT * FROM lead_scores WHERE lead_id = ?", event["id"])) == 1
    assert rows("SELECT * FROM lead_matches WHERE lead_id = ?", event["id"]) == []


def test_wanted_features_and_type_raise_the_fit(http):
    from service.ghl.models import LeadProfile
    from service.properties import rank

    lead = LeadProfile(
        ghl_id="a", location_id="b", budget=400_000, bedrooms=3, property_type="house", features=["pool"]
    )
    home = {"price": 400_000, "bedrooms": 3, "property_type": "house"}
    best = rank(lead, Home(**home), ["pool", "garage"])
    assert best == 100.0
    assert rank(lead, Home(**home), ["garage"]) < best
    assert rank(lead, Home(**{**home, "property_type": "condo"}), ["pool"]) < best
    assert rank(lead, Home(**{**home, "price": 480_000}), ["pool"]) < best
    assert rank(lead, Home(**{**home, "bedrooms": 1}), ["pool"]) < best
