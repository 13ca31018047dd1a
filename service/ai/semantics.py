"""What a message says, and what the lead wants."""

import json
from typing import Any

from service.ai.claude import ask_claude

SYSTEM_PROMPT = (
    "You analyse text messages to a real estate team. Find the intent, the sentiment and the "
    "facts that qualify the lead (budget, timeline, bedrooms, area, financing). "
    'Answer with JSON only: {"intent": "...", "sentiment": "positive|neutral|negative", "facts": {}}.'
)


async def analyze_message(message: str) -> dict[str, Any]:
    return json.loads(await ask_claude(SYSTEM_PROMPT, f"Message: {message.strip()}", 200))
