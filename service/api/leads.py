"""Leads, as the website and the agents' app read them."""

from typing import Any

from fastapi import APIRouter, Depends, HTTPException

from service import outcomes
from service.api.access import require_admin

router = APIRouter(prefix="/api/v1/leads", dependencies=[Depends(require_admin)])


@router.get("")
async def leads(email: str) -> list[dict[str, Any]]:
    return await outcomes.find_leads(email)


@router.get("/{lead_id}/score")
async def lead_score(lead_id: str) -> dict[str, Any]:
    score = await outcomes.latest_score(lead_id)
    if score is None:
        raise HTTPException(status_code=404, detail="no score for this lead")
    return score


@router.get("/{lead_id}/matches")
async def lead_matches(lead_id: str) -> list[dict[str, Any]]:
    return await outcomes.current_matches(lead_id)
