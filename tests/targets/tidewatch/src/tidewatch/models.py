"""The tables."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import DateTime, Float, Index, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """All tables."""


class Delivery(Base):
    """A delivery that was taken: its id makes repeating it harmless."""

    __tablename__ = "deliveries"

    delivery_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    taken_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)


class Arrival(Base):
    """A vessel at a berth."""

    __tablename__ = "arrivals"
    __table_args__ = (Index("ix_arrivals_vessel_at", "vessel", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    vessel: Mapped[str] = mapped_column(String(16))
    kind: Mapped[str] = mapped_column(String(16))
    berth: Mapped[str] = mapped_column(String(8), index=True)
    depth_m: Mapped[float | None] = mapped_column(Float)
    next_high: Mapped[str | None] = mapped_column(String(16))
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
