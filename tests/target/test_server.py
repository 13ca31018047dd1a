from __future__ import annotations

import asyncio
import json
import os
import socket
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from swarm.core.errors import TargetError
from swarm.target.running import server as server_module
from swarm.target.running.server import RunningServer, start_server
from swarm.target.tree.copies import make_copy


async def start(write_service: Any, tmp_path: Path, **options: Any) -> RunningServer:
    fields = options.pop("fields", {})
    place, target = write_service(**fields)
    copy = make_copy(place, tmp_path / "copy")
    return await start_server(
        place, copy, target, upstream_env={"CRM_URL": "http://127.0.0.1:9"}, tmp=tmp_path / "t", **options
    )


def ask(server: RunningServer) -> dict[str, Any]:
    with urllib.request.urlopen(server.base_url + "/", timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


async def test_a_server_runs_on_the_copy_with_only_what_it_may_see(
    write_service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYMENT_API_KEY", "do-not-leak")
    server = await start(write_service, tmp_path, fields={"env": {"DB": "{tmp}/x.db"}})
    try:
        seen = await asyncio.to_thread(ask, server)
        assert seen["where"].startswith(str(tmp_path / "copy"))
        assert seen["cwd"] == str(tmp_path / "copy")
        assert seen["env"]["DB"] == f"{tmp_path}/t/x.db" and seen["env"]["CRM_URL"] == "http://127.0.0.1:9"
        assert "do-not-leak" not in str(seen)
        assert server.rss_bytes() > 5_000_000 and server.cpu_s() > 0 and server.alive()
        assert "listening" in server.log_text()
    finally:
        await server.stop()
    assert not server.alive()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=2)


async def test_a_port_that_is_taken_leads_to_another_one(
    write_service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        offered = iter([taken.getsockname()[1], server_module.free_port()])
        monkeypatch.setattr(server_module, "free_port", lambda: next(offered))
        server = await start(write_service, tmp_path)
        assert server.port != taken.getsockname()[1]
        await server.stop()


async def test_a_stranger_that_answers_on_the_port_is_not_taken_for_the_target(
    write_service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    stranger = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = stranger.sockets[0].getsockname()[1]
    monkeypatch.setattr(server_module, "free_port", lambda: port)
    with pytest.raises(TargetError, match="held by another program"):
        fields = {"files": {"serve.py": "import time; time.sleep(60)"}}
        await start(write_service, tmp_path, fields=fields, deadline_s=1.0)
    stranger.close()


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import no_such_module_here", "cannot import 'no_such_module_here'"),
        ("import os; os.environ['SHOP_TOKEN']", "put SHOP_TOKEN into the target's `env`"),
        ("raise RuntimeError('the sky is falling')", "the sky is falling"),
        ("import time; print('slow', flush=True); time.sleep(60)", "nothing listened on its port within 1 s"),
    ],
)
async def test_a_server_that_does_not_start_is_told_with_its_cause(
    write_service: Any, tmp_path: Path, code: str, says: str
) -> None:
    with pytest.raises(TargetError) as raised:
        await start(write_service, tmp_path, fields={"files": {"serve.py": code}}, deadline_s=1.0)
    assert says in str(raised.value)
    assert raised.value.exit_code == 3


async def test_a_health_that_stays_red_is_no_start(write_service: Any, tmp_path: Path) -> None:
    code = (
        "import http.server, sys\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self): self.send_error(503)\n"
        "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), H).serve_forever()\n"
    )
    fields = {"files": {"serve.py": code}, "health": "/health"}
    with pytest.raises(TargetError, match=r"/health answers 503 within 1 s"):
        await start(write_service, tmp_path, fields=fields, deadline_s=1.0)


async def test_a_target_says_how_long_a_start_may_take(write_service: Any, tmp_path: Path) -> None:
    fields = {"files": {"serve.py": "import time; time.sleep(60)"}, "start_seconds": 0.5}
    with pytest.raises(TargetError, match=r"within 0\.5 s \(a slow one gets more by `start_seconds`\)"):
        await start(write_service, tmp_path, fields=fields)


async def test_a_start_without_a_port_is_refused_with_the_mend(write_service: Any, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"--port \{port\}"):
        await start(write_service, tmp_path, fields={"start": "python serve.py 8000"})


async def test_a_cancelled_start_leaves_no_process(write_service: Any, tmp_path: Path) -> None:
    code = "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(60)"
    task = asyncio.create_task(start(write_service, tmp_path, fields={"files": {"serve.py": code}}))
    file = tmp_path / "copy/pid"
    while not (file.exists() and file.read_text()):  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)


@pytest.mark.parametrize(("setup", "runs"), [("python setup_it.py", 1), ("python setup_it.py {tmp}", 2)])
async def test_setup_runs_once_a_copy_or_once_for_each_tmp_that_it_touches(
    write_service: Any, tmp_path: Path, setup: str, runs: int
) -> None:
    log = tmp_path / "setups"
    place, target = write_service({"setup_it.py": f"open({str(log)!r}, 'a').write('x')"}, setup=setup)
    copy = make_copy(place, tmp_path / "copy")
    for number in range(2):
        server = await start_server(place, copy, target, upstream_env={}, tmp=tmp_path / f"t{number}")
        await server.stop()
    assert log.read_text() == "x" * runs


async def test_a_failing_setup_is_told(write_service: Any, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"setup 'python bad\.py' exits 1: .*no tables"):
        await start(write_service, tmp_path, fields={"files": {"bad.py": "raise ValueError('no tables')"},
                                                     "setup": "python bad.py"})  # fmt: skip


async def test_connections_beyond_loopback_are_refused_and_listed(write_service: Any, tmp_path: Path) -> None:
    code = (
        "import socket\n"
        "for host in ('192.0.2.7', 'mail.example'):\n"
        "    try: socket.create_connection((host, 25), timeout=2)\n"
        "    except OSError: pass\n"
        "import runpy; runpy.run_path('real.py', run_name='__main__')\n"
    )
    server = await start(write_service, tmp_path, fields={"files": {"serve.py": code}})
    await server.stop()
    assert server.refused_egress() == ("192.0.2.7:25", "mail.example:25")


async def test_injected_files_run_and_the_targets_own_names_are_not_hidden(
    write_service: Any, tmp_path: Path
) -> None:
    """`guard` and `sitecustomize` are names that a target may use itself."""
    tracer = tmp_path / "tracer.py"
    tracer.write_text("import sys; sys.stderr.write('tracer loaded\\n')")
    code = (
        "import guard, sys\n"
        "print(guard.WHO, 'sitecustomize' in sys.modules and sys.modules['sitecustomize'].MINE)\n"
        "import runpy; runpy.run_path('real.py', run_name='__main__')\n"
    )
    files = {
        "serve.py": code, "guard.py": "WHO = 'the target'",
        "sitecustomize.py": "MINE = 'own sitecustomize'",
    }  # fmt: skip
    server = await start(write_service, tmp_path, fields={"files": files}, inject=[tracer, tmp_path / "gone.py"])
    await server.stop()
    assert "tracer loaded" in server.log_text()
    assert "the target own sitecustomize" in server.log_text()
    assert "gone.py was not loaded" in server.log_text()
