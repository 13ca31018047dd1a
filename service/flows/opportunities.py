"""Opportunities: created, changed."""

from typing import Any

from service.agents import get_agent_context
from service.analytics import update_analytics, update_business_metrics
from service.ghl.client import GHLClient
from service.ghl.events import handle_webhook
from service.ghl.models import Opportunity
from service.notifications import send_notifications
from service.outcomes import record_opportunity
from service.tenants import get_tenant_config


@handle_webhook(
    "OpportunityCreate",
    "OpportunityUpdate",
    "OpportunityStatusUpdate",
    "OpportunityStageUpdate",
    "opportunity.created",
    "opportunity.updated",
    "opportunity.status_changed",
)
async def process_opportunity(data: dict[str, Any]) -> None:
    opportunity = Opportunity.from_ghl(data)
    client = GHLClient(opportunity.location_id)

    tenant = await get_tenant_config(opportunity.location_id)
    agent = await get_agent_context(tenant["agent_id"])
    contact = await client.get_contact(opportunity.contact_id)
    pipelines = await client.get_pipelines()

    stage = opportunity.stage_id
    for pipeline in pipelines:
        for candidate in pipeline["stages"]:
            if candidate["id"] == opportunity.stage_id:
                stage = candidate["name"]

    await record_opportunity(opportunity, stage)
    tag = f"opportunity-{opportunity.status}"
    if tag not in contact.get("tags", []):
        try:
            await client.add_tags(opportunity.contact_id, [tag])
        except Exception:
            pass

    await update_analytics(
        opportunity.location_id,
        opportunity.contact_id,
        [("opportunity", opportunity.status), ("stage", stage)],
    )
    await update_business_metrics(
        opportunity.location_id,
        {f"{opportunity.status}_opportunities": 1, f"{opportunity.status}_value": opportunity.value},
    )
    news = f"{opportunity.name}: {stage}, {opportunity.status}"
    await send_notifications(agent, opportunity.contact_id, [news])
