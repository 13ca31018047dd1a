"""Questions to language models: POST requests that compute an answer and change nothing."""

from __future__ import annotations

import ast
import re

from swarm.analysis.databases.statements import sql_text
from swarm.analysis.effects import HttpCall
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module

# a path alone is not enough where others use it too (an SMS service also has /v1/messages): the body must say `model`
MODEL_PATH = re.compile(
    r"/(?:v\d+(?:beta\d*)?/)?(?:messages|chat/completions|completions|responses|embeddings|rerank|complete)/?(?:\?.*)?$"
    r"|:(?:generateContent|embedContent|predict)(?:\?.*)?$|/api/(?:chat|generate|embed(?:dings)?)/?$"
)
MODEL_KEYS = frozenset({"model", "contents", "max_tokens", "max_output_tokens"})
_INPUT = frozenset({"messages", "prompt", "input", "inputText", "instances"})
SDK_CLIENTS = frozenset({
    "anthropic.AsyncAnthropic", "anthropic.Anthropic", "openai.AsyncOpenAI", "openai.OpenAI",
    "openai.AsyncAzureOpenAI", "openai.AzureOpenAI", "mistralai.Mistral", "cohere.AsyncClient",
})  # fmt: skip
SDK_QUESTIONS = (
    "messages.create", "messages.count_tokens", "chat.completions.create", "completions.create", "embeddings.create",
    "responses.create", "chat.complete_async", "chat.completions.parse", "messages.parse",
)  # fmt: skip


def asks_models(module: Module) -> bool:
    """Whether a module writes out a question to a model: a body that names one and holds what it is asked."""
    return any(
        "model" in keys and keys & (_INPUT | MODEL_KEYS - {"model"})
        for keys in ({getattr(key, "value", None) for key in node.keys} for node in module.nodes(ast.Dict))
    )


def may_ask(index: Index, module: Module, request: HttpCall) -> bool:
    """Whether a request's body may be a question: one that is written out and names neither model nor input is none.

    A mail service may have the path of a model API.
    """
    body = _body_of(request)
    if isinstance(body, ast.Name):
        function = module.enclosing_function(body)
        values = index.kinds.bindings(function).get(body.id, []) if function is not None else []
        body = values[0] if len(values) == 1 and isinstance(values[0], ast.expr) else None
    keys = [getattr(key, "value", None) for key in body.keys] if isinstance(body, ast.Dict) else [None]
    return None in keys or any(key in MODEL_KEYS | _INPUT for key in keys)


def _body_of(request: HttpCall) -> ast.expr | None:
    return next((k.value for k in request.call.keywords if k.arg in ("json", "data", "content")), None)


def asks_model(index: Index, module: Module, request: HttpCall) -> bool:
    """Whether a request is a question to a model API: its path is one of theirs, its JSON body names a model."""
    if request.verb != "POST":
        return False
    url = request.call.args[0] if request.call.args else None
    body = _body_of(request)
    for keyword in request.call.keywords:
        url = keyword.value if keyword.arg == "url" else url
    text = sql_text(index, module, url) if url is not None else None
    return text is not None and MODEL_PATH.search(text) is not None and _names_model(index, module, body)


def _names_model(index: Index, module: Module, body: ast.expr | None) -> bool:
    if isinstance(body, ast.Name):
        function = module.enclosing_function(body)
        values = index.kinds.bindings(function).get(body.id, []) if function is not None else []
        return any(isinstance(value, ast.expr) and _names_model(index, module, value) for value in values)
    keys = body.keys if isinstance(body, ast.Dict) else []
    return any(isinstance(key, ast.Constant) and key.value in MODEL_KEYS for key in keys)


def asks_sdk(index: Index, module: Module, call: ast.Call) -> bool:
    """Whether a call asks a model through its vendor's library: `await client.messages.create(…)`."""
    if not isinstance(call.func, ast.Attribute) or any(k.arg == "stream" for k in call.keywords):
        return False
    owner: ast.expr = call.func
    while isinstance(owner, ast.Attribute):
        if index.kinds.of(module, owner) in SDK_CLIENTS:
            break
        owner = owner.value
    if index.kinds.of(module, owner) not in SDK_CLIENTS:
        return False
    return unparsed(call.func).removeprefix(unparsed(owner) + ".") in SDK_QUESTIONS
