"""Starts by a fork: what a child of the fork server sees is what a start of the interpreter would have seen."""

from __future__ import annotations

import asyncio
import json
import os
import textwrap
import urllib.request
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from swarm.config.schema import Target
from swarm.core.place import TargetPlace
from swarm.target.running import starts
from swarm.target.running.forkserver import Forked
from swarm.target.running.server import RunningServer, start_server
from swarm.target.running.starts import CHOICE, fork_servers
from swarm.target.tree.copies import Copy, make_copy
from swarm.target.tree.place import resolve_place

SERVE = """
    import http.server, json, os, random, sys
    import heavy, own
    {imports}

    SEEN = {{
        "pid": os.getpid(), "heavy": heavy.PID, "own": own.PID, "words": own.WORDS, "argv": sys.argv,
        "name": __name__,
        "file": __file__, "path": sys.path[0], "cwd": os.getcwd(), "home": os.environ["HOME"],
        "tmp": os.environ["TMPDIR"],
        "extra": os.environ.get("EXTRA"), "chance": random.random(), "orig": sys.orig_argv[1:], {seen}
    }}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(SEEN).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    print("listening", flush=True)
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
LIBRARIES = {
    "heavy": "import os\nPID = os.getpid()\n",
    "homely": "import os\nPID = os.getpid()\nHOME = os.environ['HOME']\n",
    "passing": "import os\nPID = os.getpid()\nFOLDER = os.environ['TMPDIR']\n",
    "lodger": "import passing, os\nPID = os.getpid()\n",
    "numpy": "import threaded\n",
    "frames": "import os, numpy\nPID = os.getpid()\n",
    "placed": "import os\nPID = os.getpid()\nWHERE = os.getcwd()\n",
    "threaded": "import os, threading\nPID = os.getpid()\n"
    "threading.Thread(target=threading.Event().wait, daemon=True).start()\n",
    "chosen": "import os\nPID = os.getpid()\nMODE = os.environ.get('MODE', 'plain')\n",
    "unforkable": "import os\nos.register_at_fork(after_in_child=lambda: os._exit(3))\n",
    "gevent/__init__": "",
    "gevent/monkey": "",
}


class Service:
    """A small service in an interpreter of its own with a few libraries, started as often as a test likes."""

    def __init__(self, folder: Path, python: Path) -> None:
        self.folder, self.python, self.starts = folder, python, 0
        self.place: TargetPlace
        self.target: Target

    def write(self, *libraries: str, start: str = "python serve.py {port}", **env: str) -> None:
        """A service that imports some of LIBRARIES and tells in which process each was imported."""
        user = self.folder / "user"
        user.mkdir()
        serve = textwrap.dedent(SERVE).format(
            imports="\n".join(f"import {name}" for name in libraries) or "pass",
            seen=", ".join(
                f'"{name}": {{k: v for k, v in vars({name}).items() if k.isupper()}}' for name in libraries
            ),
        )
        (user / "serve.py").write_text(serve, encoding="utf-8")
        (user / "own.py").write_text("import os\nPID, WORDS = os.getpid(), 'as written'\n", encoding="utf-8")
        self.target = Target.model_validate({"path": ".", "start": start, "python": str(self.python), "env": env})
        self.place = resolve_place("small", self.target, user)

    def copy(self) -> Copy:
        """A fresh copy of it, for the next start."""
        return make_copy(self.place, self.folder / f"copy-{self.starts + 1}")

    async def run(self, copy: Copy | None = None, **options: Any) -> tuple[RunningServer, dict[str, Any]]:
        """Start it, and what it says of itself."""
        copied = copy or self.copy()
        self.starts += 1
        server = await start_server(
            self.place, copied, self.target, upstream_env=options.pop("upstream_env", {}),
            tmp=self.folder / f"tmp-{self.starts}", **options,
        )  # fmt: skip
        return server, await asyncio.to_thread(_ask, server)

    async def seen(self, **options: Any) -> dict[str, Any]:
        """What one start says of itself; it is over then."""
        server, seen = await self.run(**options)
        await server.stop()
        return seen

    async def learned(self) -> None:
        """The first start, and the fork server that follows from it (or none)."""
        await self.seen()
        servers = starts._AT_HAND.get()
        assert servers is not None
        for program in servers._known.values():
            if program._warming is not None:
                await program._warming


def _ask(server: RunningServer) -> dict[str, Any]:
    with urllib.request.urlopen(server.base_url + "/", timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with the LIBRARIES among its installed packages."""
    folder = tmp_path_factory.mktemp("interpreter")
    venv.create(folder, symlinks=True)
    (site,) = (folder / "lib").glob("python3*/site-packages")
    for name, text in LIBRARIES.items():
        (site / f"{name}.py").parent.mkdir(exist_ok=True)
        (site / f"{name}.py").write_text(text, encoding="utf-8")
    return folder / "bin" / "python"


