"""Client of the GoHighLevel API v2."""

from typing import Any

import httpx

from service.config import ghl_config
from service.config.tls import TLS


class GHLClient:
    def __init__(self, location_id: str = "") -> None:
        self.location_id = location_id or ghl_config.GHL_LOCATION_ID
        self.base_url = ghl_config.GHL_API_URL
        self.token = ghl_config.location_tokens().get(self.location_id, ghl_config.GHL_API_KEY)

    def headers(self, version: str = ghl_config.CONTACTS_VERSION) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.token}",
            "Version": version,
            "Accept": "application/json",
        }

    async def get_contact(self, contact_id: str) -> dict[str, Any]:
        async with httpx.AsyncClient(verify=TLS) as client:
            response = await client.get(f"{self.base_url}/contacts/{contact_id}", headers=self.headers())
            response.raise_for_status()
            return response.json()["contact"]

    async def update_contact(self, contact_id: str, custom_fields: dict[str, Any]) -> dict[str, Any]:
        fields = [{"key": key, "field_value": value} for key, value in custom_fields.items()]
        async with httpx.AsyncClient(verify=TLS) as client:
            response = await client.put(
                f"{self.base_url}/contacts/{contact_id}",
                headers=self.headers(),
                json={"customFields": fields},
            )
            response.raise_for_status()
            return response.json()["contact"]

    async def set_do_not_disturb(self, contact_id: str) -> dict[str, Any]:
        async with httpx.AsyncClient(verify=TLS) as client:
            response = await client.put(
                f"{self.base_url}/contacts/{contact_id}",
                headers=self.headers(),
                json={"dnd": True},
            )
            response.raise_for_status()
            return response.json()["contact"]

    async def add_tags(self, contact_id: str, tags: list[str]) -> list[str]:
        async with httpx.AsyncClient(verify=TLS) as client:
            response = await client.post(
                f"{self.base_url}/contacts/{contact_id}/tags",
                headers=self.headers(),
                json={"tags": tags},
            )
            response.raise_for_status()
            return response.json()["tags"]

    async def get_pipelines(self) -> list[dict[str, Any]]:
        async with httpx.AsyncClient(verify=TLS) as client:
            response = await client.get(
                f"{self.base_url}/opportunities/pipelines",
                headers=self.headers(),
                params={"locationId": self.location_id},
            )
            response.raise_for_status()
            return response.json()["pipelines"]

    async def send_message(self, contact_id: str, text: str) -> str | None:
        async with httpx.AsyncClient(verify=TLS) as client:
            response = await client.post(
                f"{self.base_url}/conversations/messages",
                headers=self.headers(ghl_config.CONVERSATIONS_VERSION),
                json={"type": "SMS", "contactId": contact_id, "message": text},
            )
            return response.json().get("messageId")
