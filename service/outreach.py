"""Messages to contacts, who may have asked for none."""

from service.ghl.client import GHLClient
from service.privacy import is_opted_out


async def send_to_contact(client: GHLClient, contact_id: str, text: str) -> str | None:
    """The id of the message, or None where the contact wants none."""
    if await is_opted_out(contact_id):
        return None
    return await client.send_message(contact_id, text)
