"""What the dashboards of the tenants are made of."""

from sqlalchemy import update

from service.database import open_session
from service.tables import AnalyticsEvent, BusinessMetric


async def update_analytics(location_id: str, contact_id: str, events: list[tuple[str, str]]) -> None:
    async with open_session() as session:
        for name, label in events:
            session.add(
                AnalyticsEvent(location_id=location_id, contact_id=contact_id, name=name, label=label)
            )
            await session.commit()


async def update_business_metrics(location_id: str, amounts: dict[str, float]) -> None:
    async with open_session() as session:
        for name, amount in amounts.items():
            result = await session.execute(
                update(BusinessMetric)
                .where(BusinessMetric.location_id == location_id, BusinessMetric.name == name)
                .values(total=BusinessMetric.total + amount)
            )
            if result.rowcount == 0:
                session.add(BusinessMetric(location_id=location_id, name=name, total=amount))
            await session.commit()
