"""Webhook handling: one flow per event type."""

import json
import logging
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from service import storage
from service.config import ghl_config
from service.ghl.client import GHLClient
from service.ghl.models import Appointment, LeadProfile, LeadScore, Opportunity, PropertyMatch
from service.ghl.security import SIGNATURE_HEADER, verify_signature
from service.properties import find_matches
from service.scoring import score_lead

logger = logging.getLogger("service.webhooks")
router = APIRouter()

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
HANDLERS: dict[str, Handler] = {}


def handle_webhook(*event_types: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        for event_type in event_types:
            HANDLERS[event_type] = handler
        return handler

    return register


async def record_outcome(lead: LeadProfile, score: LeadScore, matches: list[PropertyMatch]) -> None:
    conn = storage.connect()
    storage.save_lead(conn, lead)
    storage.save_score(conn, lead.ghl_id, score)
    storage.save_matches(conn, lead.ghl_id, matches)
    storage.count_interest(conn, score.tier, matches)
    entries = [("scored", f"{score.value} {score.tier}")]
    entries += [("matched", f"property {match.property_id}") for match in matches]
    entries += [("crm_updated", "ai_score, matched_properties")]
    storage.log_activity(conn, lead.ghl_id, entries)
    conn.close()


@handle_webhook("ContactCreate", "ContactUpdate", "contact.created", "contact.updated")
async def process_lead(data: dict[str, Any]) -> dict[str, Any]:
    lead = LeadProfile.from_ghl_contact(data)
    logger.info("Processing lead %s %s", lead.ghl_id, lead.email)

    score = await score_lead(lead)
    matches = await find_matches(lead)

    client = GHLClient(lead.location_id)
    await client.update_contact(
        lead.ghl_id,
        {
            "ai_score": score.value,
            "ai_tier": score.tier,
            "matched_properties": [match.property_id for match in matches[:3]],
        },
    )
    await record_outcome(lead, score, matches)
    print(f"Lead {lead.email} scored {score.value}, {len(matches)} matches")

    return {
        "status": "processed",
        "contact_id": lead.ghl_id,
        "score": score.value,
        "tier": score.tier,
        "matches": [match.model_dump() for match in matches[:10]],
    }


@handle_webhook("ContactDelete", "contact.deleted")
async def process_contact_deleted(data: dict[str, Any]) -> dict[str, Any]:
    conn = storage.connect()
    storage.mark_lead_deleted(conn, data["id"])
    storage.log_activity(conn, data["id"], [("deleted", "")])
    conn.close()
    return {"status": "processed", "contact_id": data["id"]}


@handle_webhook(
    "OpportunityCreate",
    "OpportunityUpdate",
    "OpportunityStatusUpdate",
    "OpportunityStageUpdate",
    "opportunity.created",
    "opportunity.updated",
)
async def process_opportunity(data: dict[str, Any]) -> dict[str, Any]:
    opportunity = Opportunity.from_ghl(data)
    client = GHLClient(opportunity.location_id)

    contact = await client.get_contact(opportunity.contact_id)
    pipelines = await client.get_pipelines()

    stage = opportunity.stage_id
    for pipeline in pipelines:
        for candidate in pipeline["stages"]:
            if candidate["id"] == opportunity.stage_id:
                stage = candidate["name"]

    conn = storage.connect()
    storage.save_opportunity(conn, opportunity, stage)
    storage.log_activity(conn, opportunity.id, [("opportunity", f"{stage} {opportunity.status}")])
    conn.close()

    tag = f"opportunity-{opportunity.status}"
    if tag not in contact.get("tags", []):
        try:
            await client.add_tags(opportunity.contact_id, [tag])
        except Exception:
            pass

    return {"status": "processed", "opportunity_id": opportunity.id, "stage": stage}


@handle_webhook("AppointmentCreate", "AppointmentUpdate", "appointment.created", "appointment.scheduled")
async def process_appointment(data: dict[str, Any]) -> dict[str, Any]:
    appointment = Appointment.from_ghl(data)
    client = GHLClient(appointment.location_id)
    text = f"Your viewing '{appointment.title}' is booked for {appointment.start_time}."
    message_id = await client.send_message(appointment.contact_id, text)

    conn = storage.connect()
    storage.save_appointment(conn, appointment, message_id)
    storage.log_activity(conn, appointment.id, [("appointment", appointment.status)])
    conn.close()
    return {"status": "processed", "appointment_id": appointment.id}


@router.post(ghl_config.GHL_WEBHOOK_ENDPOINT)
async def receive_webhook(request: Request) -> JSONResponse:
    body = await request.body()
    if not verify_signature(body, request.headers.get(SIGNATURE_HEADER)):
        return JSONResponse({"error": "invalid signature"}, status_code=401)
    try:
        data = json.loads(body)
    except ValueError:
        return JSONResponse({"error": "invalid JSON"}, status_code=400)

    try:
        handler = HANDLERS.get(data.get("type"))
        if handler is None:
            return JSONResponse({"status": "ignored"})
        return JSONResponse(await handler(data))
    except httpx.HTTPError as exc:
        logger.error("Upstream failed: %s", exc)
        return JSONResponse({"error": str(exc)}, status_code=502)
    except Exception as exc:
        logger.error("Webhook failed: %s", exc)
        return JSONResponse(
            {"error": str(exc), "trace": traceback.format_exc()}, status_code=500
        )
