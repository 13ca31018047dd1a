"""Property matching for a lead."""

import sqlite3

from service import storage
from service.config import ghl_config
from service.ghl.models import LeadProfile, PropertyMatch


def rank(lead: LeadProfile, row: sqlite3.Row, features: list[str]) -> float:
    """How well a property fits, from 0 to 100."""
    over = max(0, row["price"] - lead.budget) / lead.budget
    under = max(0, lead.budget - row["price"]) / lead.budget
    fit = 40.0 * max(0.0, 1.0 - 4.0 * over - 0.5 * under)
    fit += 20.0 * max(0.0, 1.0 - abs(row["bedrooms"] - lead.bedrooms) / 3)
    if row["property_type"] == lead.property_type:
        fit += 20.0
    if lead.features:
        wanted = set(lead.features)
        fit += 20.0 * len(wanted & set(features)) / len(wanted)
    else:
        fit += 10.0
    return round(fit, 2)


async def find_matches(lead: LeadProfile) -> list[PropertyMatch]:
    """The best active properties of the lead's city, best first."""
    conn = storage.connect()
    rows = conn.execute(
        "SELECT id, address, price, bedrooms, property_type FROM properties"
        " WHERE city = ? AND status = 'active'",
        (lead.city,),
    ).fetchall()
    matches = []
    for row in rows:
        found = conn.execute(
            "SELECT name FROM property_features WHERE property_id = ?", (row["id"],)
        ).fetchall()
        features = sorted(feature["name"] for feature in found)
        matches.append(
            PropertyMatch(
                property_id=row["id"],
                address=row["address"],
                price=row["price"],
                bedrooms=row["bedrooms"],
                fit=rank(lead, row, features),
                features=features,
            )
        )
    conn.close()
    matches.sort(key=lambda match: (-match.fit, match.property_id))
    return matches[: ghl_config.SHORTLIST_SIZE]
