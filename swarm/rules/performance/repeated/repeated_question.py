"""The rule repeated-question."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence

from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.core.findings import Finding
from swarm.rules.keeping.kept_answers import Keeping, Kept, keep, worth_keeping
from swarm.rules.keeping.known_reads import Question
from swarm.rules.rule import Example, Mend, Rule

MODEL_TTL_S = 1800
STEADY = ("temperature", "top_p", "top_k")
ACTING = ("tools", "tool_choice", "functions", "function_call", "stream", "store", "background", "mcp_servers",
          "previous_response_id", "conversation", "n", "web_search_options")  # fmt: skip
_ASK = """import os

import httpx
from fastapi import FastAPI

app = FastAPI()


async def ask(system: str, prompt: str, max_tokens: int) -> str:
    async with httpx.AsyncClient(timeout=30) as client:
        answer = await client.post(
            f"{os.environ['AI_URL']}/v1/messages",
            headers={"x-api-key": os.environ["AI_KEY"]},
            json={
                "model": "claude-haiku-5-5",
                "max_tokens": max_tokens,
                "system": system,
                "messages": [{"role": "user", "content": prompt}],
            },
        )
    answer.raise_for_status()
    return answer.json()["content"][0]["text"]


async def advise(intent: str) -> str:
    return await ask("You coach agents.", f"Intent: {intent}", 200)


@app.post("/hook")
async def hook(intent: str):
    return {"advice": await advise(intent)}
"""


# a mail service that has the path of a model API: what it is told is to be sent each time
_MAIL = """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient()


async def send(to: str, text: str) -> None:
    await client.post("https://mail.example/v1/messages", json={"to": to, "text": text})


@app.post("/hook")
async def hook(to: str):
    await send(to, "hello")
    return {"ok": True}
"""


class RepeatedQuestion(Rule):
    """A model is asked the same question again, word for word, and paid and waited for each time.

    Why: an answer takes hundreds of milliseconds and costs tokens; prompts that are built from few values (an
    intent, a stage) repeat all day.

    The mend keeps answers by the content of the whole question (its hash), for half an hour (CACHE_TTL_<KIND>_S;
    ANSWER_CACHE=0 turns all off), in the module answer_cache.py and with one decorator line. Where prompts hold
    personal data, answers about a person lie in the process (and in Redis, where there is one) for that time.

    Never where a temperature is set on purpose (answers are meant to differ), where tools are used, answers are
    streamed, or the function does anything beside asking. Where it gives the whole answer back, token counts
    included, it is advice only: what is counted by them would count too much.
    """

    id = "repeated-question"
    category = "performance"
    severity = "medium"
    order = 70
    keeps = True
    title = "A model is asked the same question again"
    sources = ("https://docs.anthropic.com/en/api/messages",)
    bad = (
        Example(
            _ASK,
            _ASK.replace(
                "from fastapi import FastAPI\n", "from fastapi import FastAPI\n\nfrom answer_cache import cached\n"
            ).replace("async def ask(", '@cached("ask", ttl_s=1800)\nasync def ask('),
            "fastapi",
        ),
        Example(
            _ASK.replace('return answer.json()["content"][0]["text"]', "return answer.json()").replace(
                "max_tokens: int) -> str", "max_tokens: int) -> dict"
            ),
            None,
            "fastapi",
        ),
    )
    good = (
        _ASK.replace('"max_tokens": max_tokens,', '"max_tokens": max_tokens,\n                "temperature": 0.9,'),
        _ASK.replace('"max_tokens": max_tokens,', '"max_tokens": max_tokens,\n                "stream": True,'),
        _ASK.replace('"max_tokens": max_tokens,', '"max_tokens": max_tokens,\n                "tools": TOOLS,'),
        _ASK.replace("/v1/messages", "/conversations/messages"),
        _MAIL,
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """Every function through which a model is asked from plain arguments."""
        for kept in _asking(index):
            yield self._finding(kept)

    def _finding(self, kept: Kept) -> Finding:
        function = kept.function
        return self.finding(
            function.module, function.node,
            evidence=f"{function.qualname} asks the model for every request, also where the question is the same",
            recommendation="Keep answers by the content of the question",
            anchor=function.qualname,
            mendable=not kept.only_told and not _gives_whole_answer(function),
        )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Keep the answers of the findings' functions."""
        module = index.tree.modules[findings[0].file]
        wanted = {finding.anchor for finding in findings}
        chosen = [
            Keeping(kept, MODEL_TTL_S) for kept in _asking(index)
            if kept.function.module is module and kept.function.qualname in wanted
            and not _gives_whole_answer(kept.function)
        ]  # fmt: skip
        if not chosen:
            return None
        return keep(
            index, module, chosen,
            "Keep a model's answers by the content of the question",
            "The same question gets the answer that it got before, for CACHE_TTL_<KIND>_S seconds (1800): without "
            "waiting, and without tokens. ANSWER_CACHE=0 turns it off.",
        )  # fmt: skip


