"""The demo property catalogue."""

import random

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

PropertyRow = tuple[int, str, str, str, str, int, int, int, str]


def catalogue(count: int) -> tuple[list[PropertyRow], list[tuple[int, str]]]:
    """`count` properties spread evenly over the cities, and their features; always the same."""
    rng = random.Random(20240517)
    properties: list[PropertyRow] = []
    features: list[tuple[int, str]] = []
    for number in range(1, count + 1):
        city = CITIES[number % len(CITIES)]
        bedrooms = rng.choice([1, 2, 3, 3, 4, 4, 5])
        sqft = 450 + bedrooms * rng.randint(280, 520)
        price = round(sqft * rng.randint(180, 420), -3)
        address = f"{rng.randint(10, 9899)} {rng.choice(STREETS)} {rng.choice(SUFFIXES)}"
        status = "active" if rng.random() < 0.8 else rng.choice(["pending", "sold"])
        zip_code = f"{70000 + rng.randint(0, 9999)}"
        kind = rng.choice(TYPES)
        properties.append((number, address, city, zip_code, kind, price, bedrooms, sqft, status))
        features.extend((number, name) for name in rng.sample(FEATURES, rng.randint(2, 5)))
    return properties, features
