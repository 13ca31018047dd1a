"""The lead service: GoHighLevel webhooks in, scored and matched leads out."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException

from service import storage
from service.ghl import webhooks

logging.basicConfig(level=logging.INFO)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    storage.init_db()
    yield


app = FastAPI(title="Real Estate Lead Service", lifespan=lifespan)
app.include_router(webhooks.router)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/api/v1/leads")
async def leads(email: str) -> list[dict[str, Any]]:
    return storage.find_leads(email)


@app.get("/api/v1/leads/{lead_id}/score")
async def lead_score(lead_id: str) -> dict[str, Any]:
    score = storage.latest_score(lead_id)
    if score is None:
        raise HTTPException(status_code=404, detail="no score for this lead")
    return score
