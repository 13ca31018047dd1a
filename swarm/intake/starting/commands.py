"""Commands that start the service, as its own files write them, made to listen where swarm says."""

from __future__ import annotations

import ast
import json
import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module
from swarm.intake.starting.applications import Application

_SERVERS = ("uvicorn", "gunicorn", "hypercorn", "flask", "fastapi", "waitress-serve", "daphne", "granian")
_RUNNERS = {"exec", "poetry", "uv", "pipenv", "pdm", "run", "rye", "hatch", "sudo", "time", "nohup", "@", "-"}
_PORT_OPTIONS = ("--port", "-p", "--http-port")
_HOST_OPTIONS = ("--host", "--bind", "--address")
_OBJECT = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(\(.*\))?$")
_BIND = {
    "uvicorn": ["--host", "127.0.0.1", "--port", "{port}"],
    "gunicorn": ["--bind", "127.0.0.1:{port}"],
    "hypercorn": ["--bind", "127.0.0.1:{port}"],
    "flask": ["--host", "127.0.0.1", "--port", "{port}"],
    "fastapi": ["--host", "127.0.0.1", "--port", "{port}"],
    "waitress-serve": ["--listen=127.0.0.1:{port}"],
    "daphne": ["-b", "127.0.0.1", "-p", "{port}"],
    "granian": ["--host", "127.0.0.1", "--port", "{port}"],
}  # fmt: skip
# options that say where to listen, or that belong to development or to another machine; True where a value follows
_DROPPED = {
    "--host": True, "-h": True, "--port": True, "-p": True, "--bind": True, "-b": True, "--listen": True,
    "--reload": False, "--debug": False, "--debugger": False, "--with-threads": False, "-D": False, "--daemon": False,
    "--uds": True, "--fd": True, "--ssl-keyfile": True, "--ssl-certfile": True, "--keyfile": True,
    "--certfile": True, "--cert": True, "--key": True, "--reload-dir": True, "--env-file": True, "--pid": True,
    "--access-logfile": True, "--error-logfile": True, "--log-file": True, "--user": True, "-u": True,
    "--group": True, "-g": True, "--log-config": True, "--no-reload": False, "--forwarded-allow-ips": True,
    "--url-prefix": True, "--unix-socket": True, "--chdir": True, "--workers": True, "-w": True,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Command:
    """A start command, where it was found, and the folder that it was told to change to ("" for none)."""

    start: str
    source: str
    folder: str = ""


def start_commands(
    root: Path, applications: tuple[Application, ...], modules: Iterable[Module] = ()
) -> tuple[Command, ...]:
    """Commands worth a try, the likeliest first: of what deploys it, of its object, of its README and docstrings."""
    found = [command for text, source in _written(root) for command in _usable(text, source)]
    found += [command for app in applications[:3] for command in of_application(app)]
    prose = (*_prose(root), *_docstrings(modules))
    found += [command for text, source in prose for command in _usable(text, source)]
    found += [command for app in applications[:3] for command in _main(app)]
    unique: dict[str, Command] = {}
    for command in found:
        unique.setdefault(command.start, command)
    return tuple(unique.values())


def of_application(app: Application) -> Iterator[Command]:
    """The usual server of its framework."""
    source = f"{app.module.path} ({app.name}{'()' if app.is_factory else ''})"
    folder = "" if app.root == "src" else app.root
    if app.framework == "flask":
        called = f"{app.written}()" if app.is_factory else app.written
        yield Command(f"gunicorn --bind 127.0.0.1:{{port}} --threads 4 {shlex.quote(called)}", source, folder)
        yield Command(f"flask --app {shlex.quote(called)} run --host 127.0.0.1 --port {{port}}", source, folder)
        return
    factory = " --factory" if app.is_factory else ""
    yield Command(f"uvicorn {app.written}{factory} --host 127.0.0.1 --port {{port}}", source, folder)
    yield Command(
        f"hypercorn --bind 127.0.0.1:{{port}} {app.written}{'()' if app.is_factory else ''}", source, folder
    )


def _main(app: Application) -> Iterator[Command]:
    """`python main.py`, where the module serves as a program and hears its port from the environment."""
    for node in app.module.tree.body:
        if isinstance(node, ast.If) and "__name__" in unparsed(node.test) and "PORT" in app.module.text:
            yield Command(f"python {app.module.path}", f"{app.module.path}:{node.lineno}")


def _written(root: Path) -> Iterator[tuple[str, str]]:
    """Command lines of the files that deploy or start the service."""
    for line in _text(root / "Procfile").splitlines():
        kind, _, words = line.partition(":")
        if kind.strip() == "web":
            yield words.strip(), "Procfile"
    dockerfiles = [*sorted(root.glob("Dockerfile*")), *sorted(root.glob("docker/**/Dockerfile*")),
                   *sorted(root.glob("deploy/**/Dockerfile*"))]  # fmt: skip
    for file in dockerfiles[:4]:
        yield from ((words, file.name) for words in _docker(_text(file)))
    for name in ("docker-compose.yml", "docker-compose.yaml", "compose.yaml", "compose.yml"):
        yield from ((words, name) for words in _compose(_text(root / name)))
    names = ("Makefile", "justfile", "render.yaml", "railway.json", "app.yaml", "start.sh", "run.sh", "entrypoint.sh",
             "*/start*.sh", "*/entrypoint*.sh", "nixpacks.toml", "fly.toml", "supervisord.conf")  # fmt: skip
    for file in [file for name in names for file in sorted(root.glob(name))]:
        yield from ((words, file.relative_to(root).as_posix()) for words in _lines(_text(file)))
    yield from ((words, "pyproject.toml") for words in _tasks(_text(root / "pyproject.toml")))


def _prose(root: Path) -> Iterator[tuple[str, str]]:
    for file in sorted(root.glob("[Rr][Ee][Aa][Dd][Mm][Ee]*"))[:2]:
        yield from ((words, file.name) for words in _lines(_text(file)))


def _docstrings(modules: Iterable[Module]) -> Iterator[tuple[str, str]]:
    """What modules say at their top of how they are run: an application that is made late is named nowhere else."""
    for module in modules:
        for words in _lines(ast.get_docstring(module.tree) or ""):
            yield words, module.path


def _docker(text: str) -> Iterator[str]:
    text = re.sub(r"\\\n", " ", text)
    entry = ""
    for line in text.splitlines():
        match = re.match(r"\s*(CMD|ENTRYPOINT)\s+(.+)$", line, re.IGNORECASE)
        if not match:
            continue
        words = match[2].strip()
        if words.startswith("["):
            try:
                words = shlex.join(json.loads(words))
            except (json.JSONDecodeError, TypeError):
                continue
        if match[1].upper() == "ENTRYPOINT":
            entry = words
            yield words
        else:
            yield words
            if entry:
                yield f"{entry} {words}"


def _compose(text: str) -> Iterator[str]:
    try:
        services = (yaml.safe_load(text) or {}).get("services", {}) if text else {}
        for service in services.values():
            command = service.get("command") if isinstance(service, dict) else None
            if isinstance(command, list):
                yield shlex.join(str(word) for word in command)
            elif isinstance(command, str):
                yield command
    except (yaml.YAMLError, AttributeError):
        return


def _tasks(text: str) -> Iterator[str]:
    try:
        tools = tomllib.loads(text).get("tool", {})
    except tomllib.TOMLDecodeError:
        return
    for section in ("poe", "taskipy", "pdm"):
        tasks = tools.get(section, {})
        for task in (tasks.get("tasks") or tasks.get("scripts") or {}).values():
            words = task if isinstance(task, str) else task.get("cmd", "") if isinstance(task, dict) else ""
            if isinstance(words, str) and words:
                yield words


def _lines(text: str) -> Iterator[str]:
    """Lines that begin as a command does and name a server."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        found = re.search(rf"(?:^|[\s`\"'$>:=@])((?:{'|'.join(_SERVERS)})\s+[^`#|]+)", line)
        if found and ":" in found[1] + ":" and not found[1].endswith("install"):
            yield found[1].strip().strip("\"'`,")


def _usable(text: str, source: str) -> Iterator[Command]:
    """The command as swarm runs it: no shell, no server of development, its port from swarm."""
    if inner := _of_shell(text):
        yield from _usable(inner, source)
        return
    for part in re.split(r"&&|;|\|\||\n", text):
        try:
            words = shlex.split(part)
        except ValueError:
            continue
        while words and (words[0] in _RUNNERS or re.match(r"[A-Za-z_]\w*=", words[0])):
            words.pop(0)
        if words[:1] in (["python"], ["python3"]) and (own := _with_port(words)):
            yield Command(own, source)
        if words[:2] == ["python", "-m"] or words[:2] == ["python3", "-m"]:
            words = words[2:]
        if words and Path(words[0]).name in _SERVERS:
            yield from _rewritten([Path(words[0]).name, *words[1:]], source)


def _with_port(words: list[str]) -> str:
    """A program of the service's own that is told its port: `python -m hooks --port 80`; "" for any other."""
    named = words[2] if words[1:2] == ["-m"] and len(words) > 2 else words[1] if len(words) > 1 else ""
    if named in _SERVERS or not any(word.partition("=")[0] in _PORT_OPTIONS for word in words[2:]):
        return ""
    kept: list[str] = ["python"]
    before = ""
    for word in words[1:]:
        name, equals, _ = word.partition("=")
        for options, value in ((_PORT_OPTIONS, "{port}"), (_HOST_OPTIONS, "127.0.0.1")):
            if before in options:
                word = value
            elif name in options and equals:
                word = f"{name}={value}"
        before = word
        kept.append(word)
    return " ".join(word if word.endswith("{port}") else shlex.quote(word) for word in kept)


def _of_shell(text: str) -> str:
    """What a shell is told to run, "" where there is no shell."""
    try:
        words = shlex.split(text)
    except ValueError:
        return ""
    is_shell = len(words) >= 3 and Path(words[0]).name in ("sh", "bash") and words[1] in ("-c", "-lc", "-ec")
    return words[2] if is_shell else ""


def _rewritten(words: list[str], source: str) -> Iterator[Command]:
    server, folder = words[0], ""
    kept: list[str] = []
    rest = words[1:]
    at = 0
    while at < len(rest):
        word = rest[at]
        name, equals, value = word.partition("=")
        if name == "--chdir":
            folder = value if equals else rest[at + 1] if at + 1 < len(rest) else ""
        if name in _DROPPED or re.match(r"-[bwp].", name):
            follows = _DROPPED.get(name, False) and not equals and not re.match(r"-[bwp].", name)
            at += 2 if follows else 1
            continue
        if "$" in word or word.startswith((">", "2>", "&", "<")):
            if kept and kept[-1].startswith("-") and "=" not in kept[-1]:
                kept.pop()
            at += 1
            continue
        kept.append({"dev": "run"}.get(word, word) if server == "fastapi" else word)
        at += 1
    if server == "flask" and _subcommand(kept) != "run":
        return
    if server in ("uvicorn", "hypercorn", "daphne", "granian") and not any(_OBJECT.match(w) for w in kept):
        return
    folder = "" if folder.startswith("/") and not folder.startswith("/app/") else folder.removeprefix("/app/")
    yield Command(shlex.join([server, *kept, *_BIND[server]]).replace("'{port}'", "{port}").replace(
        "'127.0.0.1:{port}'", "127.0.0.1:{port}").replace("'--listen=127.0.0.1:{port}'", "--listen=127.0.0.1:{port}"),
        source, folder)  # fmt: skip


def _subcommand(words: list[str]) -> str:
    """What `flask` is told to do: its first word that is no option, nor an option's value."""
    for before, word in zip(["", *words], words, strict=False):
        if not word.startswith("-") and before not in ("--app", "-A", "--env-file", "-e"):
            return word
    return ""


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace") if file.stat().st_size < 400_000 else ""
    except OSError:
        return ""
