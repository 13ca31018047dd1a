"""Routes of the back office: privacy requests, settings of tenants, recent activity."""

from typing import Any

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel

from service import privacy
from service.activity_feed import recent_activity
from service.api.access import require_admin
from service.config import ghl_config
from service.qualification import get_qualification_flow, update_qualification_flow
from service.tenants import get_tenant_config, update_tenant_config

router = APIRouter(prefix="/api/v1", dependencies=[Depends(require_admin)])


class FlowChanges(BaseModel):
    name: str | None = None
    stage: str | None = None


class TenantChanges(BaseModel):
    name: str | None = None
    flow_id: str | None = None
    agent_id: str | None = None
    auto_reply: bool | None = None


@router.get("/contacts/{contact_id}/export")
async def export_contact(contact_id: str) -> dict[str, Any]:
    found = await privacy.export_contact(contact_id)
    if not any(found.values()):
        raise HTTPException(status_code=404, detail="nothing is stored about this contact")
    return found


@router.delete("/contacts/{contact_id}")
async def delete_contact(contact_id: str) -> dict[str, str]:
    await privacy.erase_contact(contact_id)
    return {"status": "erased"}


@router.post("/privacy/purge")
async def purge() -> dict[str, int]:
    return {"erased": await privacy.purge_expired(ghl_config.RETENTION_DAYS)}


@router.put("/flows/{flow_id}")
async def change_flow(flow_id: str, changes: FlowChanges) -> dict[str, Any]:
    wanted = changes.model_dump(exclude_none=True)
    if wanted:
        await update_qualification_flow(flow_id, wanted)
    return await get_qualification_flow(flow_id)


@router.put("/tenants/{location_id}")
async def change_tenant(location_id: str, changes: TenantChanges) -> dict[str, Any]:
    wanted = changes.model_dump(exclude_none=True)
    if wanted:
        await update_tenant_config(location_id, wanted)
    return await get_tenant_config(location_id)


@router.get("/activity")
async def activity(count: int = 20) -> list[dict[str, Any]]:
    return await recent_activity(count)
