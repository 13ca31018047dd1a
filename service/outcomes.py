"""Leads, their scores and matches, opportunities and appointments, and a log of what was done."""

import json
from typing import Any

from sqlalchemy import delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from service.database import open_session
from service.encryption import lookup_digest
from service.ghl.models import Appointment, LeadProfile, LeadScore, Opportunity, PropertyMatch
from service.tables import (
    Activity,
    AppointmentRow,
    Lead,
    LeadMatch,
    LeadScoreRow,
    OpportunityRow,
    PropertyInterest,
)


async def save_lead(session: AsyncSession, lead: LeadProfile) -> None:
    row = Lead(
        ghl_id=lead.ghl_id,
        location_id=lead.location_id,
        email=lead.email,
        email_digest=lookup_digest(lead.email),
        phone=lead.phone,
        first_name=lead.first_name,
        last_name=lead.last_name,
        city=lead.city,
        tags=", ".join(lead.tags),
    )
    if lead.do_not_contact:
        row.do_not_contact = True
    await session.merge(row)
    await session.commit()


async def save_score(session: AsyncSession, lead_id: str, score: LeadScore) -> None:
    session.add(
        LeadScoreRow(lead_id=lead_id, score=score.value, tier=score.tier, reasons=json.dumps(score.reasons))
    )
    await session.commit()


async def save_matches(session: AsyncSession, lead_id: str, matches: list[PropertyMatch]) -> None:
    await session.execute(delete(LeadMatch).where(LeadMatch.lead_id == lead_id))
    await session.commit()
    for position, match in enumerate(matches, start=1):
        session.add(
            LeadMatch(lead_id=lead_id, property_id=match.property_id, position=position, fit=match.fit)
        )
        await session.commit()


async def count_interest(session: AsyncSession, tier: str, matches: list[PropertyMatch]) -> None:
    for match in matches:
        await session.execute(
            update(PropertyInterest)
            .where(PropertyInterest.property_id == match.property_id, PropertyInterest.tier == tier)
            .values(leads=PropertyInterest.leads + 1)
        )
        await session.commit()


async def log_activity(session: AsyncSession, subject_id: str, entries: list[tuple[str, str]]) -> None:
    for action, detail in entries:
        session.add(Activity(subject_id=subject_id, action=action, detail=detail))
        await session.commit()


async def record_outcome(lead: LeadProfile, score: LeadScore, matches: list[PropertyMatch]) -> None:
    async with open_session() as session:
        await save_lead(session, lead)
        await save_score(session, lead.ghl_id, score)
        await save_matches(session, lead.ghl_id, matches)
        await count_interest(session, score.tier, matches)
        entries = [("scored", f"{score.value} {score.tier}")]
        entries += [("matched", f"property {match.property_id}") for match in matches]
        entries += [("crm_updated", "ai_score, matched_properties")]
        await log_activity(session, lead.ghl_id, entries)


async def record_tags(lead: LeadProfile, segment: str) -> None:
    async with open_session() as session:
        await save_lead(session, lead)
        await log_activity(session, lead.ghl_id, [("tagged", ", ".join(lead.tags)), ("segment", segment)])


async def record_opportunity(opportunity: Opportunity, stage: str) -> None:
    async with open_session() as session:
        await session.merge(
            OpportunityRow(
                id=opportunity.id,
                location_id=opportunity.location_id,
                contact_id=opportunity.contact_id,
                name=opportunity.name,
                stage=stage,
                status=opportunity.status,
                amount=opportunity.value,
            )
        )
        await session.commit()
        entries = [("opportunity", f"{stage} {opportunity.status}"), ("value", f"{opportunity.value:.0f}")]
        await log_activity(session, opportunity.id, entries)


async def record_appointment(appointment: Appointment, message_id: str | None) -> None:
    async with open_session() as session:
        await session.merge(
            AppointmentRow(
                id=appointment.id,
                location_id=appointment.location_id,
                contact_id=appointment.contact_id,
                title=appointment.title,
                start_time=appointment.start_time,
                status=appointment.status,
                message_id=message_id,
            )
        )
        await session.commit()
        entries = [("appointment", appointment.status), ("confirmation", message_id or "not sent")]
        await log_activity(session, appointment.id, entries)


async def record_conversation(contact_id: str, entries: list[tuple[str, str]]) -> None:
    async with open_session() as session:
        await log_activity(session, contact_id, entries)


async def latest_score(lead_id: str) -> dict[str, Any] | None:
    async with open_session() as session:
        result = await session.execute(
            select(LeadScoreRow).where(LeadScoreRow.lead_id == lead_id).order_by(LeadScoreRow.id.desc())
        )
        row = result.scalars().first()
    if row is None:
        return None
    return {
        "score": row.score,
        "tier": row.tier,
        "reasons": json.loads(row.reasons),
        "created_at": row.created_at,
    }


async def request_review(lead_id: str) -> None:
    """Note that a person wants somebody to look at their score again."""
    async with open_session() as session:
        await log_activity(session, lead_id, [("review_requested", "score")])


async def current_matches(lead_id: str) -> list[dict[str, Any]]:
    async with open_session() as session:
        result = await session.execute(
            select(LeadMatch).where(LeadMatch.lead_id == lead_id).order_by(LeadMatch.position)
        )
        rows = result.scalars().all()
    return [{"property_id": row.property_id, "position": row.position, "fit": row.fit} for row in rows]


async def find_leads(email: str) -> list[dict[str, Any]]:
    async with open_session() as session:
        result = await session.execute(
            select(Lead).where(Lead.email_digest == lookup_digest(email)).order_by(Lead.ghl_id)
        )
        rows = result.scalars().all()
    return [
        {
            "ghl_id": row.ghl_id,
            "location_id": row.location_id,
            "email": row.email,
            "first_name": row.first_name,
            "last_name": row.last_name,
            "city": row.city,
        }
        for row in rows
    ]


async def leads_in(city: str) -> list[dict[str, Any]]:
    async with open_session() as session:
        result = await session.execute(
            text(f"SELECT ghl_id, location_id, city, tags FROM leads WHERE city = '{city}' ORDER BY ghl_id")
        )
        return [dict(row) for row in result.mappings()]
