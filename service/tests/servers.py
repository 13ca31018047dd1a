"""Starts real servers on loopback for tests: PostgreSQL, Redis, and the service itself."""

import contextlib
import glob
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def postgres_program(name: str) -> str | None:
    installed = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}")) + sorted(
        glob.glob(f"/usr/pgsql-*/bin/{name}")
    )
    return shutil.which(name) or (installed[-1] if installed else None)


def unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root: the user that its package made, or nobody."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def wait_for(port: int, process: subprocess.Popen, log: Path) -> None:
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    process.kill()
    raise RuntimeError(f"{process.args[0]} did not start:\n{log.read_text()[-2000:]}")


@contextlib.contextmanager
def running(command: list[str], port: int, log: Path, **more) -> Iterator[subprocess.Popen]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, **more)
    try:
        wait_for(port, process, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The URL of an empty database of a server of its own."""
    with tempfile.TemporaryDirectory(prefix="leads-postgres-", ignore_cleanup_errors=True) as name:
        folder, user = Path(name), unprivileged_user()
        more = {"cwd": name, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": name}}
        if user:
            entry = pwd.getpwnam(user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
            more |= {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        data, port = f"{name}/data", free_port()
        create = [postgres_program("initdb"), "-D", data, "-U", "leads", "-A", "trust", "--no-sync"]
        subprocess.run([*create, "-E", "UTF8"], check=True, capture_output=True, **more)
        command = [postgres_program("postgres"), "-D", data, "-p", str(port), "-c", "fsync=off"]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        with running(command, port, folder / "log", **more):
            yield f"postgresql://leads@127.0.0.1:{port}/postgres"


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    port = free_port()
    command = [shutil.which("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with running(command, port, folder / "redis.log", cwd=folder):
        yield f"redis://127.0.0.1:{port}/0"


@contextlib.contextmanager
def service(folder: Path, **settings: str) -> Iterator[httpx.Client]:
    """The service in a process of its own, as a client of it."""
    port = free_port()
    left_out = ("DATABASE_URL", "DATABASE_PATH", "REDIS_URL")
    env = {name: value for name, value in os.environ.items() if name not in left_out}
    env |= {"PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1,localhost"} | settings
    command = [sys.executable, "-m", "uvicorn", "service.app:app", "--port", str(port)]
    with running(command, port, folder / f"service-{port}.log", cwd=folder, env=env):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
            yield client
