"""The rights of contacts: export, erasure, opting out, and how long data is kept."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, select

from service.activity_feed import forget_activity
from service.database import open_session
from service.tables import (
    Activity,
    AnalyticsEvent,
    AppointmentRow,
    ConversationMessage,
    Lead,
    LeadMatch,
    LeadScoreRow,
    Notification,
    OpportunityRow,
    QualificationAnswer,
)

OPT_OUT_WORDS = {"stop", "stopall", "unsubscribe", "cancel", "end", "quit"}

PERSONAL_DATA = {
    "lead": (Lead, Lead.ghl_id),
    "scores": (LeadScoreRow, LeadScoreRow.lead_id),
    "matches": (LeadMatch, LeadMatch.lead_id),
    "messages": (ConversationMessage, ConversationMessage.contact_id),
    "answers": (QualificationAnswer, QualificationAnswer.contact_id),
    "opportunities": (OpportunityRow, OpportunityRow.contact_id),
    "appointments": (AppointmentRow, AppointmentRow.contact_id),
    "activity": (Activity, Activity.subject_id),
    "analytics": (AnalyticsEvent, AnalyticsEvent.contact_id),
    "notifications": (Notification, Notification.contact_id),
}


async def export_contact(contact_id: str) -> dict[str, list[dict[str, Any]]]:
    """Everything that is stored about a contact, by kind."""
    found: dict[str, list[dict[str, Any]]] = {}
    async with open_session() as session:
        for kind, (table, owner) in PERSONAL_DATA.items():
            result = await session.execute(select(table.__table__).where(owner == contact_id))
            found[kind] = [dict(row) for row in result.mappings()]
    return found


async def erase_contact(contact_id: str) -> None:
    async with open_session() as session:
        for table, owner in PERSONAL_DATA.values():
            await session.execute(delete(table).where(owner == contact_id))
            await session.commit()
    await forget_activity(contact_id)


def wants_to_opt_out(message: str) -> bool:
    return message.strip().strip(".!").lower() in OPT_OUT_WORDS


async def opt_out(contact_id: str, location_id: str) -> None:
    async with open_session() as session:
        await session.merge(Lead(ghl_id=contact_id, location_id=location_id, do_not_contact=True))
        session.add(Activity(subject_id=contact_id, action="opted_out", detail="by message"))
        await session.commit()


async def is_opted_out(contact_id: str) -> bool:
    async with open_session() as session:
        lead = await session.get(Lead, contact_id)
    return lead is not None and lead.do_not_contact


async def purge_expired(days: int) -> int:
    """Erase leads that nothing was heard of for `days`; how many there were."""
    oldest = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    async with open_session() as session:
        result = await session.execute(select(Lead.ghl_id).where(Lead.updated_at < oldest))
        expired = list(result.scalars().all())
    for contact_id in expired:
        await erase_contact(contact_id)
    return len(expired)