def _asking(index: Index) -> list[Kept]:
    return worth_keeping(index, lambda kept: _suits(index, kept))


def _suits(index: Index, kept: Kept) -> bool:
    reads = kept.reads
    if not reads.questions or reads.sql or reads.gets:
        return False
    return all(_is_steady(index, question) for question in reads.questions)


def _is_steady(index: Index, question: Question) -> bool:
    """Whether the same question is meant to have the same answer, and nothing but an answer."""
    body = next((keyword.value for keyword in question.call.keywords if keyword.arg == "json"), None)
    given: list[tuple[str | None, ast.expr]] = []
    if body is None:
        if any(keyword.arg in ("data", "content", "files") for keyword in question.call.keywords):
            return False
        given = [(keyword.arg, keyword.value) for keyword in question.call.keywords]
    else:
        literals = list(_literals(index, question.function, body))
        if not literals:
            return False
        for literal in literals:
            if not isinstance(literal, ast.Dict):
                return False
            given += [(_text(key), value) for key, value in zip(literal.keys, literal.values, strict=True)]
        given += _added(index, question.function, body)
    return bool(given) and all(_is_calm(name, value) for name, value in given)


def _is_calm(name: str | None, value: ast.expr) -> bool:
    """Whether one setting of a question leaves it a question with one answer."""
    set_to = value.value if isinstance(value, ast.Constant) else ...
    if name is None:
        return False
    if name in STEADY:
        return set_to in (0, None)
    return name not in ACTING or set_to in (False, None)


def _literals(index: Index, function: Function, body: ast.expr) -> Iterator[ast.AST]:
    if isinstance(body, ast.Name):
        yield from index.kinds.bindings(function.node).get(body.id, [])
    else:
        yield body


def _added(index: Index, function: Function, body: ast.expr) -> list[tuple[str | None, ast.expr]]:
    """What is put into a body after it was begun: `body["temperature"] = 1`, `body.update(…)`."""
    if not isinstance(body, ast.Name):
        return []
    found: list[tuple[str | None, ast.expr]] = []
    for node in index.own_nodes(function):
        for target in node.targets if isinstance(node, ast.Assign) else ():
            if isinstance(target, ast.Subscript) and unparsed(target.value) == body.id:
                found += [(_text(target.slice), node.value)] if isinstance(node, ast.Assign) else []
        method = node.func if isinstance(node, ast.Call) else None
        if isinstance(method, ast.Attribute) and method.attr in ("update", "setdefault"):
            found += [(None, body)] if unparsed(method.value) == body.id else []
    return found


def _text(key: ast.expr | None) -> str | None:
    return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else None


def _gives_whole_answer(function: Function) -> bool:
    """Whether it returns the provider's answer as it came: `response.json()`."""
    whole = set()
    for node in walk(function.node):
        if isinstance(node, ast.Assign) and unparsed(node.value).endswith((".json()", ".model_dump()")):
            whole |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    for node in walk(function.node):
        value = node.value if isinstance(node, ast.Return) else None
        if value is not None and (
            unparsed(value).endswith((".json()", ".model_dump()"))
            or (isinstance(value, ast.Name) and value.id in whole)
        ):
            return True
    return False
