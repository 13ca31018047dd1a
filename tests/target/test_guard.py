from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from swarm.target.running.environment import GUARD, INJECT

INTERPRETERS = [sys.executable, *(p for p in ("/usr/bin/python3",) if Path(p).exists())]


def run(tmp_path: Path, code: str, *inject: Path, python: str = sys.executable) -> tuple[str, str]:
    log = tmp_path / "egress.log"
    env = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(INJECT), "SWARM_EGRESS_LOG": str(log),
        "SWARM_INJECT": os.pathsep.join(map(str, (GUARD, *inject))),
    }  # fmt: skip
    done = subprocess.run([python, "-c", code], env=env, capture_output=True, text=True, timeout=20, check=False)
    return done.stdout + done.stderr, log.read_text() if log.exists() else ""


@pytest.mark.parametrize("python", INTERPRETERS)
@pytest.mark.parametrize(
    ("call", "noted"),
    [
        ("socket.create_connection(('192.0.2.1', 443), timeout=2)", "192.0.2.1:443"),
        ("socket.create_connection(('api.mail.example', 443), timeout=2)", "api.mail.example:443"),
        ("socket.socket(socket.AF_INET6).connect(('2001:db8::1', 80))", "2001:db8::1:80"),
        ("socket.gethostbyname('api.mail.example')", "api.mail.example:"),
        ("socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))", "192.0.2.1:53"),
        ("urllib.request.urlopen('http://user.example/x', timeout=2)", "user.example:80"),
        ("asyncio.run(asyncio.open_connection('192.0.2.1', 81))", "192.0.2.1:81"),
        ("asyncio.run(asyncio.open_connection('late.example', 81))", "late.example:81"),
    ],
)
def test_what_leaves_the_machine_is_refused_and_noted(tmp_path: Path, python: str, call: str, noted: str) -> None:
    code = (
        "import asyncio, socket, urllib.request\n"
        f"try: {call}; print('LEAK')\nexcept OSError as e: print('refused', e)"
    )
    output, log = run(tmp_path, code, python=python)
    assert "LEAK" not in output and "no network but loopback" in output
    assert noted in log.splitlines()


def test_loopback_and_unix_sockets_work(tmp_path: Path) -> None:
    code = f"""
import asyncio, socket
for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "localhost")):
    server = socket.socket(family); server.bind((host, 0)); server.listen()
    socket.create_connection((host, server.getsockname()[1]), timeout=2).close()
unix = socket.socket(socket.AF_UNIX); unix.bind({str(tmp_path / "s")!r}); unix.listen()
client = socket.socket(socket.AF_UNIX); client.connect({str(tmp_path / "s")!r})
left, right = socket.socketpair(); left.send(b"x")
datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); datagram.sendto(b"x", ("127.0.0.1", 9))
async def main():
    async def answer(reader, writer): writer.close()
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
asyncio.run(main())
print("all well")
"""
    output, log = run(tmp_path, code)
    assert output == "all well\n" and log == ""


def test_a_redirector_that_comes_later_may_send_a_host_to_loopback(tmp_path: Path) -> None:
    redirector = tmp_path / "redirector.py"
    redirector.write_text(
        "import socket\n_previous = socket.getaddrinfo\n"
        "def getaddrinfo(host, *rest, **more):\n"
        "    return _previous('127.0.0.1' if host == 'api.mail.example' else host, *rest, **more)\n"
        "socket.getaddrinfo = getaddrinfo\n"
    )
    code = (
        "import socket\ns = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()\n"
        "socket.create_connection(('api.mail.example', s.getsockname()[1]), timeout=2); print('reached')\n"
        "try: socket.create_connection(('other.example', 80), timeout=2)\nexcept OSError: print('refused')\n"
    )
    output, log = run(tmp_path, code, redirector)
    assert output.split() == ["reached", "refused"] and log == "other.example:80\n"


@pytest.mark.parametrize("name", ["guard.py", "sitecustomize.py"])
def test_what_is_injected_is_python_3_8(name: str) -> None:
    assert ast.parse((INJECT / name).read_text(encoding="utf-8"), feature_version=(3, 8)).body


def test_a_broken_injected_file_does_not_stop_the_program(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('no')")
    output, _ = run(tmp_path, "print('runs')", broken)
    assert "runs" in output and "broken.py was not loaded: SystemExit: no" in output


# What matters of uvloop here: a Loop class written in Python over one in C that asks the socket module nothing.
UVLOOP = """
class Base:
    async def create_connection(self, factory, host=None, port=None, **options):
        return "connected", host, port, options
    async def create_datagram_endpoint(self, factory, local_addr=None, remote_addr=None, **options):
        return "datagram", remote_addr
    async def getaddrinfo(self, host, port, **options):
        return "looked up", host
    async def run_in_executor(self, executor, work):
        return work()
class Loop(Base):
    pass
"""


def test_uvloop_is_guarded_too_and_redirected(tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text(UVLOOP)
    redirector = tmp_path / "redirector.py"
    redirector.write_text(
        "import socket\n_previous = socket.getaddrinfo\n"
        "def getaddrinfo(host, *rest, **more):\n"
        "    return _previous('127.0.0.1' if host == 'api.mail.example' else host, *rest, **more)\n"
        "socket.getaddrinfo = getaddrinfo\n"
    )
    code = f"""
import asyncio, sys
sys.path.insert(0, {str(tmp_path)!r})
import uvloop
loop = uvloop.Loop()
print(asyncio.run(loop.create_connection(None, "localhost", 1)))
print(asyncio.run(loop.create_connection(None, "api.mail.example", 2, ssl=True)))
for call in (
    lambda: loop.create_connection(None, "192.0.2.1", 3),
    lambda: loop.create_connection(None, "other.example", 4),
    lambda: loop.create_datagram_endpoint(None, remote_addr=("192.0.2.1", 5)),
    lambda: loop.getaddrinfo("far.example", 6),
):
    try: print("LEAK", asyncio.run(call()))
    except OSError: print("refused")
"""
    output, log = run(tmp_path, code, redirector)
    assert output.splitlines() == [
        "('connected', 'localhost', 1, {})",
        "('connected', '127.0.0.1', 2, {'ssl': True, 'server_hostname': 'api.mail.example'})",
        *["refused"] * 4,
    ]
    assert log.split() == ["192.0.2.1:3", "other.example:4", "192.0.2.1:5", "far.example:6"]
