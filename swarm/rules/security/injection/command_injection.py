"""The rule command-injection."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import partial

from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.dataflow.values import Value, derived
from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module, own_of
from swarm.rules.rule import Example
from swarm.rules.security.injection.data_flow import Hit, MendingFlowRule, Reached, calls, given, holds
from swarm.rules.security.injection.texts.built_text import HOLE
from swarm.rules.security.injection.texts.filled_places import Filling, Place, bindings
from swarm.rules.writing.splices import import_as

_RUN = ("subprocess.run", "subprocess.call", "subprocess.check_call", "subprocess.check_output", "subprocess.Popen")
_SHELL = (
    "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "commands.getoutput",
    "asyncio.create_subprocess_shell", "asyncio.subprocess.create_subprocess_shell", "pexpect.run", ".exec_command",
)  # fmt: skip
_SHELLS = frozenset({"sh", "bash", "zsh", "dash", "ksh", "cmd", "cmd.exe", "powershell", "/bin/sh", "/bin/bash",
                     "/usr/bin/bash", "/bin/dash", "/usr/bin/sh", "/usr/bin/env"})  # fmt: skip
# what hands a command on to another shell: quoting once is not enough there
_TWICE = re.compile(r"\b(?:ssh|su|eval|watch|parallel|xargs|at|trap)\b|(?:^|\s)-c\s+$|(?:^|\s)-c\s*['\"]")
# what is called so may hold several words on purpose
_SEVERAL = re.compile(
    r"(param(eter)?s|args|argv|arguments|options|opts|flags|switches|words|command|cmd)\b", re.IGNORECASE
)
_PROGRAMS = ("asyncio.create_subprocess_exec", "os.execv", "os.execvp", "os.execl", "os.execlp", "os.spawnl",
             "os.spawnv", "pexpect.spawn")  # fmt: skip


class CommandInjection(MendingFlowRule):
    """Text of a request becomes part of a command that a shell reads: `; rm -rf /` is then run as well.

    Found across functions: shells (`shell=True`, `os.system`, `["sh", "-c", …]`) and programs whose very name comes
    from outside. Arguments of a fixed program without a shell, quoted ones (`shlex.quote`), numbers and values from a
    fixed list are left alone.

    The mend quotes a value that stands as a word of its own. Inside of quotes, as the program's name, or where the
    command is read a second time (`ssh`, `sh -c`, `eval`) it only recommends.
    """

    id = "command-injection"
    category = "security"
    severity = "critical"
    cwe = ("CWE-78",)
    title = "A command is built from data of a request"
    sources = ("OWASP ASVS 5.0 1.2.5", "bandit B602", "docs.python.org: subprocess, security considerations")
    kinds = ("request", "parameter", "upstream", "stored")
    harm = "becomes part of a command"
    recommendation = "Call the program with a list of arguments and without a shell, or quote with `shlex.quote`."
    bad = (
        Example(
            "import os\n\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.get('/ping')\n"
            "def ping():\n    host = request.args['host']\n    os.system(f'ping -c 1 {host}')\n    return 'done'\n",
            "import os\nimport shlex\n\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n"
            "@app.get('/ping')\ndef ping():\n    host = request.args['host']\n"
            "    os.system(f'ping -c 1 {shlex.quote(host)}')\n    return 'done'\n",
            "flask",
        ),
        Example(
            "import subprocess\n\nfrom fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get('/size')\n"
            "def size(folder: str):\n    return subprocess.run(['sh', '-c', 'du -s ' + folder], text=True)\n",
            "import shlex\nimport subprocess\n\nfrom fastapi import FastAPI\n\napp = FastAPI()\n\n\n"
            "@app.get('/size')\ndef size(folder: str):\n"
            "    return subprocess.run(['sh', '-c', 'du -s ' + shlex.quote(folder)], text=True)\n",
            "fastapi",
        ),
        Example(
            "import os\n\nfrom fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get('/far')\n"
            "def far(name: str):\n    os.system(f\"ssh backup ls '{name}'\")\n",
            None,
            "fastapi",
        ),
        Example(
            "import subprocess\n\n\nasync def convert(request):\n    form = await request.form()\n"
            "    return run('convert ' + form['file'])\n\n\ndef run(command):\n"
            "    return subprocess.check_output(command, shell=True)\n",
            None,
            "starlette",
        ),
    )
    good = (
        "import subprocess\n\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.get('/ping')\n"
        "def ping():\n    subprocess.run(['ping', '-c', '1', request.args['host']], check=False)\n"
        "    return 'done'\n",
        "import os\nimport shlex\n\nfrom fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get('/ping')\n"
        "def ping(host: str, count: int):\n    os.system(f'ping -c {count} {shlex.quote(host)}')\n",
        "import os\n\nfrom fastapi import FastAPI\n\napp = FastAPI()\nJOBS = ('sync', 'purge')\n\n\n"
        "@app.post('/jobs/{name}')\ndef job(name: str):\n    if name not in JOBS:\n        return {'error': 'no'}\n"
        "    os.system('jobs ' + name)\n    return {}\n",
    )

    def hits(self, seen: Seen, index: Index) -> Iterator[Hit]:
        """What a shell reads, and names of programs."""
        if calls(seen, *_SHELL):
            yield Hit(seen.argument(0, "cmd", "command", "args"), ("shell",))
        elif calls(seen, *_RUN):
            given = seen.argument(0, "args")
            if seen.argument(-1, "shell").constant is True:
                yield Hit(given if not given.items else derived(*given.items.values()), ("shell",))
            elif given.items:
                yield from _of_list(list(given.items.values()))
            else:
                yield Hit(given, ("shell",), title="A request chooses the program that is run")
        elif calls(seen, *_PROGRAMS) and seen.arguments:
            yield from _of_list(list(seen.arguments))

    mend_title = "Quote what becomes part of a command"
    mend_reason = "A quoted value is one word to the shell, whatever stands in it."

    def edits(self, index: Index, place: Reached) -> list[Edit]:
        """`shlex.quote` around the values."""
        module, is_dirty = place.seen.module, holds(index, "shell", kinds=self.kinds)
        if place.hit.title:  # the program's name
            return []
        name, imported = import_as(module, "shlex")
        edits: list[Edit] = []
        for command in _commands(module, place.seen, is_dirty):
            filling = Filling(module, module.enclosing_function(place.seen.node), is_dirty, lambda text: " " in text)
            found = filling.escaped(command, partial(_is_word, command), f"{name}.quote")
            if not found:
                return []
            edits += found
        return [*edits, imported] if imported is not None and edits else edits


def _is_word(command: ast.expr, place: Place) -> bool:
    """Whether a value is a word of its own, or the end of one, that the shell reads once."""
    before, after = place.before, place.after.split(HOLE)[0]
    if _SEVERAL.search(unparsed(place.node)):
        return False
    if place.node is command or any(sign in before + after for sign in "'\"`\\") or _TWICE.search(before):
        return False
    return before.endswith((" ", "=")) and place.after[:1] in ("", " ", ";", "|", "&", ">", "<", ")")


def _commands(module: Module, seen: Seen, is_dirty: Callable[[ast.expr], bool]) -> list[ast.expr]:
    """The expressions of the texts that a shell reads."""
    command = given(seen.node, 0, "cmd", "command", "args")
    if command is None:
        return []
    elements: list[ast.expr] = []
    if isinstance(command, ast.List | ast.Tuple):
        elements = list(command.elts)
    elif isinstance(command, ast.Name):
        function = module.enclosing_function(seen.node)
        written = bindings(module, function, command.id) or []
        lists = [value for value in written if isinstance(value, ast.List | ast.Tuple)]
        if len(lists) == len(written) and lists:
            elements = [element for value in lists for element in value.elts]
            for call in own_of(function, ast.Call) if function is not None else []:
                owner = call.func.value if isinstance(call.func, ast.Attribute) else None
                if isinstance(owner, ast.Name) and owner.id == command.id:
                    if not isinstance(call.func, ast.Attribute) or call.func.attr != "append" or len(call.args) != 1:
                        return []
                    elements.append(call.args[0])
    if not elements:
        return [command]
    # the words of the list that come from outside are texts of a shell only as far as text is put around them
    return [element for element in elements if is_dirty(element)]


def _of_list(parts: list[Value]) -> Iterator[Hit]:
    names = parts[0].constants or ()
    if names and any(str(name) in _SHELLS for name in names):
        yield Hit(derived(*parts[1:]), ("shell",))
    yield Hit(parts[0], title="A request chooses the program that is run")
