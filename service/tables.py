"""The tables, as SQLAlchemy models."""

from datetime import UTC, datetime

from sqlalchemy import Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from service.encryption import Encrypted


def now() -> str:
    return datetime.now(UTC).isoformat()


class Base(DeclarativeBase):
    pass


class Tenant(Base):
    __tablename__ = "tenants"

    location_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    flow_id: Mapped[str]
    agent_id: Mapped[str]
    timezone: Mapped[str]
    auto_reply: Mapped[bool] = mapped_column(default=True)


class QualificationFlow(Base):
    __tablename__ = "qualification_flows"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    stage: Mapped[str]


class QualificationQuestion(Base):
    __tablename__ = "qualification_questions"

    id: Mapped[int] = mapped_column(primary_key=True)
    flow_id: Mapped[str]
    position: Mapped[int]
    field: Mapped[str]
    question: Mapped[str]


class QualificationAnswer(Base):
    __tablename__ = "qualification_answers"

    id: Mapped[int] = mapped_column(primary_key=True)
    contact_id: Mapped[str]
    field: Mapped[str]
    answer: Mapped[str]
    updated_at: Mapped[str] = mapped_column(default=now)


class Agent(Base):
    __tablename__ = "agents"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    style: Mapped[str]
    language: Mapped[str]


class AgentSpecialty(Base):
    __tablename__ = "agent_specialties"

    id: Mapped[int] = mapped_column(primary_key=True)
    agent_id: Mapped[str]
    name: Mapped[str]


class Property(Base):
    __tablename__ = "properties"

    id: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str]
    city: Mapped[str]
    zip: Mapped[str]
    property_type: Mapped[str]
    price: Mapped[int]
    bedrooms: Mapped[int]
    sqft: Mapped[int]
    status: Mapped[str]


class PropertyFeature(Base):
    __tablename__ = "property_features"

    id: Mapped[int] = mapped_column(primary_key=True)
    property_id: Mapped[int]
    name: Mapped[str]


class PropertyInterest(Base):
    __tablename__ = "property_interest"

    id: Mapped[int] = mapped_column(primary_key=True)
    property_id: Mapped[int]
    tier: Mapped[str]
    leads: Mapped[int] = mapped_column(default=0)


class Lead(Base):
    __tablename__ = "leads"

    ghl_id: Mapped[str] = mapped_column(primary_key=True)
    location_id: Mapped[str]
    email: Mapped[str] = mapped_column(Encrypted, default="")
    email_digest: Mapped[str] = mapped_column(default="")
    phone: Mapped[str] = mapped_column(Encrypted, default="")
    first_name: Mapped[str] = mapped_column(Encrypted, default="")
    last_name: Mapped[str] = mapped_column(Encrypted, default="")
    city: Mapped[str] = mapped_column(default="")
    tags: Mapped[str] = mapped_column(default="")
    do_not_contact: Mapped[bool] = mapped_column(default=False)
    updated_at: Mapped[str] = mapped_column(default=now, onupdate=now)


class LeadScoreRow(Base):
    __tablename__ = "lead_scores"

    id: Mapped[int] = mapped_column(primary_key=True)
    lead_id: Mapped[str]
    score: Mapped[int]
    tier: Mapped[str]
    reasons: Mapped[str] = mapped_column(Text)
    created_at: Mapped[str] = mapped_column(default=now)


class LeadMatch(Base):
    __tablename__ = "lead_matches"

    id: Mapped[int] = mapped_column(primary_key=True)
    lead_id: Mapped[str]
    property_id: Mapped[int]
    position: Mapped[int]
    fit: Mapped[float]


class ConversationMessage(Base):
    __tablename__ = "conversation_messages"

    id: Mapped[int] = mapped_column(primary_key=True)
    contact_id: Mapped[str]
    location_id: Mapped[str]
    direction: Mapped[str]
    body: Mapped[str] = mapped_column(Encrypted)
    created_at: Mapped[str] = mapped_column(default=now)


class OpportunityRow(Base):
    __tablename__ = "opportunities"

    id: Mapped[str] = mapped_column(primary_key=True)
    location_id: Mapped[str]
    contact_id: Mapped[str]
    name: Mapped[str]
    stage: Mapped[str]
    status: Mapped[str]
    amount: Mapped[float]
    updated_at: Mapped[str] = mapped_column(default=now, onupdate=now)


class AppointmentRow(Base):
    __tablename__ = "appointments"

    id: Mapped[str] = mapped_column(primary_key=True)
    location_id: Mapped[str]
    contact_id: Mapped[str]
    title: Mapped[str]
    start_time: Mapped[str]
    status: Mapped[str]
    message_id: Mapped[str | None]
    updated_at: Mapped[str] = mapped_column(default=now, onupdate=now)


class Activity(Base):
    __tablename__ = "activity_log"

    id: Mapped[int] = mapped_column(primary_key=True)
    subject_id: Mapped[str]
    action: Mapped[str]
    detail: Mapped[str]
    created_at: Mapped[str] = mapped_column(default=now)


class AnalyticsEvent(Base):
    __tablename__ = "analytics_events"

    id: Mapped[int] = mapped_column(primary_key=True)
    location_id: Mapped[str]
    contact_id: Mapped[str]
    name: Mapped[str]
    label: Mapped[str]
    created_at: Mapped[str] = mapped_column(default=now)


class BusinessMetric(Base):
    __tablename__ = "business_metrics"

    id: Mapped[int] = mapped_column(primary_key=True)
    location_id: Mapped[str]
    name: Mapped[str]
    total: Mapped[float] = mapped_column(default=0.0)


class Notification(Base):
    __tablename__ = "notifications"

    id: Mapped[int] = mapped_column(primary_key=True)
    agent_id: Mapped[str]
    contact_id: Mapped[str]
    channel: Mapped[str]
    message: Mapped[str]
    created_at: Mapped[str] = mapped_column(default=now)
