"""The dataflow engine: what reaches a call, what was checked on the way, and what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.analysis.bandit_scan import bandit_findings
from swarm.analysis.dataflow.engine import flows_of
from swarm.analysis.dataflow.settled import unsettled
from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree

HEAD = "from flask import Flask, abort, request\n\napp = Flask(__name__)\n\n\n"
BODIES = {
    "straight": ("print(request.args['x'])", True),
    "overwritten": ("x = request.args['x']\nx = 'fixed'\nprint(x)", False),
    "dead branch": ("x = 'fixed'\nif 7 * 6 > 50:\n    x = request.args['x']\nprint(x)", False),
    "live branch": ("x = 'fixed'\nif 7 * 6 < 50:\n    x = request.args['x']\nprint(x)", True),
    "after return": ("return 'done'\nprint(request.args['x'])", False),
    "number": ("print(int(request.args['x']))", False),
    "typed": ("print(request.args.get('x', type=int))", False),
    "item of a list": ("xs = ['a']\nxs.append(request.args['x'])\nprint(xs[0])", False),
    "other item of a list": ("xs = ['a']\nxs.append(request.args['x'])\nprint(xs[1])", True),
    "item of a dictionary": ("d = {'a': 1}\nd['b'] = request.args['x']\nprint(d['a'])", False),
    "unpacked": ("a, b = 'fixed', request.args['x']\nprint(a)", False),
    "allowed": ("x = request.args['x']\nif x not in ('a', 'b'):\n    abort(404)\nprint(x)", False),
    "allowed elsewhere": (
        "x = request.args['x']\ny = request.args['y']\nif y not in ('a',):\n    abort(404)\nprint(x)",
        True,
    ),
    "loop": ("found = ''\nfor name in request.form.keys():\n    found += name\nprint(found)", True),
    "case": ("match request.args['x']:\n    case 'a' | 'b' as x:\n        print(x)", False),
    "comprehension": ("print([x for x in request.args.getlist('x') if x in ('a', 'b')])", False),
    "through a function": ("print(twice(request.args['x']))", True),
    "function that checks": ("x = request.args['x']\ncheck(x)\nprint(x)", False),
    "function that answers": ("x = request.args['x']\nif not is_short(x):\n    return 'no'\nprint(x)", False),
}
TAIL = (
    "\n\ndef twice(text):\n    return text + text\n\n\ndef check(text):\n    if not text.isalnum():\n"
    "        raise ValueError(text)\n\n\ndef is_short(text):\n    return text in {'a', 'b'}\n"
)


@pytest.mark.parametrize("name", BODIES)
def test_what_reaches_a_call(name: str, tmp_path: Path) -> None:
    body, reaches = BODIES[name]
    lines = "\n".join(f"    {line}" for line in body.split("\n"))
    (tmp_path / "app.py").write_text(
        f"{HEAD}@app.get('/x')\ndef view():\n{lines}\n    return ''\n{TAIL}", encoding="utf-8"
    )
    seen = [
        s for s in flows_of(build_index(SourceTree.load(tmp_path))).seen if s.what == "call" and s.name == "print"
    ]
    taints = [taint for one in seen for taint in one.arguments[0].taints]
    assert bool(taints) == reaches
    assert all(taint.kind == "request" for taint in taints)


def test_a_flow_crosses_modules_and_tells_its_steps(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "from fastapi import FastAPI\n\nfrom jobs import Runner\n\napp = FastAPI()\n\n\n@app.post('/run')\n"
        "async def run(command: str):\n    return await Runner(command).start()\n",
        encoding="utf-8",
    )
    (tmp_path / "jobs.py").write_text(
        "class Runner:\n    def __init__(self, command):\n        self.command = command\n\n"
        "    async def start(self):\n        return print(f'run {self.command}')\n",
        encoding="utf-8",
    )
    seen = [s for s in flows_of(build_index(SourceTree.load(tmp_path))).seen if s.name == "print"]
    assert [s.module.path for s in seen] == ["jobs.py"]
    steps = seen[0].arguments[0].taints[0].steps
    assert steps[0].file == "app.py"
    assert steps[-1].file in ("app.py", "jobs.py")
    assert seen[0].arguments[0].text is not None and seen[0].arguments[0].text.startswith("run ")


def test_what_bandit_takes_for_a_hole_is_settled_where_the_data_was_followed(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        f"{HEAD}@app.get('/x')\ndef view():\n    print(eval('1 + 1'))\n    return ''\n\n\n"
        "def elsewhere(text):\n    return eval(text)\n",
        encoding="utf-8",
    )
    index = build_index(SourceTree.load(tmp_path))
    reported = [f for f in bandit_findings(tmp_path, ["app.py"]) if f.rule == "bandit-B307"]
    assert len(reported) == 2
    assert [finding.line for finding in unsettled(index, reported)] == [13]
