from __future__ import annotations

import sys
from pathlib import Path

import pytest

from swarm.config.schema import Target
from swarm.core.errors import TargetError
from swarm.target.tree.place import resolve_place


def target(**fields: str) -> Target:
    return Target.model_validate({"start": "python x.py {port}", "path": ".", **fields})


def test_workspace_is_the_nearest_folder_that_holds_path_and_cwd(tmp_path: Path) -> None:
    (tmp_path / "repo/backend/app").mkdir(parents=True)
    (tmp_path / "repo/deploy").mkdir()
    place = resolve_place("t", target(path="repo/backend/app", cwd="repo/deploy"), tmp_path)
    assert place.workspace == (tmp_path / "repo").resolve()
    assert place.path == place.workspace / "backend/app"
    assert place.python == Path(sys.executable)


def test_cwd_defaults_to_path(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    place = resolve_place("t", target(path="app"), tmp_path)
    assert place.path == place.cwd == place.workspace


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"path": "nowhere"}, "nowhere"),
        ({"path": "file.txt"}, "is a file"),
        ({"cwd": "nowhere"}, "targets.t.cwd"),
        ({"python": "no-such-python-9"}, "no-such-python-9"),
        ({"python": "file.txt"}, "targets.t.python"),
        ({"path": "/usr", "cwd": "/etc"}, "too much to copy"),
    ],
)
def test_a_bad_place_is_told_with_its_mend(tmp_path: Path, fields: dict[str, str], says: str) -> None:
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(TargetError, match=says):
        resolve_place("t", target(**fields), tmp_path)


def test_a_virtual_environment_may_be_named_by_its_folder_and_its_link_is_kept(tmp_path: Path) -> None:
    (tmp_path / "venv/bin").mkdir(parents=True)
    (tmp_path / "venv/bin/python").symlink_to(sys.executable)
    for written in ("venv", "venv/bin/python"):
        assert resolve_place("t", target(python=written), tmp_path).python == tmp_path / "venv/bin/python"
