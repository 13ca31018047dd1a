"""The rule command-injection."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.dataflow.values import Value, derived
from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.core.findings import Finding
from swarm.rules.rule import Example, Mend, edited
from swarm.rules.security.data_flow import FlowRule, Hit, Reached, calls

_RUN = ("subprocess.run", "subprocess.call", "subprocess.check_call", "subprocess.check_output", "subprocess.Popen")
_SHELL = (
    "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "commands.getoutput",
    "asyncio.create_subprocess_shell", "asyncio.subprocess.create_subprocess_shell", "pexpect.run", ".exec_command",
)  # fmt: skip
_SHELLS = frozenset({"sh", "bash", "zsh", "dash", "ksh", "cmd", "cmd.exe", "powershell", "/bin/sh", "/bin/bash",
                     "/usr/bin/bash", "/bin/dash", "/usr/bin/sh", "/usr/bin/env"})  # fmt: skip
_PROGRAMS = ("asyncio.create_subprocess_exec", "os.execv", "os.execvp", "os.execl", "os.execlp", "os.spawnl",
             "os.spawnv", "pexpect.spawn")  # fmt: skip


class CommandInjection(FlowRule):
    """Text of a request becomes part of a command that a shell reads: `; rm -rf /` is then run as well.

    Found across functions: shells (`shell=True`, `os.system`, `["sh", "-c", …]`) and programs whose very name comes
    from outside. Arguments of a fixed program without a shell, quoted ones (`shlex.quote`), numbers and values from a
    fixed list are left alone. The mend quotes the value where it stands by itself in an f-string.
    """

    id = "command-injection"
    category = "security"
    severity = "critical"
    cwe = ("CWE-78",)
    title = "A command is built from data of a request"
    sources = ("OWASP ASVS 5.0 1.2.5", "bandit B602", "docs.python.org: subprocess, security considerations")
    kinds = ("request", "parameter")
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

    def is_mendable(self, index: Index, place: Reached) -> bool:
        """A shell's f-string, whose values stand by themselves."""
        return bool(_quotes(index, place))

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """`shlex.quote` around the values."""
        lines = {finding.line for finding in findings}
        places = [p for p in self.reached(index) if p.seen.module.path == findings[0].file]
        edits = [e for p in places if getattr(p.seen.node, "lineno", 0) in lines for e in _quotes(index, p)]
        if not edits:
            return None
        module = index.tree.modules[findings[0].file]
        edits.append(module.insert_import("import shlex"))
        return Mend(
            "Quote what becomes part of a command",
            "A quoted value is one word to the shell, whatever stands in it.",
            (edited(module, [edit for edit in edits if edit.text]),),
        )


def _of_list(parts: list[Value]) -> Iterator[Hit]:
    names = parts[0].constants or ()
    if names and any(str(name) in _SHELLS for name in names):
        yield Hit(derived(*parts[1:]), ("shell",))
    yield Hit(parts[0], title="A request chooses the program that is run")


def _quotes(index: Index, place: Reached) -> list[Edit]:
    """The edits that quote each value of the command; none where one stands in quotes, or would be quoted twice."""
    seen = place.seen
    if not isinstance(seen.node, ast.Call) or not seen.node.args or not isinstance(seen.node.args[0], ast.JoinedStr):
        return []
    edits: list[Edit] = []
    before = ""
    for part in seen.node.args[0].values:
        if isinstance(part, ast.Constant):
            before = str(part.value)
            if "'" in before or '"' in before or "`" in before:
                return []
            continue
        if not isinstance(part, ast.FormattedValue) or part.conversion != -1 or part.format_spec is not None:
            return []
        if not isinstance(part.value, ast.Name) or not before.endswith((" ", "=")):
            return []
        start, end = seen.module.span(part.value)
        if seen.module.text[start:end] != part.value.id:
            return []
        edits.append(Edit(start, end, f"shlex.quote({part.value.id})"))
    return edits
