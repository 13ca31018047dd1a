"""SQLite storage: properties, leads and what happened to them."""

import json
import sqlite3
from datetime import UTC, datetime
from typing import Any

from service import seed
from service.config import ghl_config
from service.ghl.models import Appointment, LeadProfile, LeadScore, Opportunity, PropertyMatch

SCHEMA = """
CREATE TABLE IF NOT EXISTS properties (
    id INTEGER PRIMARY KEY,
    address TEXT NOT NULL,
    city TEXT NOT NULL,
    zip TEXT NOT NULL,
    property_type TEXT NOT NULL,
    price INTEGER NOT NULL,
    bedrooms INTEGER NOT NULL,
    sqft INTEGER NOT NULL,
    status TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS property_features (
    property_id INTEGER NOT NULL,
    name TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS property_interest (
    property_id INTEGER NOT NULL,
    tier TEXT NOT NULL,
    leads INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS leads (
    ghl_id TEXT PRIMARY KEY,
    location_id TEXT NOT NULL,
    email TEXT,
    phone TEXT,
    first_name TEXT,
    last_name TEXT,
    city TEXT,
    status TEXT NOT NULL DEFAULT 'active',
    updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS lead_scores (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    lead_id TEXT NOT NULL,
    score INTEGER NOT NULL,
    tier TEXT NOT NULL,
    reasons TEXT NOT NULL,
    created_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS lead_matches (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    lead_id TEXT NOT NULL,
    property_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    fit REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS opportunities (
    id TEXT PRIMARY KEY,
    location_id TEXT NOT NULL,
    contact_id TEXT,
    name TEXT,
    stage TEXT,
    status TEXT NOT NULL,
    value REAL NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS appointments (
    id TEXT PRIMARY KEY,
    location_id TEXT NOT NULL,
    contact_id TEXT,
    title TEXT,
    start_time TEXT,
    status TEXT NOT NULL,
    message_id TEXT,
    updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS activity_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    subject_id TEXT NOT NULL,
    action TEXT NOT NULL,
    detail TEXT NOT NULL,
    created_at TEXT NOT NULL
);
"""

TIERS = ("hot", "warm", "cold")


def now() -> str:
    return datetime.now(UTC).isoformat()


def connect() -> sqlite3.Connection:
    conn = sqlite3.connect(ghl_config.database_path())
    conn.row_factory = sqlite3.Row
    return conn


def init_db() -> None:
    """Create the tables, and load the property catalogue into an empty database."""
    conn = connect()
    conn.executescript(SCHEMA)
    if conn.execute("SELECT COUNT(*) FROM properties").fetchone()[0] == 0:
        properties, features = seed.catalogue(ghl_config.SEED_PROPERTIES)
        conn.executemany("INSERT INTO properties VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", properties)
        conn.executemany("INSERT INTO property_features VALUES (?, ?)", features)
        interest = [(row[0], tier) for row in properties for tier in TIERS]
        conn.executemany("INSERT INTO property_interest VALUES (?, ?, 0)", interest)
        conn.commit()
    conn.close()


def save_lead(conn: sqlite3.Connection, lead: LeadProfile) -> None:
    conn.execute(
        "INSERT INTO leads (ghl_id, location_id, email, phone, first_name, last_name, city, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (ghl_id) DO UPDATE SET email = excluded.email, phone = excluded.phone,"
        " first_name = excluded.first_name, last_name = excluded.last_name,"
        " city = excluded.city, status = 'active', updated_at = excluded.updated_at",
        (
            lead.ghl_id,
            lead.location_id,
            lead.email,
            lead.phone,
            lead.first_name,
            lead.last_name,
            lead.city,
            now(),
        ),
    )
    conn.commit()


def save_score(conn: sqlite3.Connection, lead_id: str, score: LeadScore) -> None:
    conn.execute(
        "INSERT INTO lead_scores (lead_id, score, tier, reasons, created_at) VALUES (?, ?, ?, ?, ?)",
        (lead_id, score.value, score.tier, json.dumps(score.reasons), now()),
    )
    conn.commit()


def save_matches(conn: sqlite3.Connection, lead_id: str, matches: list[PropertyMatch]) -> None:
    conn.execute("DELETE FROM lead_matches WHERE lead_id = ?", (lead_id,))
    conn.commit()
    for position, match in enumerate(matches, start=1):
        conn.execute(
            "INSERT INTO lead_matches (lead_id, property_id, position, fit) VALUES (?, ?, ?, ?)",
            (lead_id, match.property_id, position, match.fit),
        )
        conn.commit()


def count_interest(conn: sqlite3.Connection, tier: str, matches: list[PropertyMatch]) -> None:
    for match in matches:
        conn.execute(
            "UPDATE property_interest SET leads = leads + 1 WHERE property_id = ? AND tier = ?",
            (match.property_id, tier),
        )
        conn.commit()


def log_activity(conn: sqlite3.Connection, subject_id: str, entries: list[tuple[str, str]]) -> None:
    for action, detail in entries:
        conn.execute(
            "INSERT INTO activity_log (subject_id, action, detail, created_at) VALUES (?, ?, ?, ?)",
            (subject_id, action, detail, now()),
        )
        conn.commit()


def mark_lead_deleted(conn: sqlite3.Connection, lead_id: str) -> None:
    conn.execute(
        "UPDATE leads SET status = 'deleted', updated_at = ? WHERE ghl_id = ?", (now(), lead_id)
    )
    conn.commit()


def save_opportunity(conn: sqlite3.Connection, opportunity: Opportunity, stage: str) -> None:
    conn.execute(
        "INSERT OR REPLACE INTO opportunities VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            opportunity.id,
            opportunity.location_id,
            opportunity.contact_id,
            opportunity.name,
            stage,
            opportunity.status,
            opportunity.value,
            now(),
        ),
    )
    conn.commit()


def save_appointment(
    conn: sqlite3.Connection, appointment: Appointment, message_id: str | None
) -> None:
    conn.execute(
        "INSERT OR REPLACE INTO appointments VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            appointment.id,
            appointment.location_id,
            appointment.contact_id,
            appointment.title,
            appointment.start_time,
            appointment.status,
            message_id,
            now(),
        ),
    )
    conn.commit()


def find_leads(email: str) -> list[dict[str, Any]]:
    conn = connect()
    rows = conn.execute(
        f"SELECT ghl_id, location_id, email, first_name, last_name, city, status"
        f" FROM leads WHERE email = '{email}' ORDER BY ghl_id"
    ).fetchall()
    conn.close()
    return [dict(row) for row in rows]


def latest_score(lead_id: str) -> dict[str, Any] | None:
    conn = connect()
    row = conn.execute(
        "SELECT score, tier, created_at FROM lead_scores WHERE lead_id = ? ORDER BY id DESC LIMIT 1",
        (lead_id,),
    ).fetchone()
    conn.close()
    return dict(row) if row else None
