"""Inbound messages: understood, answered, remembered."""

import logging
from typing import Any

from service.agents import get_agent_context
from service.ai.replies import write_reply
from service.ai.semantics import analyze_message
from service.analytics import update_analytics, update_business_metrics
from service.conversations import get_conversation_context, store_message
from service.ghl.client import GHLClient
from service.ghl.events import handle_webhook
from service.ghl.models import InboundMessage
from service.notifications import send_notifications
from service.outcomes import record_conversation
from service.outreach import send_to_contact
from service.privacy import is_opted_out, opt_out, wants_to_opt_out
from service.qualification import get_qualification_flow, qualification_progress, save_answers
from service.tenants import get_tenant_config

logger = logging.getLogger("service.messages")


@handle_webhook("InboundMessage", "message.inbound", "message.received")
async def process_message(data: dict[str, Any]) -> None:
    message = InboundMessage.from_ghl(data)
    contact_id, location_id = message.contact_id, message.location_id
    logger.info("Message from %s: %s", contact_id, message.body)
    client = GHLClient(location_id)

    if wants_to_opt_out(message.body):
        await opt_out(contact_id, location_id)
        await client.set_do_not_disturb(contact_id)
        return

    tenant = await get_tenant_config(location_id)
    flow = await get_qualification_flow(tenant["flow_id"])
    agent = await get_agent_context(tenant["agent_id"])
    context = await get_conversation_context(contact_id, location_id)

    semantics = await analyze_message(message.body)
    await store_message(contact_id, location_id, "inbound", message.body)
    await save_answers(contact_id, semantics["facts"])
    progress = await qualification_progress(contact_id, flow)

    if tenant["auto_reply"] and not await is_opted_out(contact_id):
        reply = await write_reply(message.body, semantics, progress, agent)
        message_id = await send_to_contact(client, contact_id, reply)
        if message_id:
            await store_message(contact_id, location_id, "outbound", reply)
    await client.update_contact(
        contact_id, {"last_intent": semantics["intent"], "qualified_percent": progress["percent"]}
    )

    await record_conversation(
        contact_id,
        [("message", semantics["intent"]), ("qualified", f"{progress['percent']} %")],
    )
    await update_analytics(
        location_id,
        contact_id,
        [("message", semantics["sentiment"]), ("intent", semantics["intent"])],
    )
    await update_business_metrics(location_id, {"messages": 1})
    if semantics["sentiment"] == "negative" or context["total"] == 0:
        await send_notifications(agent, contact_id, [f"Message about {semantics['intent']}"])
