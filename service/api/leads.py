"""Leads, as the website and the agents' app read them."""

from typing import Any

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel

from service import outcomes
from service.api.access import require_admin

router = APIRouter(prefix="/api/v1/leads", dependencies=[Depends(require_admin)])


class Wanted(BaseModel):
    email: str


@router.get("")
async def leads(city: str) -> list[dict[str, Any]]:
    return await outcomes.leads_in(city)


@router.post("/search")
async def search(wanted: Wanted) -> list[dict[str, Any]]:
    return await outcomes.find_leads(wanted.email)


@router.get("/{lead_id}/score")
async def lead_score(lead_id: str) -> dict[str, Any]:
    score = await outcomes.latest_score(lead_id)
    if score is None:
        raise HTTPException(status_code=404, detail="no score for this lead")
    return score


@router.post("/{lead_id}/review", status_code=202)
async def review_score(lead_id: str) -> dict[str, str]:
    if await outcomes.latest_score(lead_id) is None:
        raise HTTPException(status_code=404, detail="no score for this lead")
    await outcomes.request_review(lead_id)
    return {"status": "somebody will look at the score again"}


@router.get("/{lead_id}/matches")
async def lead_matches(lead_id: str) -> list[dict[str, Any]]:
    return await outcomes.current_matches(lead_id)
