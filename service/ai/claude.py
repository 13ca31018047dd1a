"""Questions to Claude over the Messages API."""

import logging

import httpx

from service.config import ghl_config
from service.config.tls import TLS

logger = logging.getLogger("service.claude")


async def ask_claude(system: str, prompt: str, max_tokens: int) -> str:
    async with httpx.AsyncClient(verify=TLS, timeout=None) as client:
        response = await client.post(
            f"{ghl_config.AI_API_URL}/v1/messages",
            headers={
                "x-api-key": ghl_config.AI_API_KEY,
                "anthropic-version": "2026-10-21",
            },
            json={
                "model": ghl_config.AI_MODEL,
                "max_tokens": max_tokens,
                "system": system,
                "messages": [{"role": "user", "content": prompt}],
            },
        )
        response.raise_for_status()
        answer = response.json()
        usage = answer.get("usage", {})
        logger.info("Claude used %s tokens", usage.get("input_tokens", 0) + usage.get("output_tokens", 0))
        return answer["content"][0]["text"]
