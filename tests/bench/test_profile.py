"""The profile: the target's own lines of a loop and of threads, and a reason where there is none."""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from swarm.bench.profile import PROFILER_FILE, Profile, profiler_env, read_profile
from tests.bench.conftest import Starter


def profiled(starter: Starter, kind: str, path: str, env: dict[str, str] | None = None) -> tuple[Profile, str]:
    name = f"profiled-{kind}-{len(starter.started)}"
    file = starter.folder / f"{name}.json"
    env = {**profiler_env(file, starter.folder / name, 3), **(env or {})}
    stub = "" if kind == "fastapi" else starter.start("fastapi", name=f"{name}-stub").base_url
    service = starter.start(kind, name=name, inject=[PROFILER_FILE], env=env, stub=stub)
    for _ in range(3):
        assert httpx.post(service.base_url + path, trust_env=False).status_code == 200
    for _ in range(60):
        if file.exists():
            break
        time.sleep(0.05)
    return read_profile(file), service.source


def text_of(profile: Profile, source: str) -> str:
    return source.splitlines()[profile.lines[0].line - 1].strip()


def test_the_lines_that_hold_a_loop_are_found(starter: Starter) -> None:
    profile, _ = profiled(starter, "fastapi", "/blocking")
    assert profile.requests == 3 and not profile.reason
    assert profile.lines[0].function == "burn" and profile.lines[0].file == "fastapi_service.py"
    assert profile.lines[0].share > 0.4
    assert sum(line.share for line in profile.lines) <= 1.001


def test_a_threaded_flask_service_is_profiled_too(starter: Starter) -> None:
    profile, source = profiled(starter, "flask", "/orders/5/events")
    assert {line.file for line in profile.lines} == {"flask_service.py"}
    assert text_of(profile, source).split("(")[0] in ("requests.get", "subprocess.run")


def test_without_pyinstrument_there_is_a_reason(starter: Starter, tmp_path: Path) -> None:
    (tmp_path / "pyinstrument.py").write_text("raise ImportError('not here')")
    broken = {"PYTHONPATH": f"{starter.folder / 'loader'}:{tmp_path}"}
    profile, _ = profiled(starter, "fastapi", "/blocking", broken)
    assert profile.lines == ()
    assert "pyinstrument cannot be imported there: not here" in profile.reason


def test_no_file_is_a_reason(tmp_path: Path) -> None:
    assert "no request reached" in read_profile(tmp_path / "none.json").reason
