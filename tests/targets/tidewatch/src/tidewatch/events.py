"""The webhook: verified, taken once, enriched, stored."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.dialects.sqlite import insert

from tidewatch.berths import Berth, BerthClient, BerthsUnavailable
from tidewatch.database import SessionDep
from tidewatch.models import Arrival, Delivery
from tidewatch.settings import Settings
from tidewatch.signatures import BadSignature, verify

logger = logging.getLogger(__name__)
audit = logging.getLogger("tidewatch.audit")
router = APIRouter(prefix="/events")


class VesselEvent(BaseModel):
    """What the port sends."""

    model_config = ConfigDict(extra="forbid")

    delivery_id: str = Field(min_length=8, max_length=64)
    vessel: str = Field(pattern=r"^IMO\d{7}$")
    kind: Literal["arrived", "departed"]
    berth: str = Field(pattern=r"^B\d{1,3}$")
    at: AwareDatetime


def get_settings(request: Request) -> Settings:
    """The settings of the application."""
    settings: Settings = request.app.state.settings
    return settings


def get_berths(request: Request) -> BerthClient:
    """The one client of the application."""
    berths: BerthClient = request.app.state.berths
    return berths


async def verified_event(request: Request, settings: Annotated[Settings, Depends(get_settings)]) -> VesselEvent:
    """The event of a genuine delivery; 401, 415, 422 or 429 for any other."""
    if not request.app.state.bucket.take():
        audit.warning("too many deliveries", extra={"event": "rate_limited"})
        raise HTTPException(429, "too many deliveries", headers={"Retry-After": "1"})
    body = await request.body()
    try:
        verify(
            request.headers.get("X-Port-Signature"), body, settings.port_secrets, time.time(), settings.tolerance_s
        )
    except BadSignature as error:
        audit.warning("delivery refused", extra={"event": "bad_signature", "reason": str(error)})
        raise HTTPException(401, "the signature is not valid") from None
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise HTTPException(415, "send application/json")
    try:
        return VesselEvent.model_validate_json(body)
    except ValidationError as error:
        logger.info("event not understood", extra={"fields": [".".join(map(str, e["loc"])) for e in error.errors()]})
        raise HTTPException(422, "the event is not one of ours") from None


@router.post("/vessel", status_code=202)
async def vessel_event(
    event: Annotated[VesselEvent, Depends(verified_event)],
    berths: Annotated[BerthClient, Depends(get_berths)],
    session: SessionDep,
) -> dict[str, str]:
    """Take one event. A repeated delivery is answered as the first was, and changes nothing."""
    claim = insert(Delivery).values(delivery_id=event.delivery_id, taken_at=datetime.now(UTC))
    claimed = await session.execute(claim.on_conflict_do_nothing().returning(Delivery.delivery_id))
    if claimed.scalar_one_or_none() is None:
        logger.info("delivery repeated", extra={"delivery_id": event.delivery_id})
        return {"status": "taken"}
    await session.commit()
    berth: Berth | None = None
    try:
        berth = await berths.berth(event.berth)
    except BerthsUnavailable:
        logger.warning("stored without its berth", extra={"delivery_id": event.delivery_id})
    session.add(
        Arrival(
            vessel=event.vessel,
            kind=event.kind,
            berth=event.berth,
            depth_m=berth.depth_m if berth else None,
            next_high=berth.next_high if berth else None,
            at=event.at,
        )
    )
    await session.commit()
    return {"status": "taken"}
