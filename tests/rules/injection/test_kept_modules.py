"""The small modules that mends of data flows import: what they let through, and which file of a target has which."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.rules.injection.services_with_holes import CASES, asked
from tests.rules.mending import loaded, mend, write


def test_a_folder_is_kept_to_through_links_and_steps(tmp_path: Path) -> None:
    write(tmp_path, {"app.py": CASES["a file that is sent"].code.replace("@/", f"{tmp_path}/")})
    mend(tmp_path, "path-traversal")
    for folder in ("public/deep", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "elsewhere" / "shared.txt").write_text("shared on purpose")
    (tmp_path / "public" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "public-not").mkdir()
    with loaded(tmp_path, "inside_folder") as guard:
        inside, home = guard.inside_folder, tmp_path / "public"
        for path in (
            home / "a",
            home / "deep" / ".." / "a",
            f"{home}/link/shared.txt",
            home,
            str(home).encode() + b"/a",
        ):
            assert inside(path, home) is path
        for path in (f"{home}/../secret", f"{home}-not/a", "/etc/passwd", home / "link" / ".." / "elsewhere" / "x"):
            with pytest.raises(FileNotFoundError) as raised:
                inside(path, home)
            assert raised.value.strerror == os.strerror(2)
            assert raised.value.filename == str(path)
        assert inside("../data/a", "../data") == "../data/a"
        with pytest.raises(FileNotFoundError):
            inside("../data/../x", "../data")


def test_the_guard_of_paths_can_be_turned_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"app.py": CASES["a file that is sent"].code.replace("@/", f"{tmp_path}/")})
    mend(tmp_path, "path-traversal")
    monkeypatch.setenv("KEEP_PATHS_INSIDE", "0")
    with loaded(tmp_path, "inside_folder") as guard:
        assert guard.inside_folder("/etc/passwd", tmp_path) == "/etc/passwd"


@pytest.mark.parametrize(
    ("target", "is_own"),
    [
        ("/a", True), ("a/b", True), ("?page=2", True), ("http://here.example/a", True), ("//here.example/a", True),
        ("https://shop.example/", True), ("", True),
        ("//evil.invalid", False), ("/\\evil.invalid", False), ("\\\\evil.invalid", False),
        ("/\t/evil.invalid", False),
        ("https://here.example@evil.invalid/", False), ("https://here.example.evil.invalid/", False),
        ("javascript:alert(1)", False), (" javascript:alert(1)", False), ("http:evil.invalid", False),
        ("http:///evil.invalid", False), ("///evil.invalid", False), ("http://[evil", False),
    ],
)  # fmt: skip
def test_own_addresses_are_told_as_browsers_read_them(
    target: str, is_own: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"app.py": CASES["a place to go on to"].code})
    mend(tmp_path, "open-redirect")
    monkeypatch.setenv("REDIRECT_HOSTS", "shop.example, other.example")
    with loaded(tmp_path, "own_address") as module:
        assert module.is_own(target, "here.example") is is_own


def test_files_that_need_a_guard_share_one(tmp_path: Path) -> None:
    view = (
        "from fastapi import APIRouter\nfrom fastapi.responses import FileResponse\n\nrouter = APIRouter()\n"
        "ROOT = '{root}'\n\n\n@router.get('/{name}')\ndef {name}(n: str):\n    return FileResponse(ROOT + '/' + n)\n"
    )
    app = (
        "from fastapi import FastAPI\n\nfrom shop.views import one, two\n\napp = FastAPI()\n"
        "app.include_router(one.router)\napp.include_router(two.router)\n"
    )
    public = tmp_path / "public"
    public.mkdir()
    (public / "a.txt").write_text("open to all")
    (tmp_path / "secret.txt").write_text("KEPT SECRET")
    files = {"shop/__init__.py": "", "shop/views/__init__.py": "", "shop/app.py": app}
    files |= {f"shop/views/{name}.py": view.replace("{root}", str(public)).replace("{name}", name)
              for name in ("one", "two")}  # fmt: skip
    root = tmp_path / "code"
    write(root, files)
    mend(root, "path-traversal")
    assert [path.name for path in root.rglob("inside_folder*.py")] == ["inside_folder.py"]
    with loaded(root, "shop.app") as module:
        ask = asked(module.app)
        for name in ("one", "two"):
            assert ask(f"/{name}?n=a.txt").text == "open to all"
            assert ask(f"/{name}?n=../secret.txt").status == 404


def test_of_several_services_each_has_a_guard_of_its_own(tmp_path: Path) -> None:
    """Two services lie side by side and do not import each other: a guard beside one is out of the other's reach."""
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "a.txt").write_text("open to all")
    (tmp_path / "secret.txt").write_text("KEPT SECRET")
    for name in ("one", "two"):
        code = "import settings\n" + CASES["a file that is sent"].code.replace("@/", f"{tmp_path}/")
        write(tmp_path / "code" / name, {"settings.py": "", "app.py": code})
    mend(tmp_path / "code", "path-traversal")
    for name in ("one", "two"):
        assert (tmp_path / "code" / name / "inside_folder.py").exists()
        with loaded(tmp_path / "code" / name, "app") as module:
            assert asked(module.app)("/x?n=a.txt").text == "open to all"
            assert asked(module.app)("/x?n=../secret.txt").status == 404
