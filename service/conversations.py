"""What was said with a contact."""

from typing import Any

from sqlalchemy import func, select

from service.config import ghl_config
from service.database import open_session
from service.tables import ConversationMessage


async def get_conversation_context(contact_id: str, location_id: str) -> dict[str, Any]:
    """The latest messages with a contact, oldest first, and how many there are in all."""
    mine = (
        ConversationMessage.contact_id == contact_id,
        ConversationMessage.location_id == location_id,
    )
    async with open_session() as session:
        result = await session.execute(
            select(ConversationMessage)
            .where(*mine)
            .order_by(ConversationMessage.id.desc())
            .limit(ghl_config.HISTORY_SIZE)
        )
        latest = result.scalars().all()
        total = await session.scalar(select(func.count()).select_from(ConversationMessage).where(*mine))
    return {
        "total": total,
        "messages": [{"direction": row.direction, "body": row.body} for row in reversed(latest)],
    }


async def store_message(contact_id: str, location_id: str, direction: str, body: str) -> None:
    async with open_session() as session:
        session.add(
            ConversationMessage(
                contact_id=contact_id, location_id=location_id, direction=direction, body=body
            )
        )
        await session.commit()
