"""The lead service: GoHighLevel webhooks in, scored, matched and answered leads out."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from service.api import back_office, leads
from service.database import init_db
from service.ghl import webhooks

logging.basicConfig(level=logging.INFO)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    await init_db()
    yield


app = FastAPI(title="Real Estate Lead Service", lifespan=lifespan)
app.include_router(webhooks.router)
app.include_router(leads.router)
app.include_router(back_office.router)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}
