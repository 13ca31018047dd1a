"""Services with holes that were mended, run in process: exploits fail, harmless requests are answered as before."""

from __future__ import annotations

import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.rules.injection.services_with_holes import CASES, FLASK, asked
from tests.rules.mending import find, loaded, mend, write


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
