"""Migrations to run before the first start, and the command of the service's own tests."""

from __future__ import annotations

import configparser
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

from swarm.analysis.index import Index
from swarm.intake.starting.applications import Application

_NO_FILE = re.compile(r"(?:No such file or directory: |the file )['\"]([^'\"]+)['\"]")
_DATABASE_FILES = re.compile(r"[\"'](?:sqlite[+\w]*:///)?(\.?[\w./-]+/[\w.-]+\.(?:db|sqlite3?|sqlite))[\"']")
_DEPLOYS = (
    "Procfile", "entrypoint.sh", "start.sh", "run.sh", "release.sh", "render.yaml", "railway.json", "Makefile",
    "Dockerfile*", "*/entrypoint*.sh", "*/start*.sh",
)  # fmt: skip
_MIGRATES = re.compile(
    r"\b(alembic( -c \S+)? upgrade \w+|piccolo migrations forwards \S+|aerich upgrade|yoyo apply[^&|;#]*"
    r"|flask( --app \S+)? db upgrade)"
)
_SKIPPED = {"node_modules", ".git", ".venv", "venv", "site-packages"}


def setup_command(root: Path, app: Application | None, texts: str) -> str | None:
    """The migrations of alembic, Flask-Migrate or of what deploys it; None where it makes its tables, or has none."""
    if (root / "alembic.ini").is_file():
        if re.search(r"command\.upgrade\(|alembic.*upgrade", texts):
            return None  # it migrates as it starts
        return "alembic upgrade head"
    if (root / "migrations" / "env.py").is_file() and app is not None and app.framework == "flask":
        called = f"{app.written}()" if app.is_factory else app.written
        return f"flask --app {_quoted(called)} db upgrade"
    return next(_deployed_migrations(root), None)


def _deployed_migrations(root: Path) -> Iterator[str]:
    """What the files that deploy the service run for its tables before they start it."""
    for file in [file for pattern in _DEPLOYS for file in sorted(root.glob(pattern))]:
        for line in _text(file).splitlines():
            found = _MIGRATES.search(line) if not line.lstrip().startswith("#") else None
            if found and "$" not in found[0]:
                yield found[0].strip()


def _quoted(word: str) -> str:
    return f"'{word}'" if "(" in word else word


def missing_folder(text: str, setup: str | None, index: Index) -> str | None:
    """The folder that a start failed for, by its words or the code; None where none is, or it was made already."""
    found: list[str] = [path for path in _NO_FILE.findall(text) if not path.startswith("/")]
    if not found and "unable to open database file" in text:
        found = [path for module in index.tree.modules.values() for path in _DATABASE_FILES.findall(module.text)]
    for path in found:
        folder = path.rpartition("/")[0].removeprefix("./").strip("/")
        if folder and "{" not in folder and f" {folder}" not in (setup or ""):
            return folder
    return None


def with_folder(setup: str | None, folder: str) -> str:
    """The setup that makes a folder first."""
    if setup is None:
        return f"mkdir -p {folder}"
    if setup.startswith("mkdir -p "):
        return f"{setup} {folder}"
    return f"sh -c {shlex.quote(f'mkdir -p {folder} && {setup}')}"


def migration_texts(root: Path) -> str:
    """What the migrations say: they may want a database that the code alone does not show."""
    found = []
    for folder in ("alembic", "migrations", "app/alembic", "app/migrations", "src/alembic"):
        files = sorted((root / folder).rglob("*.py"))[:200]
        found += [file.read_text(encoding="utf-8", errors="replace")[:20_000] for file in files]
    return "\n".join(found)


def test_command(root: Path, has_module: Callable[..., bool]) -> tuple[str | None, str]:
    """The tests' command, and "" beside it; None with a word on why there is none."""
    tests = test_files(root)
    if not tests:
        return None, "it has no tests: replay alone carries the proof"
    uses_pytest = any("pytest" in _text(file) for file in tests) or _has_pytest_settings(root)
    if has_module("pytest"):
        return f"pytest -q{_where(root, tests)}", ""
    if uses_pytest:
        return None, "it has tests for pytest, and the target's interpreter has no pytest: install it there"
    return "python -m unittest discover -q", ""


test_command.__test__ = False  # type: ignore[attr-defined]  # pytest takes it for a test where it is imported


def test_files(root: Path) -> list[Path]:
    """The files of the tests."""
    found = []
    for pattern in ("test_*.py", "*_test.py"):
        found += [file for file in root.rglob(pattern) if not set(file.relative_to(root).parts) & _SKIPPED]
    return [
        file
        for file in sorted(set(found))
        if re.search(r"^\s*(async )?def test|class \w*Test", _text(file), re.MULTILINE)
    ]


test_files.__test__ = False  # type: ignore[attr-defined]


def _where(root: Path, tests: list[Path]) -> str:
    """The folder that pytest is told; "" where the tree's own settings tell it."""
    if _has_pytest_settings(root, "testpaths"):
        return ""
    tops = {file.relative_to(root).parts[0] for file in tests if len(file.relative_to(root).parts) > 1}
    beside = any(file.parent == root for file in tests)
    return "" if beside or len(tops) != 1 else f" {tops.pop()}"


def _has_pytest_settings(root: Path, key: str = "") -> bool:
    for name, section in (("pytest.ini", "pytest"), ("tox.ini", "pytest"), ("setup.cfg", "tool:pytest")):
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read_string(_text(root / name))
        except configparser.Error:
            continue
        if parser.has_section(section) and (not key or parser.has_option(section, key)):
            return True
    try:
        options = tomllib.loads(_text(root / "pyproject.toml")).get("tool", {}).get("pytest", {}).get("ini_options")
    except tomllib.TOMLDecodeError:
        return False
    return options is not None and (not key or key in options)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
