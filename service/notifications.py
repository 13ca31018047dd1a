"""What the human agents are told."""

from typing import Any

from service.activity_feed import push_activity
from service.database import open_session
from service.tables import Notification


async def send_notifications(agent: dict[str, Any], contact_id: str, messages: list[str]) -> None:
    async with open_session() as session:
        for message in messages:
            session.add(
                Notification(agent_id=agent["id"], contact_id=contact_id, channel="app", message=message)
            )
            await session.commit()
    for message in messages:
        await push_activity({"agent_id": agent["id"], "contact_id": contact_id, "message": message})
