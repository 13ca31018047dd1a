"""What a tenant (a GoHighLevel location) has configured."""

from typing import Any

from sqlalchemy import update

from service.database import open_session
from service.tables import Tenant

DEFAULT_TENANT = {
    "name": "Real Estate Team",
    "flow_id": "flow_buyers",
    "agent_id": "agent_1",
    "timezone": "America/Chicago",
    "auto_reply": True,
}


async def get_tenant_config(location_id: str) -> dict[str, Any]:
    async with open_session() as session:
        tenant = await session.get(Tenant, location_id)
    if tenant is None:
        return {"location_id": location_id, **DEFAULT_TENANT}
    return {
        "location_id": tenant.location_id,
        "name": tenant.name,
        "flow_id": tenant.flow_id,
        "agent_id": tenant.agent_id,
        "timezone": tenant.timezone,
        "auto_reply": tenant.auto_reply,
    }


async def update_tenant_config(location_id: str, changes: dict[str, Any]) -> None:
    async with open_session() as session:
        await session.execute(update(Tenant).where(Tenant.location_id == location_id).values(**changes))
        await session.commit()
