"""GoHighLevel, Claude and storage settings, read from the environment."""

import os

GHL_API_URL = os.getenv("GHL_API_URL", "https://services.leadconnectorhq.com")
GHL_API_KEY = os.getenv("GHL_API_KEY", "")
GHL_LOCATION_ID = os.getenv("GHL_LOCATION_ID", "")
GHL_WEBHOOK_SECRET = os.getenv("GHL_WEBHOOK_SECRET", "realestate-webhook-2024")
GHL_WEBHOOK_ENDPOINT = os.getenv("GHL_WEBHOOK_ENDPOINT", "/api/v1/ghl/webhook")

CONTACTS_VERSION = "2021-07-28"
CONVERSATIONS_VERSION = "2021-04-15"

AI_API_URL = os.getenv("AI_API_URL", "https://api.anthropic.com")
AI_API_KEY = os.getenv("AI_API_KEY", "")
AI_MODEL = os.getenv("AI_MODEL", "claude-haiku-5-5")

DATABASE_PATH = os.getenv("DATABASE_PATH", "")
DATABASE_URL = os.getenv("DATABASE_URL", "")
REDIS_URL = os.getenv("REDIS_URL", "")
SEED_PROPERTIES = int(os.getenv("SEED_PROPERTIES", "2400"))

# encrypts personal columns: rows written under another key cannot be read
FIELD_KEY = os.getenv("FIELD_KEY", "")
ADMIN_TOKEN = os.getenv("ADMIN_TOKEN", "")
RETENTION_DAYS = int(os.getenv("RETENTION_DAYS", "730"))

DEFAULT_CITY = os.getenv("DEFAULT_CITY", "Austin")
CANDIDATES = 14
SHORTLIST_SIZE = 10
HISTORY_SIZE = 10

# custom field ids of the lead intake form
FIELD_BUDGET = "budget"
FIELD_BEDROOMS = "bedrooms"
FIELD_PROPERTY_TYPE = "property_type"
FIELD_FEATURES = "must_haves"
FIELD_TIMELINE = "timeline"

DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
}


def database_url() -> str:
    """DATABASE_URL with an async driver, or the SQLite file at DATABASE_PATH."""
    if DATABASE_URL:
        scheme, rest = DATABASE_URL.split("://", 1)
        return f"{DRIVERS.get(scheme, scheme)}://{rest}"
    return f"sqlite+aiosqlite:///{DATABASE_PATH or 'leads.db'}"


def location_tokens() -> dict[str, str]:
    """Private integration tokens by location: "loc_a:token,loc_b:token"."""
    pairs = os.getenv("GHL_LOCATION_TOKENS", "")
    return dict(pair.strip().split(":", 1) for pair in pairs.split(",") if ":" in pair)
