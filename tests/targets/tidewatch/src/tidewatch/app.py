"""The application, put together: what lives as long as the service is made in its lifespan and closed after it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import async_sessionmaker

from tidewatch import events, health
from tidewatch.berths import BerthClient
from tidewatch.database import create_tables, make_engine
from tidewatch.limits import TokenBucket
from tidewatch.logs import set_up
from tidewatch.metrics import Metrics
from tidewatch.middleware import BodyLimit, RequestContext
from tidewatch.settings import Settings


def create_app(settings: Settings | None = None, transport: httpx.AsyncBaseTransport | None = None) -> FastAPI:
    """The application; a transport stands in for the berth service in tests."""
    settings = settings or Settings.from_environment()
    set_up()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine = make_engine(settings.database_url)
        await create_tables(engine)
        limits = httpx.Limits(max_connections=50, max_keepalive_connections=20)
        timeout = httpx.Timeout(settings.timeout_s, pool=settings.timeout_s)
        client = httpx.AsyncClient(base_url=settings.berths_url, timeout=timeout, limits=limits, transport=transport)
        app.state.sessions = async_sessionmaker(engine, expire_on_commit=False)
        app.state.berths = BerthClient(client)
        try:
            yield
        finally:
            await client.aclose()
            await engine.dispose()

    app = FastAPI(title="tidewatch", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.settings = settings
    app.state.metrics = Metrics()
    app.state.bucket = TokenBucket(settings.deliveries_per_minute)
    app.include_router(events.router)
    app.include_router(health.router)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    app.add_middleware(RequestContext, metrics=app.state.metrics)
    return app
