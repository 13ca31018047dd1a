from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

from swarm.core.errors import TargetError
from swarm.core.ports import CommandLimits, CommandResult, Sandbox
from swarm.target.running.environment import child_environment
from swarm.target.running.sandbox import ONLY_COPY, Bubblewrap, ProcessLimits, choose_sandbox
from swarm.target.tree.copies import Copy, make_copy

BOXES = [ProcessLimits(), choose_sandbox()] if choose_sandbox().name != "process limits" else [ProcessLimits()]


@pytest.fixture(params=BOXES, ids=lambda box: box.name)
def box(request: pytest.FixtureRequest) -> Sandbox:
    chosen: Sandbox = request.param
    return chosen


@pytest.fixture
def scene(write_service, tmp_path: Path) -> tuple[Copy, dict[str, str]]:
    place, target = write_service()
    copy = make_copy(place, tmp_path / "copy")
    (tmp_path / "t").mkdir()
    return copy, child_environment(place, copy, target, tmp_path / "t", None, {})


async def python(
    box: Sandbox, scene: tuple[Copy, dict[str, str]], code: str, limits: CommandLimits | None = None
) -> CommandResult:
    copy, env = scene
    return await box.run([sys.executable, "-c", code], copy.cwd, env, limits or CommandLimits(timeout_s=20))


async def test_output_and_exit_code(box: Sandbox, scene) -> None:
    result = await python(box, scene, "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (result.exit_code, result.ended_by) == (3, "")
    assert result.output.splitlines() == ["out", "err"] or set(result.output.split()) == {"out", "err"}
    assert result.argv[0] == sys.executable


async def test_time_limit_ends_grandchildren_too(box: Sandbox, scene, tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', 'import time, pathlib; time.sleep(1.2); "
        f'pathlib.Path("{tmp_path}/t/late").touch()\'], start_new_session=True)\n'
        "time.sleep(30)"
    )
    result = await python(box, scene, code, CommandLimits(timeout_s=0.5))
    assert (result.exit_code, result.ended_by) == (None, "time")
    assert result.duration_s < 5
    await asyncio.sleep(1)
    assert not (tmp_path / "t/late").exists()


async def test_memory_limit(box: Sandbox, scene) -> None:
    code = "import time\nblocks = []\nwhile True: blocks.append(bytearray(b'x' * 10_000_000)); time.sleep(0.01)"
    result = await python(box, scene, code, CommandLimits(timeout_s=20, memory_bytes=150_000_000))
    assert result.ended_by == "memory" or "MemoryError" in result.output


async def test_output_limit(box: Sandbox, scene) -> None:
    result = await python(box, scene, "print('a' * 500_000); print('end')", CommandLimits(output_bytes=10_000))
    assert result.truncated and len(result.output) < 11_000 and result.output.endswith("end\n")


async def test_a_missing_program_is_a_result_and_no_error(box: Sandbox, scene) -> None:
    copy, env = scene
    result = await box.run(["no-such-program-at-all"], copy.cwd, env, CommandLimits())
    assert result.exit_code not in (0, None)
    assert "no-such-program-at-all" in result.output


async def test_loopback_works_and_nothing_else(box: Sandbox, scene) -> None:
    code = (
        "import socket, threading\n"
        "s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()\n"
        "socket.create_connection(s.getsockname()).close(); print('loopback')\n"
        "try: socket.create_connection(('192.0.2.1', 80), timeout=2); print('LEAK')\n"
        "except OSError as e: print('refused')\n"
    )
    result = await python(box, scene, code)
    assert result.output.split() == ["loopback", "refused"]


async def test_the_copy_and_tmp_can_be_written(box: Sandbox, scene, tmp_path: Path) -> None:
    copy, _ = scene
    code = f"open('made', 'w'); open('{tmp_path}/t/made', 'w'); import tempfile; tempfile.mkstemp()"
    result = await python(box, scene, code)
    assert result.exit_code == 0, result.output
    assert (copy.cwd / "made").exists() and (tmp_path / "t/made").exists()


@pytest.mark.skipif(choose_sandbox().name != "bubblewrap", reason="bubblewrap is not there or does not work")
async def test_bubblewrap_keeps_the_users_tree_and_other_processes_out_of_reach(scene, tmp_path: Path) -> None:
    program = shutil.which("bwrap")
    assert program is not None
    code = (
        "import os\n"
        f"for path in ('{tmp_path}/user/serve.py', '/usr/new', os.path.expanduser('~root/new')):\n"
        "    try: open(path, 'a'); print('WRITABLE', path)\n"
        "    except OSError: pass\n"
        f"if os.path.exists('{tmp_path}/user/serve.py'): print('SEES THE ORIGINAL')\n"
        f"print(os.path.exists('/proc/{os.getpid()}/environ') and 'SEES' or 'alone')\n"
    )
    result = await python(Bubblewrap(program), scene, code)
    assert result.output.split() == ["alone"]


@pytest.mark.skipif(choose_sandbox().name != "bubblewrap", reason="bubblewrap is not there or does not work")
async def test_a_sandbox_that_cannot_be_set_up_is_no_result_of_the_command(scene, tmp_path: Path) -> None:
    _, env = scene
    (tmp_path / "user/deep").mkdir()  # in the hidden original: no folder to be in
    with pytest.raises(TargetError, match="SWARM_SANDBOX=limits"):
        await choose_sandbox().run(["true"], tmp_path / "user/deep", env, CommandLimits())


@pytest.mark.skipif(choose_sandbox().name != "bubblewrap", reason="bubblewrap is not installed")
async def test_a_models_command_sees_programs_and_the_copy_alone(scene, tmp_path: Path) -> None:
    copy, env = scene
    secret = tmp_path / "secret.txt"
    secret.write_text("words outside")
    (copy.path / "way").symlink_to(secret)
    box, alone = choose_sandbox(), {**env, ONLY_COPY: "1"}
    work = "import httpx, json, ssl, sqlite3, pathlib; pathlib.Path('made').write_text('x')"
    done = await box.run([sys.executable, "-c", work], copy.cwd, alone, CommandLimits(timeout_s=30))
    assert done.exit_code == 0, done.output
    assert (copy.cwd / "made").read_text() == "x"
    for path in (secret, Path("way"), Path.home() / ".profile", Path("/etc/passwd"), Path("/etc/hostname")):
        told = await box.run(["cat", str(path)], copy.cwd, alone, CommandLimits(timeout_s=20))
        assert told.exit_code != 0 and "words outside" not in told.output, path
    written = await box.run(["touch", str(tmp_path / "t2")], copy.cwd, alone, CommandLimits(timeout_s=20))
    assert not (tmp_path / "t2").exists(), written
