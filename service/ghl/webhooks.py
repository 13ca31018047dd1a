"""The webhook endpoint."""

import json
import logging
import traceback

import httpx
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from service.config import ghl_config
from service.flows import appointments, contacts, messages, opportunities  # noqa: F401  they register themselves
from service.ghl.events import dispatch
from service.ghl.security import SIGNATURE_HEADER, verify_signature

logger = logging.getLogger("service.webhooks")
router = APIRouter()


@router.post(ghl_config.GHL_WEBHOOK_ENDPOINT)
async def receive_webhook(request: Request) -> JSONResponse:
    body = await request.body()
    if not verify_signature(body, request.headers.get(SIGNATURE_HEADER)):
        return JSONResponse({"error": "invalid signature"}, status_code=401)
    try:
        data = json.loads(body)
    except ValueError:
        return JSONResponse({"error": "invalid JSON"}, status_code=400)

    try:
        await dispatch(data)
    except httpx.HTTPError as exc:
        logger.error("Upstream failed: %s", exc)
        return JSONResponse({"error": str(exc)}, status_code=502)
    except Exception as exc:
        logger.error("Webhook failed: %s", exc)
        return JSONResponse({"error": str(exc), "trace": traceback.format_exc()}, status_code=500)
    return JSONResponse({"status": "processed", "event": data.get("type")})
