"""Appointments: booked, changed."""

from typing import Any

from service.agents import get_agent_context
from service.ai.coaching import coach_agent
from service.analytics import update_analytics, update_business_metrics
from service.ghl.client import GHLClient
from service.ghl.events import handle_webhook
from service.ghl.models import Appointment
from service.notifications import send_notifications
from service.outcomes import record_appointment
from service.outreach import send_to_contact
from service.qualification import get_qualification_flow
from service.tenants import get_tenant_config

DEFAULT_ADVICE = {"advice": "Confirm the time and bring the shortlist.", "next_step": "call"}


@handle_webhook(
    "AppointmentCreate",
    "AppointmentUpdate",
    "appointment.created",
    "appointment.booked",
    "appointment.scheduled",
)
async def process_appointment(data: dict[str, Any]) -> None:
    appointment = Appointment.from_ghl(data)
    client = GHLClient(appointment.location_id)

    tenant = await get_tenant_config(appointment.location_id)
    flow = await get_qualification_flow(tenant["flow_id"])
    agent = await get_agent_context(tenant["agent_id"])
    try:
        coaching = await coach_agent("viewing booked", flow["stage"], agent)
    except Exception:
        coaching = DEFAULT_ADVICE

    text = f"Your viewing '{appointment.title}' is booked for {appointment.start_time}."
    message_id = await send_to_contact(client, appointment.contact_id, text)
    await client.update_contact(appointment.contact_id, {"next_viewing": appointment.start_time})

    await record_appointment(appointment, message_id)
    await update_analytics(
        appointment.location_id, appointment.contact_id, [("appointment", appointment.status)]
    )
    await update_business_metrics(appointment.location_id, {"appointments": 1})
    news = f"Viewing booked: {appointment.title}. {coaching['advice']}"
    await send_notifications(agent, appointment.contact_id, [news])
