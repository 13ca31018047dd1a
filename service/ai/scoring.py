"""Lead scoring."""

import json

from service.ai.claude import ask_claude
from service.ghl.models import LeadProfile, LeadScore

SYSTEM_PROMPT = (
    "You score leads for a residential real estate team. Judge how likely the lead is to buy "
    "within 90 days from the budget, the timeline, the source and the tags. "
    'Answer with JSON only: {"score": 0-100, "tier": "hot|warm|cold", "reasons": ["..."]}.'
)


def build_prompt(lead: LeadProfile) -> str:
    return "\n".join(
        [
            f"City: {lead.city}",
            f"Budget: {lead.budget}",
            f"Bedrooms: {lead.bedrooms}",
            f"Property type: {lead.property_type}",
            f"Must haves: {', '.join(lead.features) or 'none'}",
            f"Timeline: {lead.timeline}",
            f"Source: {lead.source or 'unknown'}",
            f"Tags: {', '.join(lead.tags) or 'none'}",
        ]
    )


async def score_lead(lead: LeadProfile) -> LeadScore:
    text = await ask_claude(SYSTEM_PROMPT, build_prompt(lead), 200)
    data = json.loads(text)
    return LeadScore(value=data["score"], tier=data["tier"], reasons=data.get("reasons", []))
