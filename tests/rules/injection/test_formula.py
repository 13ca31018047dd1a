"""Formulas give what `eval` gives, and nothing of the sender's runs."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.rules.mending import find, loaded, mend, write

SERVICE = """from fastapi import FastAPI, Request

app = FastAPI()
ALLOWED = {"__builtins__": {"min": min, "len": len, "sum": sum}}


@app.post("/rule")
async def rule(request: Request):
    event = await request.json()
    return {"holds": bool(eval(event["rule"], ALLOWED, {"lead": event["lead"], "limit": 3}))}
"""
NAMES: dict[str, Any] = {"__builtins__": {"min": min, "len": len, "sum": sum, "str": str}, "math": math}
MORE: dict[str, Any] = {
    "lead": {"score": 7, "tags": ["a", "bb"], "name": "Ada Lovelace", "city": None}, "x": 3, "y": 2.5,
    "deal": SimpleNamespace(value=10, owner="ada"),
}  # fmt: skip
GOOD = (
    "x",
    " x + 1 ",
    "x * 2 - y / 4",
    "x ** 2 % 5 // 2",
    "-x + +y",
    "~x & 6 | 1 ^ 2",
    "x << 2 >> 1",
    "1 < x <= 3 < 9",
    "x == 3 and y > 2 or lead",
    "not x",
    "0 or ''",
    "lead['score'] > 5 and 'a' in lead['tags']",
    "lead['city'] is None",
    "lead.get('score', 0)",
    "lead['name'].lower().split()[0]",
    "lead['name'][:3] + '!'",
    "lead['tags'][::-1]",
    "'yes' if x > 2 else 'no'",
    "[1, x, (2, 3)]",
    "{'a': x}",
    "{1, 2} | {x}",
    "[t.upper() for t in lead['tags'] if len(t) > 1]",
    "sum(n * n for n in [1, 2, x])",
    "{len(t) for t in lead['tags']}",
    "[a + b for a in [1, 2] for b in [10, 20]]",
    "[a for a, b in [(1, 2), (3, 4)]]",
    "min(x, y)",
    "math.sqrt(16)",
    "deal.value * x",
    "deal.owner == 'ada'",
    "len(lead['tags']) == 2",
    "'a' not in lead['tags']",
    "1e3 + 0x10",
    "None",
    "x is not None",
    "str(x) + 'a' * 3",
    "3 * [0]",
    "'%s'",
    "b'a' + b'b'",
)
HOSTILE = (
    "().__class__.__base__.__subclasses__()",
    "lead.__class__",
    "deal.__dict__",
    "'{0.__class__}'.format(x)",
    "'{0.__class__}'.format_map(lead)",
    "(lambda: x)()",
    "f'{x}'",
    "9 ** 9 ** 9",
    "1 << 10000000000",
    "'a' * 10**9",
    "[0] * 10**9",
    "min(*[1, 2])",
    "[].append.__self__",
    "math.__loader__",
    "(x := 5)",
    "lead['tags'].sort.__call__",
    "[x for lead['a'] in [1]]",
    "'%s' % x",
    "(min if x else len)(1)",
    "x" + " + x" * 5000,
    "(" * 900 + "x" + ")" * 900,
    "[n for n in lead['tags'] for m in lead['name'] * 60000]",
    "deal.gi_frame",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rules")
    write(path, {"app.py": SERVICE})
    mend(path, "code-injection")
    return path


def test_formulas_give_what_they_gave(folder: Path) -> None:
    with loaded(folder, "formula") as module:
        for text in GOOD:
            assert module.formula_value(text, dict(NAMES), MORE) == eval(text, dict(NAMES), MORE), text
        for text in ("nothing", "lead['none']", "x / 0", "x +", "lead.score", "x[0]", "open('/etc/passwd')"):
            with pytest.raises(Exception) as theirs:
                eval(text, dict(NAMES), MORE)
            with pytest.raises(theirs.type):
                module.formula_value(text, dict(NAMES), MORE)


def test_what_is_no_formula_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with loaded(folder, "formula") as module:
        for text in HOSTILE:
            with pytest.raises((ValueError, SyntaxError, MemoryError)) as raised:
                module.formula_value(text, dict(NAMES), MORE)
            assert isinstance(raised.value, module.NoFormula | SyntaxError | MemoryError), text
        monkeypatch.setenv("COMPUTE_FORMULAS", "0")
        assert module.formula_value("(lambda: 4)()", dict(NAMES), {}) == 4


def test_the_mended_route_answers_alike_and_refuses_with_400(folder: Path) -> None:
    from starlette.testclient import TestClient

    with loaded(folder, "app") as module:
        client = TestClient(module.app)

        def asked(rule: str) -> Any:
            return client.post("/rule", json={"rule": rule, "lead": {"score": 4, "name": "Ada"}})

        assert asked("lead['score'] > limit and len(lead['name']) == 3").json() == {"holds": True}
        assert asked("min(lead['score'], 0)").json() == {"holds": False}
        assert asked("().__class__.__mro__").status_code == 400


@pytest.mark.parametrize(
    ("call", "is_formula"),
    [
        ("eval(text, {'__builtins__': {}}, {'n': 1})", True),
        ("eval(text, {'__builtins__': None, 'n': 1})", True),
        ("eval(text, {'n': 1})", False),
        ("eval(text)", False),
        ("eval(text, globals())", False),
        ("eval(text, {'__builtins__': __builtins__})", False),
        ("exec(text, {'__builtins__': {}})", False),
    ],
)
def test_only_what_lost_its_builtins_is_a_formula(call: str, is_formula: bool, tmp_path: Path) -> None:
    code = "from flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.post('/x')\ndef x():\n"
    write(tmp_path, {"app.py": f"{code}    text = request.form['f']\n    return str({call})\n"})
    assert [finding.mendable for finding in find(tmp_path, "code-injection")] == [is_formula]
