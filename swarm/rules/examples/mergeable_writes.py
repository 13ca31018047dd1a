"""Examples of the rule mergeable-writes."""

from __future__ import annotations

from swarm.rules.rule import Example

BAD = (
    Example(
        """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient()


async def update_customer(customer_id: str, fields: dict) -> None:
    items = [{"id": name, "value": value} for name, value in fields.items()]
    answer = await client.put(f"https://crm.example/customers/{customer_id}", json={"fields": items})
    answer.raise_for_status()


@app.post("/hook")
async def hook(event: dict):
    await update_customer(event["id"], {"score": event["score"]})
    await update_customer(event["id"], {"tier": "hot", "seen": True})
    return {"ok": True}
""",
        """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient()


async def update_customer(customer_id: str, fields: dict) -> None:
    items = [{"id": name, "value": value} for name, value in fields.items()]
    answer = await client.put(f"https://crm.example/customers/{customer_id}", json={"fields": items})
    answer.raise_for_status()


@app.post("/hook")
async def hook(event: dict):
    await update_customer(event["id"], {"score": event["score"], "tier": "hot", "seen": True})
    return {"ok": True}
""",
        "fastapi",
    ),
    Example(
        """import requests
from flask import Flask, request

app = Flask(__name__)


class Crm:
    def __init__(self, base: str) -> None:
        self.base = base

    def change(self, lead: str, values: dict) -> dict:
        return requests.patch(f"{self.base}/leads/{lead}", json=values, timeout=3).json()


crm = Crm("https://crm.example")


@app.post("/hook")
def hook():
    lead = request.get_json()
    crm.change(lead["id"], {"name": lead["first_name"] + " " + lead["last_name"]})
    # how they found us
    crm.change(
        lead["id"],
        {
            "source": lead["source"],
            "campaign": lead["campaign"],
        },
    )
    return "", 204
""",
        """import requests
from flask import Flask, request

app = Flask(__name__)


class Crm:
    def __init__(self, base: str) -> None:
        self.base = base

    def change(self, lead: str, values: dict) -> dict:
        return requests.patch(f"{self.base}/leads/{lead}", json=values, timeout=3).json()


crm = Crm("https://crm.example")


@app.post("/hook")
def hook():
    lead = request.get_json()
    # how they found us
    crm.change(
        lead["id"],
        {
            "name": lead["first_name"] + " " + lead["last_name"],
            "source": lead["source"],
            "campaign": lead["campaign"],
        },
    )
    return "", 204
""",
        "flask",
    ),
    Example(
        """import requests
from flask import Flask, request

app = Flask(__name__)


@app.post("/hook")
def hook():
    url = f"https://desk.example/tickets/{request.json['id']}"
    answer = requests.patch(url, json={"team": "first"}, timeout=5)
    answer.raise_for_status()
    answer = requests.patch(url, json={"state": "open"}, timeout=5)
    answer.raise_for_status()
    return ""
""",
        """import requests
from flask import Flask, request

app = Flask(__name__)


@app.post("/hook")
def hook():
    url = f"https://desk.example/tickets/{request.json['id']}"
    answer = requests.patch(url, json={"team": "first", "state": "open"}, timeout=5)
    answer.raise_for_status()
    return ""
""",
        "flask",
    ),
    Example(
        """import requests
from fastapi import FastAPI

app = FastAPI()


class Desk:
    def update(self, number, **fields):
        answer = requests.put(f"https://desk.example/tickets/{number}", json=fields, timeout=5)
        answer.raise_for_status()


desk = Desk()


@app.post("/hook")
def hook(event: dict):
    desk.update(event["number"], state="closed")
    desk.update(event["number"], closed_by=event["by"])
    return {"closed": True}
""",
        """import requests
from fastapi import FastAPI

app = FastAPI()


class Desk:
    def update(self, number, **fields):
        answer = requests.put(f"https://desk.example/tickets/{number}", json=fields, timeout=5)
        answer.raise_for_status()


desk = Desk()


@app.post("/hook")
def hook(event: dict):
    desk.update(event["number"], state="closed", closed_by=event["by"])
    return {"closed": True}
""",
        "fastapi",
    ),
)
GOOD = (
    """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient()


async def update_customer(customer_id: str, fields: dict) -> dict:
    return (await client.patch(f"https://crm.example/customers/{customer_id}", json=fields)).json()


async def add_note(customer_id: str, note: dict) -> None:
    await client.post(f"https://crm.example/customers/{customer_id}/notes", json=note)


async def replace_profile(customer_id: str, profile: dict, version: str) -> None:
    await client.put(f"https://crm.example/profiles/{customer_id}?v={profile['v']}", json=profile)


@app.post("/hook")
async def hook(event: dict):
    await update_customer(event["id"], {"score": 5})
    await add_note(event["id"], {"text": "scored"})
    await update_customer(event["id"], {"tier": "hot"})
    await update_customer(event["other"], {"tier": "hot"})
    known = await update_customer(event["id"], {"tier": "cold"})
    await update_customer(event["id"], {"name": known["name"]})
    await add_note(event["id"], {"text": "a"})
    await add_note(event["id"], {"text": "b"})
    await replace_profile(event["id"], {"v": 1, "a": 1}, "1")
    await replace_profile(event["id"], {"v": 1, "b": 1}, "1")
    return {"ok": True}
""",
)
