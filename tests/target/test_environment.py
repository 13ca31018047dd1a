from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from swarm.config.schema import Target
from swarm.core.errors import TargetError
from swarm.core.place import TargetPlace
from swarm.target.running import environment
from swarm.target.running.commandline import command_line
from swarm.target.running.environment import GUARD, INJECT, child_environment
from swarm.target.tree.copies import Copy, make_copy


def build(write_service, tmp_path: Path, extra: dict[str, str] | None = None, **fields):  # type: ignore[no-untyped-def]
    place, target = write_service(**fields)
    copy = make_copy(place, tmp_path / "copy")
    return copy, child_environment(place, copy, target, tmp_path / "t", 4711, extra or {})


def test_no_variable_of_swarms_own_environment_gets_through(
    write_service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANTHROPIC_API_KEY", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "DATABASE_PASSWORD", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "do-not-leak")
    _, env = build(write_service, tmp_path, env={"OWN": "given"})
    assert "do-not-leak" not in env.values()
    assert env["OWN"] == "given"
    assert env["HOME"].startswith(str(tmp_path)) and Path(env["HOME"]).is_dir()
    assert env["TMPDIR"].startswith(str(tmp_path)) and Path(env["TMPDIR"]).is_dir()


def test_what_a_service_keeps_lies_below_its_tmp(write_service, tmp_path: Path) -> None:
    _, env = build(write_service, tmp_path)
    assert env["XDG_STATE_HOME"] == f"{tmp_path}/t/state"
    _, env = build(write_service, tmp_path, env={"XDG_STATE_HOME": "{tmp}/own"})
    assert env["XDG_STATE_HOME"] == f"{tmp_path}/t/own"


def test_placeholders_are_filled_and_other_braces_stay(write_service, tmp_path: Path) -> None:
    _, env = build(write_service, tmp_path, env={"DB": "sqlite:///{tmp}/x.db", "P": "{port}", "J": '{"a": {}}'})
    assert env["DB"] == f"sqlite:///{tmp_path}/t/x.db"
    assert (env["P"], env["J"]) == ("4711", '{"a": {}}')


def test_an_upstreams_url_wins_over_the_targets_env(write_service, tmp_path: Path) -> None:
    _, env = build(write_service, tmp_path, {"CRM": "http://127.0.0.1:1"}, env={"CRM": "https://real.example"})
    assert env["CRM"] == "http://127.0.0.1:1"


def test_the_guard_is_always_first_among_the_injected(write_service, tmp_path: Path) -> None:
    _, env = build(write_service, tmp_path, {"SWARM_INJECT": f"/x/tracer.py{os.pathsep}{GUARD}"})
    assert env["SWARM_INJECT"].split(os.pathsep) == [str(GUARD), "/x/tracer.py"]


def test_the_copy_is_imported_before_anything_installed(write_service, tmp_path: Path) -> None:
    copy, env = build(write_service, tmp_path, files={"src/pkg/__init__.py": ""}, env={"PYTHONPATH": "lib:/opt/x"})
    folders = env["PYTHONPATH"].split(os.pathsep)
    assert folders[:3] == [str(INJECT), str(copy.cwd), str(copy.path / "src")]


def test_an_editable_install_of_the_original_gives_way_to_the_copy(tmp_path: Path) -> None:
    root = (tmp_path / "user").resolve()
    (root / "lib/shop").mkdir(parents=True)
    (root / "lib/shop/__init__.py").write_text("")
    (root / "other/desk").mkdir(parents=True)
    (root / "other/desk/__init__.py").write_text("")
    site = tmp_path / "venv/lib/python3.11/site-packages"
    site.mkdir(parents=True)
    (site / "shop.pth").write_text(f"{root}/lib\n")
    (site / "__editable___desk_1_finder.py").write_text(
        f"MAPPING: dict[str, str] = {{'desk': '{root}/other/desk'}}\nNAMESPACES = {{}}\n"
    )
    (tmp_path / "venv/bin").mkdir()
    (tmp_path / "venv/bin/python").symlink_to(sys.executable)
    place = TargetPlace("t", root, root, root, tmp_path / "venv/bin/python")
    copy = make_copy(place, tmp_path / "copy")
    target = Target.model_validate({"path": ".", "start": "python -m shop"})
    env = child_environment(place, copy, target, tmp_path / "t", None, {})
    shown = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.append('{root}/lib'); import shop, desk; print(shop, desk)"],
        env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert str(root) not in shown.stdout
    assert shown.stdout.count(str(copy.workspace)) == 2


def place_in(tmp_path: Path) -> TargetPlace:
    return TargetPlace("t", tmp_path, tmp_path, tmp_path, Path(sys.executable))


def test_commands_run_by_the_targets_interpreter(tmp_path: Path) -> None:
    place = place_in(tmp_path)
    for word in ("python", "python3", "python3.11"):
        assert command_line(f"{word} -m app", place, tmp=tmp_path, port=1) == [sys.executable, "-m", "app"]
    beside = Path(sys.executable).parent / "pytest"
    assert command_line("pytest -q 'a b'", place, tmp=tmp_path, port=1) == [str(beside), "-q", "a b"]


def test_placeholders_in_a_command_are_one_word_each(tmp_path: Path) -> None:
    spaced = tmp_path / "a b"
    assert command_line("python x {tmp}/db {port}", place_in(tmp_path), tmp=spaced, port=7)[2:] == [
        f"{spaced}/db", "7",
    ]  # fmt: skip


def test_assignments_before_a_command_are_kept(tmp_path: Path) -> None:
    argv = command_line("MODE=dev python x.py", place_in(tmp_path), tmp=tmp_path, port=1)
    assert argv == ["env", "MODE=dev", sys.executable, "x.py"]


@pytest.mark.parametrize("command", ["no-such-program-at-all x", "python 'unclosed", "", "cd x && python y.py"])
def test_a_command_that_cannot_run_is_told(tmp_path: Path, command: str) -> None:
    with pytest.raises(TargetError):
        command_line(command, place_in(tmp_path), tmp=tmp_path, port=1)


def test_a_program_of_a_virtual_environment_in_the_tree_is_found_though_it_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/pyvenv.cfg").write_text("")
    (tmp_path / ".venv/bin/uvicorn").write_text("")
    argv = command_line(".venv/bin/uvicorn app:app", place_in(tmp_path), tmp=tmp_path, port=1)
    assert argv == [str(tmp_path / ".venv/bin/uvicorn"), "app:app"]


def test_bytecode_goes_elsewhere_where_the_packages_have_none(tmp_path: Path) -> None:
    (tmp_path / "lib/python3.11/site-packages/pkg").mkdir(parents=True)
    (tmp_path / "lib/python3.11/site-packages/pkg/__init__.py").write_text("")
    settings = environment._bytecode_settings(tmp_path / "bin/python")
    assert list(settings) == ["PYTHONPYCACHEPREFIX"]


def test_nothing_is_written_into_the_users_tree(write_service, tmp_path: Path) -> None:
    files = {"mod.py": "x = 1\n"}
    place, target = write_service(files)
    before = sorted(p for p in place.workspace.rglob("*"))
    copy: Copy = make_copy(place, tmp_path / "copy")
    env = child_environment(place, copy, target, tmp_path / "t", None, {"PYTHONPATH": str(place.path)})
    subprocess.run([sys.executable, "-c", "import mod"], cwd=place.path, env=env, check=True)
    assert sorted(p for p in place.workspace.rglob("*")) == before


def test_runners_that_would_build_an_environment_of_their_own_are_left_out(tmp_path: Path) -> None:
    argv = command_line("poetry run python -m app", place_in(tmp_path), tmp=tmp_path, port=1)
    assert argv == [sys.executable, "-m", "app"]


def test_swarms_own_programs_do_not_stand_in_for_the_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest lies beside swarm's interpreter and not beside the target's: running it would test nothing."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    place = TargetPlace("t", tmp_path, tmp_path, tmp_path, tmp_path / "bin/python")
    with pytest.raises(TargetError, match="'pytest' is neither beside"):
        command_line("pytest -q", place, tmp=tmp_path, port=1)
