"""Small services, each with one hole: the exploit that works before, and a harmless request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.testclient import TestClient


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    text: str
    place: str = ""


Ask = Callable[[str], Answer]


def asked(app: Any) -> Ask:
    """Sends GET requests, whichever framework the app is written with."""
    if hasattr(app, "wsgi_app"):
        flask = app.test_client()

        def of_flask(path: str) -> Answer:
            given = flask.get(path)
            return Answer(given.status_code, given.get_data(as_text=True), given.headers.get("Location", ""))

        return of_flask
    client = TestClient(app, raise_server_exceptions=False, follow_redirects=False)

    def of_starlette(path: str) -> Answer:
        given = client.get(path)
        return Answer(given.status_code, given.text, given.headers.get("location", ""))

    return of_starlette


FLASK = "import os\nfrom pathlib import Path\n\nfrom flask import Flask, redirect, request\n\napp = Flask(__name__)\n"
FASTAPI = (
    "import os\nimport subprocess\nfrom pathlib import Path\n\nfrom fastapi import FastAPI, Request\n"
    "from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse\n\napp = FastAPI()\n"
)


@dataclass(frozen=True, slots=True)
class Case:
    """A handler at /x, what breaks it, and what it is meant for. `@` in a text is the test's folder."""

    rule: str
    code: str
    exploit: str
    harmless: str
    broken: Callable[[Answer], bool]


def leaks(answer: Answer) -> bool:
    return "KEPT SECRET" in answer.text


def runs_script(answer: Answer) -> bool:
    return "<script>" in answer.text


def leads_away(answer: Answer) -> bool:
    return "evil.invalid" in answer.place


def runs_command(answer: Answer) -> bool:
    return "injected42" in answer.text.replace("$((40+2))", "").replace("'; echo", "")


