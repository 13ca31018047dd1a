"""The demo data: the property catalogue, and twelve tenants with their flows and agents."""

import random
from collections.abc import Iterator
from typing import Any

CITIES = ["Austin", "Dallas", "Denver", "Houston", "Miami", "Phoenix", "Portland", "Tampa"]
STREETS = ["Oak", "Maple", "Cedar", "Lakeview", "Hillcrest", "Sunset", "Magnolia", "Ridge"]
SUFFIXES = ["St", "Ave", "Dr", "Ln", "Ct"]
TYPES = ["house", "condo", "townhouse"]
FEATURES = [
    "pool",
    "garage",
    "garden",
    "fireplace",
    "solar",
    "office",
    "basement",
    "balcony",
    "gated",
    "waterfront",
]
TIERS = ["hot", "warm", "cold"]
LOCATIONS = [f"loc_{letter}" for letter in "abcdefghijkl"]

FLOWS = [
    {"id": "flow_buyers", "name": "Buyers", "stage": "discovery"},
    {"id": "flow_sellers", "name": "Sellers", "stage": "valuation"},
    {"id": "flow_relocation", "name": "Relocation", "stage": "planning"},
]
QUESTIONS = {
    "flow_buyers": [
        ("budget", "What budget do you have in mind?"),
        ("timeline", "When would you like to move?"),
        ("bedrooms", "How many bedrooms do you need?"),
        ("financing", "Are you already approved for a mortgage?"),
        ("area", "Which part of town do you like best?"),
    ],
    "flow_sellers": [
        ("address", "Which property would you like to sell?"),
        ("timeline", "When would you like to have sold it?"),
        ("condition", "Has it been renovated lately?"),
        ("price", "What price do you expect?"),
    ],
    "flow_relocation": [
        ("timeline", "When do you start in the new place?"),
        ("area", "Where will you work?"),
        ("budget", "What budget do you have in mind?"),
        ("schools", "Do you need schools nearby?"),
    ],
}
AGENTS = [
    {"id": "agent_1", "name": "Maria Santos", "style": "warm and personal", "language": "English"},
    {"id": "agent_2", "name": "Tom Becker", "style": "short and factual", "language": "English"},
    {"id": "agent_3", "name": "Lucia Ramos", "style": "patient and detailed", "language": "Spanish"},
]
SPECIALTIES = {
    "agent_1": ["first home", "families"],
    "agent_2": ["investment", "condos"],
    "agent_3": ["relocation", "luxury"],
}

Row = dict[str, Any]


def tenants() -> list[Row]:
    return [
        {
            "location_id": location,
            "name": f"{CITIES[number % len(CITIES)]} Homes",
            "flow_id": FLOWS[number // 4]["id"],
            "agent_id": AGENTS[number // 4]["id"],
            "timezone": "America/Chicago",
            "auto_reply": True,
        }
        for number, location in enumerate(LOCATIONS)
    ]


def questions() -> list[Row]:
    return [
        {"flow_id": flow_id, "position": position, "field": field, "question": question}
        for flow_id, asked in QUESTIONS.items()
        for position, (field, question) in enumerate(asked, start=1)
    ]


def specialties() -> list[Row]:
    return [{"agent_id": agent, "name": name} for agent, names in SPECIALTIES.items() for name in names]


def catalogue(count: int) -> Iterator[tuple[Row, list[Row]]]:
    """`count` properties spread evenly over the cities, each with its features; always the same."""
    rng = random.Random(20240517)
    for number in range(1, count + 1):
        bedrooms = rng.choice([1, 2, 3, 3, 4, 4, 5])
        sqft = 450 + bedrooms * rng.randint(280, 520)
        home = {
            "id": number,
            "address": f"{rng.randint(10, 9899)} {rng.choice(STREETS)} {rng.choice(SUFFIXES)}",
            "city": CITIES[number % len(CITIES)],
            "zip": f"{70000 + rng.randint(0, 9999)}",
            "property_type": rng.choice(TYPES),
            "price": round(sqft * rng.randint(180, 420), -3),
            "bedrooms": bedrooms,
            "sqft": sqft,
            "status": "active" if rng.random() < 0.8 else rng.choice(["pending", "sold"]),
        }
        names = rng.sample(FEATURES, rng.randint(2, 5))
        yield home, [{"property_id": number, "name": name} for name in names]


def interest(properties: list[Row]) -> list[Row]:
    return [{"property_id": row["id"], "tier": tier, "leads": 0} for row in properties for tier in TIERS]
