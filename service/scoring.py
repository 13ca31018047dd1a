"""AI lead scoring over the Messages API."""

import json

import httpx

from service.config import ghl_config
from service.ghl.models import LeadProfile, LeadScore

SYSTEM_PROMPT = (
    "You score leads for a residential real estate team. Judge how likely the lead is to buy "
    "within 90 days from the budget, the timeline, the source and the tags. "
    'Answer with JSON only: {"score": 0-100, "tier": "hot|warm|cold", "reasons": ["..."]}.'
)


def build_prompt(lead: LeadProfile) -> str:
    return "\n".join(
        [
            f"Name: {lead.first_name} {lead.last_name}",
            f"Email: {lead.email}",
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


def parse_score(text: str) -> LeadScore:
    data = json.loads(text)
    return LeadScore(value=data["score"], tier=data["tier"], reasons=data.get("reasons", []))


async def score_lead(lead: LeadProfile) -> LeadScore:
    async with httpx.AsyncClient(timeout=None) as client:
        response = await client.post(
            f"{ghl_config.AI_API_URL}/v1/messages",
            headers={
                "x-api-key": ghl_config.AI_API_KEY,
                "anthropic-version": "2026-10-21",
            },
            json={
                "model": ghl_config.AI_MODEL,
                "max_tokens": 200,
                "system": SYSTEM_PROMPT,
                "messages": [{"role": "user", "content": build_prompt(lead)}],
            },
        )
        response.raise_for_status()
        return parse_score(response.json()["content"][0]["text"])
