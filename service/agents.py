"""What the AI should know about the human agent of a tenant."""

from typing import Any

from sqlalchemy import select

from service.database import open_session
from service.tables import Agent, AgentSpecialty


async def get_agent_context(agent_id: str) -> dict[str, Any]:
    async with open_session() as session:
        agent = await session.get(Agent, agent_id)
        result = await session.execute(
            select(AgentSpecialty.name).where(AgentSpecialty.agent_id == agent_id).order_by(AgentSpecialty.id)
        )
        specialties = list(result.scalars().all())
    return {
        "id": agent_id,
        "name": agent.name if agent else "your agent",
        "style": agent.style if agent else "friendly",
        "language": agent.language if agent else "English",
        "specialties": specialties,
    }
