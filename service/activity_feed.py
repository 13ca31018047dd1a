"""The feed of recent activity that agents see, in Redis where there is one."""

import json
from typing import Any

from service.config import ghl_config

if ghl_config.REDIS_URL:
    import redis.asyncio as redis

FEED_KEY = "activity:recent"
FEED_SIZE = 200


async def push_activity(entry: dict[str, Any]) -> None:
    if not ghl_config.REDIS_URL:
        return
    client = redis.from_url(ghl_config.REDIS_URL)
    try:
        await client.lpush(FEED_KEY, json.dumps(entry))
        await client.ltrim(FEED_KEY, 0, FEED_SIZE - 1)
    except Exception:
        pass
    await client.aclose()


async def recent_activity(count: int) -> list[dict[str, Any]]:
    if not ghl_config.REDIS_URL:
        return []
    client = redis.from_url(ghl_config.REDIS_URL)
    entries = await client.lrange(FEED_KEY, 0, count - 1)
    await client.aclose()
    return [json.loads(entry) for entry in entries]


async def forget_activity(contact_id: str) -> None:
    """Take a contact's entries out of the feed."""
    if not ghl_config.REDIS_URL:
        return
    client = redis.from_url(ghl_config.REDIS_URL)
    for entry in await client.lrange(FEED_KEY, 0, -1):
        if json.loads(entry)["contact_id"] == contact_id:
            await client.lrem(FEED_KEY, 0, entry)
    await client.aclose()
