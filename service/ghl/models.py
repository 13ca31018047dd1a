"""Data models of the GoHighLevel integration."""

from typing import Any

from pydantic import BaseModel

from service.config import ghl_config


def custom_field(data: dict[str, Any], field_id: str) -> Any:
    for field in data.get("customFields") or []:
        if field.get("id") == field_id:
            return field.get("value")
    return None


class LeadProfile(BaseModel):
    ghl_id: str
    location_id: str
    email: str = ""
    phone: str = ""
    first_name: str = ""
    last_name: str = ""
    city: str = ""
    source: str = ""
    tags: list[str] = []
    do_not_contact: bool = False
    budget: int = 450_000
    bedrooms: int = 3
    property_type: str = "house"
    features: list[str] = []
    timeline: str = "unknown"

    @property
    def intent(self) -> str:
        if "seller" in self.tags:
            return "seller"
        if "relocation" in self.tags:
            return "relocation"
        if self.timeline in ("now", "30 days"):
            return "ready buyer"
        return "browsing"

    def answers(self) -> dict[str, str]:
        """The questions of a flow that the intake form has answered already."""
        given = {"budget": str(self.budget), "bedrooms": str(self.bedrooms)}
        if self.timeline != "unknown":
            given["timeline"] = self.timeline
        return given

    @classmethod
    def from_ghl_contact(cls, data: dict[str, Any]) -> "LeadProfile":
        features = custom_field(data, ghl_config.FIELD_FEATURES) or ""
        return cls(
            ghl_id=data.get("id") or data.get("contactId"),
            location_id=data.get("locationId") or ghl_config.GHL_LOCATION_ID,
            email=data.get("email") or "",
            phone=data.get("phone") or "",
            first_name=data.get("firstName") or "",
            last_name=data.get("lastName") or "",
            city=data.get("city") or ghl_config.DEFAULT_CITY,
            source=data.get("source") or "",
            tags=data.get("tags") or [],
            do_not_contact=bool(data.get("dnd")),
            budget=int(custom_field(data, ghl_config.FIELD_BUDGET) or 450_000),
            bedrooms=int(custom_field(data, ghl_config.FIELD_BEDROOMS) or 3),
            property_type=custom_field(data, ghl_config.FIELD_PROPERTY_TYPE) or "house",
            features=[part.strip() for part in features.split(",") if part.strip()],
            timeline=custom_field(data, ghl_config.FIELD_TIMELINE) or "unknown",
        )


class LeadScore(BaseModel):
    value: int
    tier: str
    reasons: list[str] = []


class PropertyMatch(BaseModel):
    property_id: int
    address: str
    price: int
    bedrooms: int
    fit: float
    features: list[str] = []


class Opportunity(BaseModel):
    id: str
    location_id: str
    contact_id: str = ""
    pipeline_id: str = ""
    stage_id: str = ""
    name: str = ""
    status: str = "open"
    value: float = 0.0

    @classmethod
    def from_ghl(cls, data: dict[str, Any]) -> "Opportunity":
        return cls(
            id=data["id"],
            location_id=data.get("locationId") or ghl_config.GHL_LOCATION_ID,
            contact_id=data.get("contactId") or "",
            pipeline_id=data.get("pipelineId") or "",
            stage_id=data.get("pipelineStageId") or "",
            name=data.get("name") or "",
            status=data.get("status") or "open",
            value=float(data.get("monetaryValue") or 0),
        )


class Appointment(BaseModel):
    id: str
    location_id: str
    contact_id: str = ""
    calendar_id: str = ""
    title: str = ""
    start_time: str = ""
    status: str = "confirmed"

    @classmethod
    def from_ghl(cls, data: dict[str, Any]) -> "Appointment":
        inner = data["appointment"]
        return cls(
            id=inner["id"],
            location_id=data.get("locationId") or ghl_config.GHL_LOCATION_ID,
            contact_id=inner.get("contactId") or "",
            calendar_id=inner.get("calendarId") or "",
            title=inner.get("title") or "",
            start_time=inner.get("startTime") or "",
            status=inner.get("appointmentStatus") or "confirmed",
        )


class InboundMessage(BaseModel):
    contact_id: str
    location_id: str
    conversation_id: str = ""
    channel: str = "SMS"
    body: str = ""

    @classmethod
    def from_ghl(cls, data: dict[str, Any]) -> "InboundMessage":
        return cls(
            contact_id=data["contactId"],
            location_id=data.get("locationId") or ghl_config.GHL_LOCATION_ID,
            conversation_id=data.get("conversationId") or "",
            channel=data.get("messageType") or "SMS",
            body=data.get("body") or data.get("message") or "",
        )