CASES = {
    "a path in an f-string": Case(
        "path-traversal",
        FLASK + "ROOT = '@/public'\n\n\n@app.get('/x')\ndef x():\n"
        "    try:\n        with open(f\"{ROOT}/{request.args['n']}\") as handle:\n            return handle.read()\n"
        "    except OSError as error:\n        return f'no {error.strerror}', 404\n",
        "/x?n=../secret.txt", "/x?n=a.txt", leaks,
    ),
    "an absolute path over a joined one": Case(
        "path-traversal",
        FLASK + "ROOT = Path('@/public')\n\n\n@app.get('/x')\ndef x():\n    path = ROOT / request.args['n']\n"
        "    return path.read_text() if path.exists() else 'none'\n",
        "/x?n=@/secret.txt", "/x?n=a.txt", leaks,
    ),
    "a path in a class's folder": Case(
        "path-traversal",
        FASTAPI + "\n\nclass Store:\n    def __init__(self, root):\n        self.root = root\n\n"
        "    def read(self, name: str) -> str:\n        path = os.path.join(self.root, 'sub', name)\n"
        "        with open(path) as handle:\n            return handle.read()\n\n\nSTORE = Store('@/public')\n\n\n"
        "@app.get('/x')\nasync def x(n: str):\n    return STORE.read(n)\n",
        "/x?n=../../secret.txt", "/x?n=../a.txt".replace("../", ""), leaks,
    ),
    "a file that is sent": Case(
        "path-traversal",
        FASTAPI + "ROOT = Path('@/public')\n\n\n@app.get('/x')\nasync def x(n: str):\n"
        "    return FileResponse(ROOT / n)\n",
        "/x?n=../secret.txt", "/x?n=a.txt", leaks,
    ),
    "a page in pieces": Case(
        "cross-site-scripting",
        FLASK + "\n\n@app.get('/x')\ndef x():\n    name = request.args['n'] + '!'\n    page = '<h1>Hello</h1>'\n"
        "    page += f'<p title=\"{name}\">{name}</p>'\n    return page\n",
        "/x?n=<script>1</script>", "/x?n=Ann", runs_script,
    ),
    "a page with a list": Case(
        "cross-site-scripting",
        FASTAPI + "\n\n@app.get('/x')\nasync def x(n: str):\n"
        "    rows = ''.join('<li>{}</li>'.format(part) for part in n.split(','))\n"
        "    return HTMLResponse('<ul>%s</ul>' % rows)\n",
        "/x?n=a,<script>1</script>", "/x?n=a,b", runs_script,
    ),
    "a text that is noted elsewhere": Case(
        "cross-site-scripting",
        FLASK + "NOTED = []\n\n\n@app.get('/x')\ndef x():\n    text = 'Hello ' + request.args['n']\n"
        "    NOTED.append(text)\n    return text\n",
        "/x?n=<script>1</script>", "/x?n=Ann", runs_script,
    ),
    "a page and a code": Case(
        "cross-site-scripting",
        FLASK + "\n\n@app.get('/x')\ndef x():\n    return request.args.get('n', 'nobody'), 201\n",
        "/x?n=<script>1</script>", "/x", runs_script,
    ),
    "a place to go on to": Case(
        "open-redirect",
        FLASK + "\n\n@app.get('/x')\ndef x():\n    return redirect(request.args.get('next', '/'))\n",
        "/x?next=//evil.invalid/", "/x?next=/orders%3Fpage=2", leads_away,
    ),
    "a place in other words": Case(
        "open-redirect",
        FASTAPI + "\n\n@app.get('/x')\nasync def x(request: Request, return_to: str = '/'):\n"
        "    return RedirectResponse(return_to)\n",
        "/x?return_to=https:%5C%5Cevil.invalid", "/x?return_to=http://testserver/a", leads_away,
    ),
    "a command with a plus": Case(
        "command-injection",
        FASTAPI + "\n\n@app.get('/x')\ndef x(n: str):\n    command = 'echo ' + n\n"
        "    return subprocess.run(command, shell=True, capture_output=True, text=True).stdout\n",
        "/x?n=a%3B%20echo%20injected$((40%2B2))", "/x?n=abc", runs_command,
    ),
    "a command in a list": Case(
        "command-injection",
        FASTAPI + "\n\n@app.get('/x')\ndef x(n: str):\n    words = ['sh']\n    words.append('-c')\n"
        "    words.append('echo {}'.format(n))\n"
        "    return subprocess.run(words, capture_output=True, text=True).stdout\n",
        "/x?n=a%3B%20echo%20injected$((40%2B2))", "/x?n=abc", runs_command,
    ),
    "a template": Case(
        "template-injection",
        FLASK + "from flask import render_template_string\n\n\n@app.get('/x')\ndef x():\n"
        "    name = request.args['n']\n    return render_template_string(f'<b>{name}</b>')\n",
        "/x?n={{6*7}}{{config}}", "/x?n=Ann", lambda answer: "SECRET_KEY" in answer.text,
    ),
    "data that is evaluated": Case(
        "code-injection",
        FLASK + "\n\n@app.get('/x')\ndef x():\n    ids = request.args.get('n', '[]')\n"
        "    try:\n        return {'n': eval(ids)}\n    except (ValueError, SyntaxError, NameError):\n"
        "        return {'n': None}, 400\n",
        "/x?n=[open('@/secret.txt').read()]", "/x?n=[1,2]", leaks,
    ),
    "a query that is shown": Case(
        "sql-from-strings",
        "import sqlite3\n" + FLASK + "\n\n@app.get('/x')\ndef x():\n    n = request.args['n']\n"
        "    query = 'SELECT word FROM words WHERE name = \\'' + n + '\\''\n"
        "    db = sqlite3.connect('@/words.db')\n"
        "    return {'of': query, 'found': [row[0] for row in db.execute(query).fetchall()]}\n",
        "/x?n=' OR '1'='1", "/x?n=a", leaks,
    ),
}  # fmt: skip
