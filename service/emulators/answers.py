"""What the emulated model says: the form that the system prompt asks for, decided by the prompt alone."""

import hashlib
import json
import re
from typing import Any

REASONS = [
    "budget fits the market",
    "short timeline",
    "strong referral source",
    "clear property criteria",
    "incomplete contact details",
    "early research phase",
]
ADVICE = [
    "Call within the hour and offer two viewing times.",
    "Send three listings that fit the budget and ask which one comes closest.",
    "Ask about financing before you propose a viewing.",
    "Share a short market report of the area and check back in a week.",
    "Offer a video tour, since the lead is not in town yet.",
]
STEPS = ["call", "text", "email", "wait"]
INTENTS = ["schedule a viewing", "ask about price", "ask about financing", "general question", "complaint"]
REPLIES = [
    "Happy to help with that!",
    "Thanks for getting in touch, let me look into it.",
    "Good question, I will send you the details today.",
    "Of course, I have two openings this week.",
]


def judge(prompt: str) -> str:
    digest = hashlib.sha256(prompt.encode()).digest()
    score = 15 + digest[0] % 81
    tier = "hot" if score >= 75 else "warm" if score >= 45 else "cold"
    reasons = [REASONS[digest[1] % 3], REASONS[3 + digest[2] % 3]]
    return json.dumps({"score": score, "tier": tier, "reasons": reasons})


def advise(prompt: str) -> str:
    digest = hashlib.sha256(prompt.encode()).digest()
    return json.dumps({"advice": ADVICE[digest[0] % len(ADVICE)], "next_step": STEPS[digest[1] % len(STEPS)]})


def understand(prompt: str) -> str:
    digest = hashlib.sha256(prompt.encode()).digest()
    facts: dict[str, Any] = {}
    money = re.search(r"\$?(\d{3})k", prompt)
    rooms = re.search(r"(\d) bed", prompt)
    if money:
        facts["budget"] = f"{money[1]}000"
    if rooms:
        facts["bedrooms"] = rooms[1]
    for word in ("spring", "summer", "month", "weekend"):
        if word in prompt:
            facts["timeline"] = word
    mood = "negative" if "disappointed" in prompt else "positive" if "!" in prompt else "neutral"
    return json.dumps({"intent": INTENTS[digest[0] % len(INTENTS)], "sentiment": mood, "facts": facts})


def reply(prompt: str) -> str:
    digest = hashlib.sha256(prompt.encode()).digest()
    question = re.search(r"Next question: (.*)", prompt)
    asks = question[1] if question and question[1] != "none" else ""
    return f"{REPLIES[digest[0] % len(REPLIES)]} {asks}".strip()


def answer(system: str, prompt: str) -> str:
    if '"score"' in system:
        return judge(prompt)
    if '"advice"' in system:
        return advise(prompt)
    if '"intent"' in system:
        return understand(prompt)
    return reply(prompt)