@pytest.fixture
def service(tmp_path: Path, python: Path) -> Service:
    """Nothing is written yet."""
    return Service(tmp_path, python)


@pytest.fixture
def no_choice(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever runs the tests may have chosen otherwise."""
    monkeypatch.delenv(CHOICE, raising=False)
    yield


def forked(seen: Mapping[str, Any]) -> bool:
    """Whether a library was imported by another process than the service's own."""
    return bool(seen["heavy"] != seen["pid"])


@pytest.mark.parametrize("start", ["python serve.py {port} --fast", "python -m serve {port} --fast"])
async def test_a_fork_sees_what_a_start_of_the_interpreter_sees(
    service: Service, tmp_path: Path, no_choice: None, start: str
) -> None:
    service.write(start=start)
    alone = await service.seen()
    async with fork_servers(tmp_path / "forks"):
        await service.learned()
        one, two = await service.seen(extra_env={"EXTRA": "1"}), await service.seen()
    assert not forked(alone) and forked(one) and forked(two)
    assert one["own"] == one["pid"], "the target's own modules are each start's own"
    for key in ("name", "words"):
        assert one[key] == alone[key]
    for seen, number in ((alone, 1), (one, 3), (two, 4)):
        folder = tmp_path / f"copy-{number}"
        assert seen["cwd"] == seen["path"] == str(folder)
        assert (folder / seen["file"]).resolve() == folder / "serve.py"
        assert (folder / seen["argv"][0]).resolve() == folder / "serve.py" and seen["argv"][2] == "--fast"
        assert seen["home"].startswith(str(tmp_path / f"tmp-{number}"))
        assert seen["orig"][-2:] == seen["argv"][-2:] and seen["orig"][:1] == alone["orig"][:1]
    assert (one["extra"], two["extra"]) == ("1", None)
    assert one["chance"] != two["chance"]


async def test_a_fork_runs_the_code_of_its_own_copy(service: Service, tmp_path: Path, no_choice: None) -> None:
    service.write()
    async with fork_servers(tmp_path / "forks"):
        await service.learned()
        patched = service.copy()
        (patched.cwd / "own.py").write_text("import os\nPID, WORDS = os.getpid(), 'as patched'\n", encoding="utf-8")
        seen = await service.seen(copy=patched)
    assert forked(seen) and seen["words"] == "as patched"


async def test_a_fork_is_ended_and_told_of_as_any_child(service: Service, tmp_path: Path, no_choice: None) -> None:
    service.write()
    async with fork_servers(tmp_path / "forks"):
        await service.learned()
        server, seen = await service.run()
        assert isinstance(server.child._process, Forked) and server.pid == seen["pid"]
        assert server.alive() and server.rss_bytes() > 1_000_000 and "listening" in server.log_text()
        os.kill(server.pid, 9)
        assert await asyncio.to_thread(server.child._process.wait, 5) == -9 == server.child.exit_code
        assert not server.alive()
        server.kill()
        other, _ = await service.run()
        await other.stop()
        assert other.child.exit_code == -15 and not Path(f"/proc/{other.pid}").exists()
        left, _ = await service.run()
    assert not left.alive(), "what a fork server has forked ends with it"


async def test_what_looks_at_what_differs_is_left_to_each_start(
    service: Service, tmp_path: Path, no_choice: None
) -> None:
    service.write("passing", "lodger", "placed", "homely")
    async with fork_servers(tmp_path / "forks"):
        await service.learned()
        seen = await service.seen()
    assert forked(seen)
    assert seen["passing"] == {"PID": seen["pid"], "FOLDER": seen["tmp"]}, "it has read TMPDIR"
    assert seen["lodger"]["PID"] == seen["pid"], "it has imported what has read TMPDIR"
    assert seen["placed"] == {"PID": seen["heavy"], "WHERE": seen["cwd"]}, "put right, and not imported again"
    assert seen["homely"]["PID"] == seen["heavy"] and seen["homely"]["HOME"] != seen["home"], "a home is lent to it"
    assert list(Path(seen["homely"]["HOME"]).iterdir()) == []


async def test_what_starts_a_thread_is_left_to_each_start(service: Service, tmp_path: Path, no_choice: None) -> None:
    service.write("threaded")
    async with fork_servers(tmp_path / "forks"):
        await service.learned()
        seen = await service.seen()
    assert forked(seen) and seen["threaded"]["PID"] == seen["pid"]


async def test_threads_that_start_anew_after_a_fork_are_no_hindrance(
    service: Service, tmp_path: Path, no_choice: None
) -> None:
    service.write("frames")
    async with fork_servers(tmp_path / "forks"):
        await service.learned()
        seen = await service.seen()
    assert forked(seen) and seen["frames"]["PID"] == seen["heavy"]


async def test_another_value_of_what_a_library_has_read_means_a_start_of_the_interpreter(
    service: Service, tmp_path: Path, no_choice: None
) -> None:
    service.write("chosen")
    async with fork_servers(tmp_path / "forks"):
        await service.learned()
        plain, other = await service.seen(), await service.seen(extra_env={"MODE": "other"})
    assert forked(plain) and plain["chosen"]["PID"] == plain["heavy"]
    assert not forked(other) and other["chosen"]["MODE"] == "other"


@pytest.mark.parametrize("library", ["unforkable", "gevent.monkey"])
async def test_what_cannot_be_forked_starts_as_ever(
    service: Service, tmp_path: Path, no_choice: None, library: str
) -> None:
    service.write(library)
    async with fork_servers(tmp_path / "forks"):
        await service.learned()
        assert not forked(await service.seen()) and not forked(await service.seen())
        servers = starts._AT_HAND.get()
        assert servers is not None and [one._state for one in servers._known.values()] == ["unfit"]


async def test_who_wants_its_memory_told_or_a_tracer_in_it_is_not_forked(
    service: Service, tmp_path: Path, no_choice: None
) -> None:
    service.write()
    tracer = tmp_path / "tracer.py"
    tracer.write_text("", encoding="utf-8")
    async with fork_servers(tmp_path / "forks"):
        await service.learned()
        assert not forked(await service.seen(exact=True)) and not forked(await service.seen(inject=[tracer]))


async def test_the_user_may_do_without(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHOICE, "0")
    service.write()
    async with fork_servers(tmp_path / "forks"):
        assert starts._AT_HAND.get() is None
        await service.seen()
        assert not forked(await service.seen())


def test_only_python_can_wait(service: Service, tmp_path: Path) -> None:
    service.write()
    python, place = str(service.place.python), service.place
    shell = tmp_path / "start.sh"
    shell.write_text("#!/bin/sh\n", encoding="utf-8")
    console = service.place.python.parent / "served"
    console.write_text(f"#!{python}\n", encoding="utf-8")
    assert starts.waiting_argv([python, "-m", "serve", "1"], place) == (python, "-m", "serve", "1")
    script = starts.waiting_argv([python, "serve.py", "1"], place)
    assert script is not None and script[1].endswith("run_script.py") and script[2:] == ("serve.py", "1")
    assert starts.waiting_argv([str(console), "x"], place) == (str(console), "x")
    for argv in ([str(shell)], ["env", "A=1", python, "serve.py"], [python, "-X", "dev", "serve.py"], [python]):
        assert starts.waiting_argv(argv, place) is None
