from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from swarm.target.processes import procfs, scratch
from swarm.target.processes.children import reap_orphans, spawn
from swarm.target.processes.scratch import scratch_folder

# A child that starts a grandchild which leaves the session (so that no signal to the group or on the
# parent's death reaches it) and listens on a port.
DAEMON = """
import os, socket, subprocess, sys, time
code = "import os, socket, sys, time; os.setsid() if os.getpgrp() != os.getpid() else None; " \\
       "s = socket.socket(); s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen(); time.sleep(60)"
grandchild = subprocess.Popen([sys.executable, "-c", code, sys.argv[1]], start_new_session=True)
print(grandchild.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _own_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch.tempfile, "gettempdir", lambda: str(tmp_path))


def wait_for(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def lives(pid: int) -> bool:
    stat = procfs.read_stat(pid)
    return stat is not None and stat.state not in "ZX"


async def test_stop_ends_daemons_that_left_the_session_too(tmp_path: Path) -> None:
    from swarm.target.running.server import can_bind, free_port

    port = free_port()
    argv = [sys.executable, "-c", DAEMON, str(port)]
    child = spawn(argv, cwd=tmp_path, env=dict(os.environ), log=tmp_path / "log")
    wait_for(lambda: child.log_text().strip())
    grandchild = int(child.log_text())
    wait_for(lambda: not can_bind(port))
    await child.stop()
    assert not lives(child.pid) and not lives(grandchild)
    assert can_bind(port)


async def test_a_child_that_ignores_sigterm_is_ended_after_the_grace(tmp_path: Path) -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    )
    child = spawn([sys.executable, "-c", code], cwd=tmp_path, env={}, log=tmp_path / "log")
    wait_for(lambda: "up" in child.log_text())
    started = time.monotonic()
    await child.stop(grace_s=0.2)
    assert not lives(child.pid)
    assert 0.2 <= time.monotonic() - started < 5


async def test_output_is_bounded_and_its_end_is_kept(tmp_path: Path) -> None:
    code = "print('first'); print('x' * 3_000_000); print('last')"
    child = spawn(
        [sys.executable, "-c", code], cwd=tmp_path, env={}, log=tmp_path / "log", head_bytes=1000, tail_bytes=500
    )
    wait_for(lambda: not child.alive())
    await child.stop()
    text = child.log_text()
    assert text.startswith("first") and text.endswith("last\n") and len(text) < 1700
    assert child.log.truncated
    assert (tmp_path / "log").stat().st_size < 1700


@pytest.mark.parametrize("daemon", [DAEMON, DAEMON.replace("sys.argv[1]], ", "sys.argv[1]], env={}, ")])
def test_kill_9_of_swarm_leaves_nothing_after_the_next_start(tmp_path: Path, daemon: str) -> None:
    """A real swarm-like parent is killed -9; the kernel ends its child, the reaper the daemon and the folder.

    The second daemon threw away its environment, and swarm's marks with it: its folder still gives it away.
    """
    parent_code = (
        "import os, sys, tempfile, time\n"
        "from pathlib import Path\n"
        "from swarm.target.processes import scratch\n"
        "from swarm.target.processes.children import spawn\n"
        "from swarm.target.processes.scratch import scratch_folder\n"
        "scratch.tempfile.gettempdir = lambda: sys.argv[1]\n"
        "folder = scratch_folder('run')\n"
        "argv = [sys.executable, '-c', sys.argv[2], '0']\n"
        "child = spawn(argv, cwd=folder, env=dict(os.environ), log=folder / 'log')\n"
        "while not child.log_text().strip(): time.sleep(0.02)\n"
        "print(child.pid, int(child.log_text()), folder, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", parent_code, str(tmp_path), daemon], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    words = parent.stdout.readline().split()
    child, grandchild, folder = int(words[0]), int(words[1]), Path(words[2].decode())
    try:
        assert reap_orphans() == [], "a living swarm's processes must be left alone"
        assert lives(child) and lives(grandchild) and folder.is_dir()
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        wait_for(lambda: not lives(child))
        assert lives(grandchild), "the daemon is out of the kernel signal's reach, which is what this test is about"
        assert grandchild in reap_orphans()
        assert not lives(grandchild)
        assert not folder.exists()
    finally:
        for pid in (parent.pid, child, grandchild):
            if lives(pid):
                os.kill(pid, signal.SIGKILL)
        parent.wait()


def test_own_children_and_folders_survive_reaping(tmp_path: Path) -> None:
    folder = scratch_folder("mine")
    child = spawn([sys.executable, "-c", "import time; time.sleep(30)"], cwd=folder, env={}, log=folder / "log")
    try:
        assert child.pid not in reap_orphans()
        assert child.alive() and folder.is_dir()
        assert scratch_folder("mine") == folder
    finally:
        child.kill()


def test_a_childs_family_is_measured(tmp_path: Path) -> None:
    code = "import time; block = bytearray(60_000_000); print('up', flush=True); time.sleep(30)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    child = spawn([sys.executable, "-c", outer], cwd=tmp_path, env={}, log=tmp_path / "log")
    try:
        wait_for(lambda: "up" in child.log_text())
        assert len(child.pids()) == 2
        assert child.rss_bytes() > 60_000_000
        assert child.cpu_s() >= 0
    finally:
        child.kill()
