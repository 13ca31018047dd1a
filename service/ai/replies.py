"""Replies to the messages of leads."""

from typing import Any

from service.ai.claude import ask_claude

SYSTEM_PROMPT = (
    "You answer text messages for a real estate agent, in one or two sentences and in the agent's "
    "style and language. End with the next question if there is one. Never promise a price. "
    "Fair housing: never say who lives in an area or whom a home suits; point to public sources."
)


def build_reply_prompt(
    message: str, semantics: dict[str, Any], progress: dict[str, Any], agent: dict[str, Any]
) -> str:
    return "\n".join(
        [
            f"Agent: {agent['name']}, {agent['style']}, {agent['language']}",
            f"Intent: {semantics['intent']} ({semantics['sentiment']})",
            f"Known: {', '.join(progress['answered']) or 'nothing yet'}",
            f"Next question: {progress['next_question'] or 'none'}",
            f"Message: {message.strip()}",
        ]
    )


async def write_reply(
    message: str, semantics: dict[str, Any], progress: dict[str, Any], agent: dict[str, Any]
) -> str:
    prompt = build_reply_prompt(message, semantics, progress, agent)
    return await ask_claude(SYSTEM_PROMPT, prompt, 160)
