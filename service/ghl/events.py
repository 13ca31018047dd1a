"""Which flow handles which event."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

logger = logging.getLogger("service.events")

Handler = Callable[[dict[str, Any]], Awaitable[None]]
HANDLERS: dict[str, Handler] = {}


def handle_webhook(*event_types: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        for event_type in event_types:
            HANDLERS[event_type] = handler
        return handler

    return register


async def dispatch(data: dict[str, Any]) -> None:
    handler = HANDLERS.get(data.get("type"))
    if handler is None:
        logger.info("No flow for %s", data.get("type"))
        return
    await handler(data)
