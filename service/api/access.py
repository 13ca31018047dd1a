"""Who may use the routes of the back office."""

from fastapi import Header, HTTPException

from service.config import ghl_config


async def require_admin(x_admin_token: str = Header(default="")) -> None:
    if not ghl_config.ADMIN_TOKEN or x_admin_token != ghl_config.ADMIN_TOKEN:
        raise HTTPException(status_code=403, detail="admin token required")
