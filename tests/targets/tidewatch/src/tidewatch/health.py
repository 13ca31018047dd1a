"""Is it alive, is it ready, how is it doing."""

from __future__ import annotations

import hmac
import logging

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from tidewatch.database import SessionDep

logger = logging.getLogger(__name__)
router = APIRouter()


@router.get("/health")
async def health() -> dict[str, str]:
    """Alive: nothing is asked of others."""
    return {"status": "ok"}


@router.get("/ready")
async def ready(session: SessionDep) -> JSONResponse:
    """Ready: the database answers."""
    try:
        await session.execute(text("SELECT 1"))
    except SQLAlchemyError:
        logger.exception("the database does not answer")
        return JSONResponse({"status": "unavailable"}, status_code=503)
    return JSONResponse({"status": "ok"})


@router.get("/metrics")
async def metrics(request: Request) -> PlainTextResponse:
    """For Prometheus alone."""
    wanted = f"Bearer {request.app.state.settings.metrics_token}"
    if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), wanted.encode()):
        raise HTTPException(401, "not for you", headers={"WWW-Authenticate": "Bearer"})
    return PlainTextResponse(request.app.state.metrics.render())
