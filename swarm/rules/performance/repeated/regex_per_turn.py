"""Regular expressions that are made anew in a loop."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.facts.request_code import is_spelt_out, loops_around, request_functions
from swarm.rules.rule import Example, Rule

MATCHERS = frozenset({
    "re.compile", "re.match", "re.search", "re.fullmatch", "re.findall", "re.finditer", "re.sub", "re.subn",
    "re.split",
})  # fmt: skip


class RegexPerTurn(Rule):
    """A request's loop puts regular expressions together and uses each only a few times.

    Why: `re` keeps the last 512 patterns that it compiled; a pattern made from what a loop runs over is compiled
    each time, and that takes 50 to 500 µs where matching takes one. Patterns that are constants are not reported:
    `re` finds those again. Example: `[n for n in names if re.search(rf"\\b{n}\\b", text)]`.

    What to do: one pattern for all (`"|".join(map(re.escape, names))`), plain `in`, or patterns compiled once.
    """

    id = "regex-per-turn"
    category = "performance"
    severity = "low"
    title = "Regular expressions are compiled in a loop"
    sources = ("https://docs.python.org/3/library/re.html#re.compile",)
    bad = (
        Example(
            """import re

from fastapi import FastAPI

app = FastAPI()


@app.post("/tags")
async def tags(text: str, names: list[str]):
    return [name for name in names if re.search(rf"\\b{re.escape(name)}\\b", text)]
""",
            None,
            "fastapi",
        ),
    )
    good = (
        """import re

from flask import Flask, request

app = Flask(__name__)
WORD = re.compile(r"\\w+")


@app.post("/tags")
def tags():
    names = request.get_json()["names"]
    found = re.compile("|".join(re.escape(name) for name in names)).findall("text")
    return [name for name in names if WORD.match(name) and re.match(r"\\d", name)] + found
""",
        """import re

from flask import Flask, request

app = Flask(__name__)
MARKS = ("iban", "card")


@app.post("/hook")
def hook():
    text = request.get_json()["text"]
    for mark in MARKS:
        text = re.sub(rf"{mark}:\\S+", "***", text)
    return text
""",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every use of `re` with a computed pattern that runs once a turn."""
        for function in request_functions(index):
            for call in index.calls(function):
                dotted = index.resolve(function.module, call.func)
                if dotted not in MATCHERS or not call.args or not _is_put_together(call.args[0]):
                    continue
                loops = list(loops_around(function.module, call))
                if loops and not all(is_spelt_out(index, function, loop) for loop in loops):  # `re` keeps 512
                    text = " ".join(unparsed(call.args[0]).split())[:80]
                    yield self.finding(
                        function.module, call,
                        evidence=f"{function.qualname} compiles {text} once for each turn of a loop",
                        recommendation="Make one pattern for all before the loop, or look with `in`",
                        anchor=f"{function.qualname}:{text}",
                        mendable=False,
                    )  # fmt: skip


def _is_put_together(pattern: ast.expr) -> bool:
    """Whether a pattern is put together where it is used: interpolated, added or formatted."""
    match pattern:
        case ast.JoinedStr(values=values):
            return any(isinstance(value, ast.FormattedValue) for value in values)
        case ast.BinOp(op=ast.Add() | ast.Mod()):
            return any(isinstance(part, ast.Name) for part in walk(pattern))
        case ast.Call(func=ast.Attribute(attr="format" | "escape")):
            return True
    return False
