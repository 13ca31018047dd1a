"""Advice for the human agent."""

import json
from typing import Any

from service.ai.claude import ask_claude

SYSTEM_PROMPT = (
    "You coach real estate agents. Say what the agent should do next with a lead of this intent "
    "at this stage. Fit the advice to the agent's style and specialties. "
    'Answer with JSON only: {"advice": "...", "next_step": "call|text|email|wait"}.'
)


async def coach_agent(intent: str, stage: str, agent: dict[str, Any]) -> dict[str, Any]:
    prompt = "\n".join(
        [
            f"Intent: {intent}",
            f"Stage: {stage}",
            f"Style: {agent['style']}",
            f"Specialties: {', '.join(agent['specialties'])}",
        ]
    )
    return json.loads(await ask_claude(SYSTEM_PROMPT, prompt, 250))
