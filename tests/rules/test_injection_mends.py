"""Services with holes that were mended, run in process.

Each exploit works before and fails after, and a harmless request gets the answer that it got before.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.rules.mending import find, loaded, mend, write


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


@pytest.mark.parametrize("name", CASES)
def test_a_mend_closes_its_hole_and_leaves_the_harmless_request_alone(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    (tmp_path / "public" / "sub").mkdir(parents=True)
    for folder in ("public", "public/sub"):
        (tmp_path / folder / "a.txt").write_text("open to all")
    (tmp_path / "secret.txt").write_text("KEPT SECRET")
    with sqlite3.connect(tmp_path / "words.db") as database:
        database.execute("CREATE TABLE words (name TEXT, word TEXT)")
        database.execute("INSERT INTO words VALUES ('a', 'alpha'), ('b', 'KEPT SECRET')")
    root = tmp_path / "service"
    write(root, {"app.py": case.code.replace("@/", f"{tmp_path}/")})
    exploit = case.exploit.replace("@", str(tmp_path))
    with loaded(root, "app") as before:
        assert case.broken(asked(before.app)(exploit)), "the exploit does not work"
        meant = asked(before.app)(case.harmless)
        assert meant.status < 400
    mend(root, case.rule)
    with loaded(root, "app") as after:
        assert asked(after.app)(case.harmless) == meant
        stopped = asked(after.app)(exploit)
        assert not case.broken(stopped), stopped
        assert stopped.status != 500, stopped


LEFT = {
    "a value in a script": (
        "cross-site-scripting",
        FLASK + "\n\n@app.get('/x')\ndef x():\n    n = request.args['n']\n"
        "    return f'<script>let n = \"{n}\"</script>'\n",
    ),
    "a value in a bare attribute": (
        "cross-site-scripting",
        FLASK + "\n\n@app.get('/x')\ndef x():\n    return '<a title=' + request.args['n'] + '>x</a>'\n",
    ),
    "an address of a link": (
        "cross-site-scripting",
        FLASK + "\n\n@app.get('/x')\ndef x():\n    n = request.args['n']\n    return f'<a href=\"{n}\">x</a>'\n",
    ),
    "a text of pieces that is sent elsewhere as well": (
        "cross-site-scripting",
        FLASK + "\n\n@app.get('/x')\ndef x():\n    text = 'Hello '\n    text += request.args['n']\n    post(text)\n"
        "    return text\n",
    ),
    "a page that fills a template in a constant": (
        "cross-site-scripting",
        FLASK + "BASE = '<html>CONTENT</html>'\n\n\n@app.get('/x')\ndef x():\n"
        "    return BASE.replace('CONTENT', request.args['n'])\n",
    ),
    "a value whose line ends become markup": (
        "cross-site-scripting",
        FLASK + "\n\n@app.get('/x')\ndef x():\n    n = request.args['n']\n"
        "    return '<p>' + str(n).replace('!', '!<br>') + '</p>'\n",
    ),
    "JSON that is called a page": (
        "cross-site-scripting",
        FLASK + "import json\n\nfrom flask import Response\n\n\n@app.get('/x')\ndef x():\n"
        "    return Response(json.dumps({'n': request.args['n']}))\n",
    ),
    "a method that makes markup": (
        "cross-site-scripting",
        FLASK + "\n\nclass Badge:\n    def drawn(self, text):\n        return '<b>' + text + '</b>'\n\n\n"
        "badge = Badge()\n\n\n@app.get('/x')\ndef x():\n    return '<p>' + badge.drawn(request.args['n']) + '</p>'\n",
    ),
    "markup that was rendered": (
        "cross-site-scripting",
        FLASK + "from markdown import render\n\n\n@app.get('/x')\ndef x():\n    return render(request.args['n'])\n",
    ),
    "a path without a folder": (
        "path-traversal",
        FLASK + "\n\n@app.get('/x')\ndef x():\n    return {'text': Path(request.args['n']).read_text()}\n",
    ),
    "a folder that is worked out": (
        "path-traversal",
        FLASK + "\n\n@app.get('/x')\ndef x():\n    return {'n': open(root() + '/' + request.args['n']).read()}\n",
    ),
    "a link that leads anywhere": (
        "open-redirect",
        FLASK + "\n\n@app.get('/x')\ndef x():\n    return redirect(request.args['url'])\n",
    ),
    "a formula": (
        "code-injection",
        FLASK + "\n\n@app.get('/x')\ndef x():\n    return str(eval(request.args.get('n', '1')))\n",
    ),
    "a value of several words": (
        "command-injection",
        FLASK + "\n\n@app.get('/x')\ndef x():\n    options = request.args['n']\n    os.system('df -h ' + options)\n"
        "    return ''\n",
    ),
    "a command in quotes": (
        "command-injection",
        FLASK + "\n\n@app.get('/x')\ndef x():\n"
        "    os.system(\"echo '\" + request.args['n'] + \"'\")\n    return ''\n",
    ),
    "a command for another shell": (
        "command-injection",
        FLASK + "\n\n@app.get('/x')\ndef x():\n    os.system('sh -c ' + request.args['n'])\n    return ''\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LEFT)
def test_where_no_safe_mend_is_known_it_recommends(name: str, tmp_path: Path) -> None:
    rule, code = LEFT[name]
    write(tmp_path, {"app.py": code})
    findings = find(tmp_path, rule)
    assert findings
    assert not any(finding.mendable for finding in findings)


def test_a_folder_is_kept_to_through_links_and_steps(tmp_path: Path) -> None:
    write(tmp_path, {"app.py": CASES["a file that is sent"].code.replace("@/", f"{tmp_path}/")})
    mend(tmp_path, "path-traversal")
    for folder in ("public/deep", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "elsewhere" / "shared.txt").write_text("shared on purpose")
    (tmp_path / "public" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "public-not").mkdir()
    with loaded(tmp_path, "inside_folder") as guard:
        inside, home = guard.inside_folder, tmp_path / "public"
        for path in (
            home / "a",
            home / "deep" / ".." / "a",
            f"{home}/link/shared.txt",
            home,
            str(home).encode() + b"/a",
        ):
            assert inside(path, home) is path
        for path in (f"{home}/../secret", f"{home}-not/a", "/etc/passwd", home / "link" / ".." / "elsewhere" / "x"):
            with pytest.raises(FileNotFoundError) as raised:
                inside(path, home)
            assert raised.value.strerror == os.strerror(2)
            assert raised.value.filename == str(path)
        assert inside("../data/a", "../data") == "../data/a"
        with pytest.raises(FileNotFoundError):
            inside("../data/../x", "../data")


def test_the_guard_of_paths_can_be_turned_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"app.py": CASES["a file that is sent"].code.replace("@/", f"{tmp_path}/")})
    mend(tmp_path, "path-traversal")
    monkeypatch.setenv("KEEP_PATHS_INSIDE", "0")
    with loaded(tmp_path, "inside_folder") as guard:
        assert guard.inside_folder("/etc/passwd", tmp_path) == "/etc/passwd"


@pytest.mark.parametrize(
    ("target", "is_own"),
    [
        ("/a", True), ("a/b", True), ("?page=2", True), ("http://here.example/a", True), ("//here.example/a", True),
        ("https://shop.example/", True), ("", True),
        ("//evil.invalid", False), ("/\\evil.invalid", False), ("\\\\evil.invalid", False),
        ("/\t/evil.invalid", False),
        ("https://here.example@evil.invalid/", False), ("https://here.example.evil.invalid/", False),
        ("javascript:alert(1)", False), (" javascript:alert(1)", False), ("http:evil.invalid", False),
        ("http:///evil.invalid", False), ("///evil.invalid", False), ("http://[evil", False),
    ],
)  # fmt: skip
def test_own_addresses_are_told_as_browsers_read_them(
    target: str, is_own: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"app.py": CASES["a place to go on to"].code})
    mend(tmp_path, "open-redirect")
    monkeypatch.setenv("REDIRECT_HOSTS", "shop.example, other.example")
    with loaded(tmp_path, "own_address") as module:
        assert module.is_own(target, "here.example") is is_own


def test_files_that_need_a_guard_share_one(tmp_path: Path) -> None:
    view = (
        "from fastapi import APIRouter\nfrom fastapi.responses import FileResponse\n\nrouter = APIRouter()\n"
        "ROOT = '{root}'\n\n\n@router.get('/{name}')\ndef {name}(n: str):\n    return FileResponse(ROOT + '/' + n)\n"
    )
    app = (
        "from fastapi import FastAPI\n\nfrom shop.views import one, two\n\napp = FastAPI()\n"
        "app.include_router(one.router)\napp.include_router(two.router)\n"
    )
    public = tmp_path / "public"
    public.mkdir()
    (public / "a.txt").write_text("open to all")
    (tmp_path / "secret.txt").write_text("KEPT SECRET")
    files = {"shop/__init__.py": "", "shop/views/__init__.py": "", "shop/app.py": app}
    files |= {f"shop/views/{name}.py": view.replace("{root}", str(public)).replace("{name}", name)
              for name in ("one", "two")}  # fmt: skip
    root = tmp_path / "code"
    write(root, files)
    mend(root, "path-traversal")
    assert [path.name for path in root.rglob("inside_folder*.py")] == ["inside_folder.py"]
    with loaded(root, "shop.app") as module:
        ask = asked(module.app)
        for name in ("one", "two"):
            assert ask(f"/{name}?n=a.txt").text == "open to all"
            assert ask(f"/{name}?n=../secret.txt").status == 404


def test_of_several_services_each_has_a_guard_of_its_own(tmp_path: Path) -> None:
    """Two services lie side by side and do not import each other: a guard beside one is out of the other's reach."""
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "a.txt").write_text("open to all")
    (tmp_path / "secret.txt").write_text("KEPT SECRET")
    for name in ("one", "two"):
        code = "import settings\n" + CASES["a file that is sent"].code.replace("@/", f"{tmp_path}/")
        write(tmp_path / "code" / name, {"settings.py": "", "app.py": code})
    mend(tmp_path / "code", "path-traversal")
    for name in ("one", "two"):
        assert (tmp_path / "code" / name / "inside_folder.py").exists()
        with loaded(tmp_path / "code" / name, "app") as module:
            assert asked(module.app)("/x?n=a.txt").text == "open to all"
            assert asked(module.app)("/x?n=../secret.txt").status == 404


def test_a_cookie_may_travel_without_https_where_its_owner_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        FLASK + "\n\n@app.get('/x')\ndef x():\n    answer = app.make_response('')\n"
        "    answer.set_cookie('seen', '1', secure=False)\n    return answer\n"
    )
    write(tmp_path, {"app.py": code})
    mend(tmp_path, "insecure-cookie")
    with loaded(tmp_path, "app") as module:
        assert "Secure" in module.app.test_client().get("/x").headers["Set-Cookie"]
        monkeypatch.setenv("SECURE_COOKIES", "0")
        assert "Secure" not in module.app.test_client().get("/x").headers["Set-Cookie"]


def test_a_quoted_word_reaches_its_program_as_it_was_sent() -> None:
    # what the mends of commands rely on
    import shlex

    word = 'a\'; echo $(id) "b" `c` \\ \n*'
    shown = subprocess.run(f"printf %s {shlex.quote(word)}", shell=True, capture_output=True, text=True, check=True)
    assert shown.stdout == word
