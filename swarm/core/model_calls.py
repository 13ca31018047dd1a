"""Which calls ask a model for an answer: the paths of the Messages API, of chat completions and of their like."""

from __future__ import annotations

import json
import re

# a version before `messages`: CRMs and mail services post to `/conversations/messages`, which sends one
MODEL_PATH = re.compile(
    r"/v\d+(?:beta\d*)?/(?:messages|complete|completions|responses|embeddings)$"
    r"|/chat/completions$|/api/(?:chat|generate|embed|embeddings)$"
    r"|:(?:generateContent|embedContent|countTokens|predict)$|/model/[^/]+/(?:invoke|converse)$"
)
# what such a question holds; a body that keeps something there, or lets the model act, is none
_INPUT = ("messages", "prompt", "input", "contents", "inputText", "instances")
_ACTS = ("tools", "functions", "background", "store", "previous_response_id", "conversation")


def is_model_path(path: str) -> bool:
    """Whether a path (without its query) is one of a model API's."""
    return MODEL_PATH.search(path) is not None


def is_question(method: str, path: str, body: bytes) -> bool:
    """Whether a call only asks a model: the path of such an API, and a body with the input of a question.

    It changes nothing there, so asking less often loses nothing.
    """
    if method != "POST" or not is_model_path(path):
        return False
    try:
        asked = json.loads(body)
    except ValueError:
        return False
    if not isinstance(asked, dict) or any(asked.get(name) for name in _ACTS):
        return False
    return any(asked.get(name) for name in _INPUT)


def instructions(body: bytes) -> str:
    """What a question tells the model to be, on one line: its system prompt; "" where it has none."""
    try:
        asked = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(asked, dict):
        return ""
    given = asked.get("system") or asked.get("instructions") or asked.get("systemInstruction")
    messages = asked.get("messages") or asked.get("input")
    if not given and isinstance(messages, list):
        told = [one for one in messages if isinstance(one, dict) and one.get("role") in ("system", "developer")]
        given = [one.get("content") for one in told]
    return " ".join(_text(given).split())


def _text(value: object) -> str:
    """The text of a string, of blocks of content, or of a list of them."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _text(value.get("text") or value.get("parts"))
    return " ".join(_text(part) for part in value) if isinstance(value, list) else ""
