"""Known faults, planted in a scratch copy of the target's code, to see whether those who look can see.

Most classes have several shapes of the fault, and beside each a harmless twin: a detector that fires on both has
told nothing. All are planted at once, each between marks of its own, in the handler of one route. One scan then
tells what was caught.
"""

from __future__ import annotations

import ast
import hashlib
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from swarm.analysis.edits import Edit, apply_edits
from swarm.analysis.index import Index, Route
from swarm.core.findings import Finding
from swarm.core.patches import FileChange
from swarm.core.report import PlantedFault

_IMPORTS = "import hashlib, hmac, json, logging, os, pickle, random, secrets, sqlite3, subprocess"
_ASGI_REQUEST = "from starlette.requests import Request as PlantedRequest"
_ERROR = {
    "fastapi": (f"from fastapi.responses import JSONResponse\n{_ASGI_REQUEST}",
                "return JSONResponse({{'error': {0}}}, status_code=500)"),
    "starlette": (f"from starlette.responses import JSONResponse\n{_ASGI_REQUEST}",
                  "return JSONResponse({{'error': {0}}}, status_code=500)"),
    "flask": ("from flask import request as planted_request", "return {{'error': {0}}}, 500"),
}  # fmt: skip


# a value of the request, in a handler that may have none among its parameters
_ASGI_VALUE = (
    "planted_request: PlantedRequest = locals()['request']\nplanted_value = planted_request.headers['planted']"
)
_VALUE = {
    "fastapi": _ASGI_VALUE,
    "starlette": _ASGI_VALUE,
    "flask": "planted_value = planted_request.values['planted']",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """One form of a fault and its harmless twin, as statements; `top` ones stand at module level. Names that begin
    with `local_` are made each shape's own."""

    faults: str
    bad: str
    twin: str
    top: bool = False


def shapes(framework: str) -> tuple[Shape, ...]:
    """Every shape, worded for a framework."""
    literal = hashlib.sha256(b"planted").hexdigest()[:24]  # a made-up secret: no scanner of this tree shall meet one
    answer = _ERROR[framework][1]
    app = {"flask": "flask.Flask", "starlette": "starlette.applications.Starlette"}.get(framework, "fastapi.FastAPI")
    run = "planted_app.run(debug={0})" if framework == "flask" else f"planted_debug = {app}(debug={{0}})"
    package = app.split(".")[0] if framework != "starlette" else "starlette.applications"
    made = f"import {package}\n" + ("planted_app = flask.Flask('planted')\n" if framework == "flask" else "")
    attempt = "try:\n    planted_value.encode()\nexcept Exception as planted_error:\n    "
    aside = "try:\n    planted_value.encode()\nexcept Exception:\n    "
    return (
        Shape("sql", "planted_base.execute(f\"SELECT * FROM people WHERE name = '{planted_value}'\")",
              "planted_base.execute('SELECT * FROM people WHERE name = ?', (planted_value,))"),
        Shape("sql", "planted_base.execute(\"DELETE FROM people WHERE name = '%s'\" % planted_value)",
              "planted_base.execute('DELETE FROM people WHERE name = ?', [planted_value])"),
        Shape("sql", "local_query = \"UPDATE people SET name = '\" + planted_value + \"'\"\n"
                     "planted_base.execute(local_query)",
              "local_query = 'UPDATE people SET name = ' + '?'\nplanted_base.execute(local_query, [planted_value])"),
        Shape("compare", "local_mac = hmac.new(planted_key, planted_value.encode(), hashlib.sha256).hexdigest()\n"
                         "local_good = local_mac == planted_value",
              "local_mac = hmac.new(planted_key, planted_value.encode(), hashlib.sha256).hexdigest()\n"
              "local_good = hmac.compare_digest(local_mac.encode(), planted_value.encode())"),
        Shape("compare", "local_sum = hmac.digest(planted_key, planted_value.encode(), 'sha256')\n"
                         "if local_sum != planted_value.encode():\n    local_good = False",
              "local_sum = hashlib.sha256(planted_value.encode()).digest()\n"
              "if local_sum != planted_value.encode():\n    local_good = False"),
        Shape("secret", f"PLANTED_API_KEY = '{literal}'",
              "PLANTED_API_KEY = os.environ['PLANTED_API_KEY']", top=True),
        Shape("secret", f"PLANTED_SECRET = os.getenv('PLANTED_SECRET', '{literal}')",
              "PLANTED_SECRET = os.getenv('PLANTED_SECRET', '')", top=True),
        Shape("tls", "httpx.get('https://planted.example', verify=False, timeout=5)",
              "httpx.get('https://planted.example', verify=True, timeout=5)"),
        Shape("tls", "local_client = httpx.Client(verify=False, timeout=5)",
              "local_client = httpx.Client(timeout=5)"),
        Shape("run", "eval(planted_value)", "ast.literal_eval(planted_value)"),
        Shape("run", "pickle.loads(planted_value.encode())", "json.loads(planted_value)"),
        Shape("run", "subprocess.run(f'ls {planted_value}', shell=True)", "subprocess.run(['/bin/ls', '-l'])"),
        Shape("chance", "local_token = ''.join(random.choice('abcdef') for _ in range(32))",
              "local_token = secrets.token_hex(16)"),
        Shape("chance", "local_nonce = random.getrandbits(64)", "local_pause = random.uniform(0.1, 0.2)"),
        Shape("digest", "hashlib.md5(planted_value.encode()).hexdigest()",
              "hashlib.sha256(planted_value.encode()).hexdigest()"),
        Shape("digest", "local_sum = hashlib.new('sha1', planted_value.encode())",
              "local_sum = hashlib.new('sha256', planted_value.encode())"),
        Shape("debug", made + run.format("True"), made + run.format("False"), top=True),
        Shape("timeout", "httpx.get('https://planted.example', timeout=None)",
              "httpx.get('https://planted.example', timeout=5)"),
        Shape("timeout", "local_client = httpx.Client(timeout=None)\nlocal_client.get('https://planted.example')",
              "local_client = httpx.Client(timeout=3)\nlocal_client.get('https://planted.example')"),
        Shape("swallow", aside + "pass", aside + "logging.exception('planted')\n    raise"),
        Shape("error-details", attempt + answer.format("str(planted_error)"),
              aside + answer.format("'internal error'")),
        Shape("error-details", attempt + answer.format("f'failed: {planted_error}'"),
              aside + answer.format("'failed'")),
        Shape("log-body", "logging.getLogger(__name__).info('from %s', planted_event['email'])",
              "logging.getLogger(__name__).info('event %s', planted_event['id'])"),
        Shape("log-body", "logging.getLogger(__name__).warning(f\"no lead for {planted_event['phone']}\")",
              "logging.getLogger(__name__).warning(f\"no lead {planted_event['id']}\")"),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mark:
    """Where one fault or twin lies: lines count from 1, both ends inclusive."""

    faults: str
    path: str
    first: int
    last: int
    harmless: bool


@dataclass(frozen=True, slots=True)
class Planted:
    """The changed files and where the faults are in them."""

    changes: tuple[FileChange, ...]
    marks: tuple[Mark, ...]
    index: Index


def plant(index: Index) -> Planted | None:
    """The faults in the first route that takes them; None where no route was found."""
    from swarm.analysis.index import build_index

    for route in sorted(index.routes, key=lambda route: "POST" not in route.methods):
        module = route.module if route.function.module is route.module else route.function.module
        text, marks = _planted_text(route)
        change = FileChange(module.path, module.text, text)
        try:
            grown = build_index(index.tree.with_changes((change,)))
        except (SyntaxError, ValueError):
            continue
        if module.path in grown.tree.modules:
            return Planted((change,), marks, grown)
    return None


def caught(
    planted: Planted, findings: Iterable[Finding], rules: dict[str, tuple[str, ...]]
) -> tuple[PlantedFault, ...]:
    """By class, how many faults, and how many harmless twins, a finding of one of its rules lies on."""
    found = list(findings)
    names = dict.fromkeys(mark.faults for mark in planted.marks)
    counted = []
    for name in names:
        marks = [mark for mark in planted.marks if mark.faults == name]
        hit = [mark for mark in marks if any(_lies_on(f, mark) and f.rule in rules[name] for f in found)]
        false = sum(mark.harmless for mark in hit)
        twins = sum(mark.harmless for mark in marks)
        counted.append(PlantedFault(name, len(marks) - twins, len(hit) - false, twins, false))
    return tuple(counted)


def _lies_on(finding: Finding, mark: Mark) -> bool:
    return (
        finding.file == mark.path and finding.line <= mark.last and mark.first <= max(finding.line, finding.end_line)
    )


def _planted_text(route: Route) -> tuple[str, tuple[Mark, ...]]:
    """The handler's file with every shape in it, and the marks."""
    module, node = route.function.module, route.function.node
    first = node.body[0]
    is_doc = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    if is_doc and len(node.body) > 1:
        first = node.body[1]
    at = module.line_start(first.lineno)
    indent = module.indent(first)
    every = shapes(route.framework)
    inside = [
        _VALUE[route.framework],
        "planted_event = json.loads(planted_value)",
        "planted_key = planted_value.encode()",
        "planted_base = sqlite3.connect(':memory:')",
    ]
    top = [_IMPORTS, "import ast", "import httpx", _ERROR[route.framework][0]]
    for number, shape in enumerate(every):
        for harmless, code in ((False, shape.bad), (True, shape.twin)):
            sign = f"# planted {number} {'twin' if harmless else 'fault'}"
            own = code.replace("local_", f"planted_{2 * number + harmless}_")
            (top if shape.top else inside).append(f"{sign} begins\n{own}\n{sign} ends")
    # after the last import of the head: what stands above may be a docstring or `from __future__`
    imports = [n for n in module.tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
    head = module.line_start((imports[-1].end_lineno or imports[-1].lineno) + 1) if imports else 0
    edits = [
        Edit(head, head, "\n".join(line for line in top if line) + "\n"),
        Edit(at, at, textwrap.indent("\n".join(inside), indent) + "\n"),
    ]
    text = apply_edits(module.text, edits)
    return text, _marks(module.path, text, every)


def _marks(path: str, text: str, every: Sequence[Shape]) -> tuple[Mark, ...]:
    begun: dict[str, int] = {}
    marks = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if words[:2] == ["#", "planted"] and len(words) == 5:
            key = f"{words[2]} {words[3]}"
            if words[4] == "begins":
                begun[key] = number + 1
            else:
                marks.append(Mark(every[int(words[2])].faults, path, begun[key], number - 1, words[3] == "twin"))
    return tuple(marks)
