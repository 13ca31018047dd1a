"""Contacts: created, updated, tagged, deleted."""

import logging
from typing import Any

from service.agents import get_agent_context
from service.ai.coaching import coach_agent
from service.ai.scoring import score_lead
from service.analytics import update_analytics, update_business_metrics
from service.conversations import get_conversation_context
from service.ghl.client import GHLClient
from service.ghl.events import handle_webhook
from service.ghl.models import LeadProfile
from service.notifications import send_notifications
from service.outcomes import latest_score, record_outcome, record_tags
from service.privacy import erase_contact
from service.properties import find_matches
from service.qualification import get_qualification_flow, qualification_progress, save_answers
from service.tenants import get_tenant_config

logger = logging.getLogger("service.contacts")

DEFAULT_ADVICE = {"advice": "Get in touch and ask the next open question.", "next_step": "call"}


@handle_webhook("ContactCreate", "contact.created")
async def process_new_lead(data: dict[str, Any]) -> None:
    lead = LeadProfile.from_ghl_contact(data)
    logger.info("Processing lead %s %s", lead.ghl_id, lead.email)
    client = GHLClient(lead.location_id)

    tenant = await get_tenant_config(lead.location_id)
    flow = await get_qualification_flow(tenant["flow_id"])
    agent = await get_agent_context(tenant["agent_id"])
    context = await get_conversation_context(lead.ghl_id, lead.location_id)

    score = await score_lead(lead)
    matches = await find_matches(lead)
    try:
        coaching = await coach_agent(lead.intent, flow["stage"], agent)
    except Exception:
        coaching = DEFAULT_ADVICE

    await client.update_contact(lead.ghl_id, {"ai_score": score.value, "ai_tier": score.tier})
    await client.update_contact(
        lead.ghl_id, {"matched_properties": [match.property_id for match in matches[:3]]}
    )
    try:
        await client.add_tags(lead.ghl_id, [f"ai-{score.tier}", flow["id"]])
    except Exception:
        pass

    await record_outcome(lead, score, matches)
    await save_answers(lead.ghl_id, lead.answers())
    events = [("lead_created", lead.source), ("lead_scored", score.tier)]
    events += [("property_matched", str(match.property_id)) for match in matches]
    await update_analytics(lead.location_id, lead.ghl_id, events)
    await update_business_metrics(lead.location_id, {"leads": 1, f"{score.tier}_leads": 1})
    subject = f"New {score.tier} lead, {context['total']} messages so far"
    await send_notifications(agent, lead.ghl_id, [f"{subject}: {coaching['advice']}"])
    print(f"Lead {lead.email} scored {score.value}, {len(matches)} matches")


@handle_webhook("ContactUpdate", "contact.updated")
async def process_lead_update(data: dict[str, Any]) -> None:
    lead = LeadProfile.from_ghl_contact(data)
    logger.info("Updating lead %s %s", lead.ghl_id, lead.email)
    client = GHLClient(lead.location_id)

    tenant = await get_tenant_config(lead.location_id)
    flow = await get_qualification_flow(tenant["flow_id"])
    agent = await get_agent_context(tenant["agent_id"])
    before = await latest_score(lead.ghl_id)

    score = await score_lead(lead)
    matches = await find_matches(lead)

    await client.update_contact(lead.ghl_id, {"ai_score": score.value, "ai_tier": score.tier})
    await client.update_contact(
        lead.ghl_id, {"matched_properties": [match.property_id for match in matches[:3]]}
    )

    await record_outcome(lead, score, matches)
    await save_answers(lead.ghl_id, lead.answers())
    progress = await qualification_progress(lead.ghl_id, flow)
    events = [("lead_updated", score.tier)]
    events += [("property_matched", str(match.property_id)) for match in matches]
    await update_analytics(lead.location_id, lead.ghl_id, events)
    await update_business_metrics(lead.location_id, {"lead_updates": 1})
    if before is not None and before["tier"] != score.tier:
        news = f"Lead went from {before['tier']} to {score.tier}, {progress['percent']} % qualified"
        await send_notifications(agent, lead.ghl_id, [news])


def segment_of(tags: list[str]) -> str:
    for name in ("investor", "seller", "relocation", "buyer"):
        if name in tags:
            return name
    return "other"


@handle_webhook("ContactTagUpdate", "contact.tagged", "contact.tag_updated")
async def process_tags(data: dict[str, Any]) -> None:
    lead = LeadProfile.from_ghl_contact(data)
    client = GHLClient(lead.location_id)

    tenant = await get_tenant_config(lead.location_id)
    agent = await get_agent_context(tenant["agent_id"])
    segment = segment_of(lead.tags)
    await client.update_contact(lead.ghl_id, {"segment": segment})

    await record_tags(lead, segment)
    await update_analytics(lead.location_id, lead.ghl_id, [("tagged", tag) for tag in lead.tags])
    await update_business_metrics(lead.location_id, {f"{segment}_contacts": 1})
    if "vip" in lead.tags:
        await send_notifications(agent, lead.ghl_id, ["A contact became VIP"])


@handle_webhook("ContactDelete", "contact.deleted")
async def process_contact_deleted(data: dict[str, Any]) -> None:
    contact_id = data.get("id") or data["contactId"]
    await erase_contact(contact_id)
    logger.info("Erased contact %s", contact_id)
