"""Sessions, and the database on first start."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine

from service import seed
from service.config import ghl_config
from service.tables import (
    Agent,
    AgentSpecialty,
    Base,
    Property,
    PropertyFeature,
    PropertyInterest,
    QualificationFlow,
    QualificationQuestion,
    Tenant,
)


@asynccontextmanager
async def open_session() -> AsyncIterator[AsyncSession]:
    engine = create_async_engine(ghl_config.database_url())
    try:
        async with AsyncSession(engine, expire_on_commit=False) as session:
            yield session
    finally:
        await engine.dispose()


async def init_db() -> None:
    """Create the tables, and load tenants and the property catalogue into an empty database."""
    engine = create_async_engine(ghl_config.database_url())
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        if await connection.scalar(select(func.count()).select_from(Property)) == 0:
            homes = seed.catalogue(ghl_config.SEED_PROPERTIES)
            while some := list(islice(homes, 100)):
                await load(connection, some)
            await connection.execute(insert(Tenant), seed.tenants())
            await connection.execute(insert(QualificationFlow), seed.FLOWS)
            await connection.execute(insert(QualificationQuestion), seed.questions())
            await connection.execute(insert(Agent), seed.AGENTS)
            await connection.execute(insert(AgentSpecialty), seed.specialties())
    await engine.dispose()


async def load(connection: AsyncConnection, homes: list[tuple[seed.Row, list[seed.Row]]]) -> None:
    properties = [home for home, _ in homes]
    await connection.execute(insert(Property), properties)
    await connection.execute(insert(PropertyFeature), [row for _, features in homes for row in features])
    await connection.execute(insert(PropertyInterest), seed.interest(properties))
