"""Property matching for a lead."""

from sqlalchemy import select

from service.config import ghl_config
from service.database import open_session
from service.ghl.models import LeadProfile, PropertyMatch
from service.tables import Property, PropertyFeature


def rank(lead: LeadProfile, home: Property, features: list[str]) -> float:
    """How well a property fits, from 0 to 100."""
    over = max(0, home.price - lead.budget) / lead.budget
    under = max(0, lead.budget - home.price) / lead.budget
    fit = 40.0 * max(0.0, 1.0 - 4.0 * over - 0.5 * under)
    fit += 20.0 * max(0.0, 1.0 - abs(home.bedrooms - lead.bedrooms) / 3)
    if home.property_type == lead.property_type:
        fit += 20.0
    if lead.features:
        wanted = set(lead.features)
        fit += 20.0 * len(wanted & set(features)) / len(wanted)
    else:
        fit += 10.0
    return round(fit, 2)


async def find_matches(lead: LeadProfile) -> list[PropertyMatch]:
    """The best active properties of the lead's city that the budget allows, best first."""
    async with open_session() as session:
        result = await session.execute(
            select(Property)
            .where(
                Property.city == lead.city,
                Property.status == "active",
                Property.price <= lead.budget * 1.1,
            )
            .order_by(Property.price.desc(), Property.id)
            .limit(ghl_config.CANDIDATES)
        )
        homes = result.scalars().all()
        matches = []
        for home in homes:
            found = await session.execute(
                select(PropertyFeature.name).where(PropertyFeature.property_id == home.id)
            )
            features = sorted(found.scalars().all())
            matches.append(
                PropertyMatch(
                    property_id=home.id,
                    address=home.address,
                    price=home.price,
                    bedrooms=home.bedrooms,
                    fit=rank(lead, home, features),
                    features=features,
                )
            )
    matches.sort(key=lambda match: (-match.fit, match.property_id))
    return matches[: ghl_config.SHORTLIST_SIZE]
