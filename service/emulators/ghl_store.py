"""What the GoHighLevel emulator remembers while it runs."""

import uuid
from datetime import UTC, datetime
from typing import Any

Record = dict[str, Any]


def new_id() -> str:
    return uuid.uuid4().hex[:20]


class Store:
    def __init__(self) -> None:
        self.contacts: dict[str, Record] = {}
        self.opportunities: dict[str, Record] = {}
        self.appointments: dict[str, Record] = {}
        self.messages: list[Record] = []
        stages = ["New Lead", "Viewing", "Offer", "Under Contract", "Closed"]
        self.pipelines = [
            {
                "id": "pipe_buyers",
                "name": "Buyers",
                "stages": [
                    {"id": f"stage_{number}", "name": name, "position": number}
                    for number, name in enumerate(stages, start=1)
                ],
            }
        ]

    def contact(self, contact_id: str) -> Record:
        """A contact; one that a webhook spoke of exists even if it was never created here."""
        return self.contacts.setdefault(contact_id, {"id": contact_id, "tags": [], "customFields": []})

    def add_contact(self, body: Record) -> Record:
        contact = self.contact(new_id())
        contact.update(body)
        contact["dateAdded"] = datetime.now(UTC).isoformat()
        return contact

    def update_contact(self, contact_id: str, body: Record) -> Record:
        contact = self.contact(contact_id)
        fields = {field_name(field): field for field in contact["customFields"]}
        fields.update({field_name(field): field for field in body.get("customFields", [])})
        contact.update(body)
        contact["customFields"] = list(fields.values())
        return contact

    def upsert_contact(self, body: Record) -> tuple[bool, Record]:
        for contact in self.contacts.values():
            same_place = contact.get("locationId") == body.get("locationId")
            if same_place and any(
                body.get(key) and contact.get(key) == body[key] for key in ("email", "phone")
            ):
                return False, self.update_contact(contact["id"], body)
        return True, self.add_contact(body)

    def search_contacts(self, location_id: str | None, query: str) -> list[Record]:
        needle = query.lower()
        found = []
        for contact in self.contacts.values():
            if location_id and contact.get("locationId") != location_id:
                continue
            names = (contact.get(key) or "" for key in ("email", "phone", "firstName", "lastName"))
            if needle in " ".join(names).lower():
                found.append(contact)
        return found

    def change_tags(self, contact_id: str, tags: list[str], add: bool) -> tuple[list[str], list[str]]:
        """The contact's tags afterwards, and those of `tags` that made a difference."""
        contact = self.contact(contact_id)
        changed = [tag for tag in tags if (tag in contact["tags"]) != add]
        kept = [tag for tag in contact["tags"] if add or tag not in changed]
        contact["tags"] = kept + changed if add else kept
        return contact["tags"], changed

    def upsert(self, kind: str, body: Record) -> tuple[bool, Record]:
        records: dict[str, Record] = getattr(self, kind)
        record_id = str(body.get("id") or new_id())
        new = record_id not in records
        record = records.setdefault(record_id, {"id": record_id})
        record.update({**body, "id": record_id})
        return new, record

    def add_message(self, body: Record) -> Record:
        conversation = body.get("conversationId") or f"conv_{body.get('contactId')}"
        message = {**body, "id": new_id(), "conversationId": conversation}
        self.messages.append(message)
        return message

    def custom_fields(self, location_id: str) -> list[Record]:
        names = ["ai_score", "ai_tier", "matched_properties", "segment", "next_viewing"]
        names += ["last_intent", "qualified_percent", "budget", "bedrooms", "timeline"]
        return [
            {"id": f"{location_id}_{name}", "name": name, "fieldKey": f"contact.{name}"} for name in names
        ]


def field_name(field: Record) -> str:
    return str(field.get("id") or field.get("key"))
