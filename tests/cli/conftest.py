"""What the tests of the commands share: a place of their own to run in, and a run folder to apply."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from swarm.cli.main import guarded
from swarm.core.patches import Accepted, FileChange, GateResult, JudgedPatch, Patch, Rejected
from swarm.core.report import Report, RunInfo
from swarm.reporting.folder import write_run
from tests.cli.short import SHORTENED
from tests.cli.tiny import write_service


@pytest.fixture
def shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements as short as can be, in this process."""
    for place, value in SHORTENED.items():
        monkeypatch.setattr(place, value)


@dataclass(frozen=True, slots=True)
class Said:
    """What a command gave: its exit code and words."""

    code: int
    out: str
    err: str


Cli = Callable[..., Said]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """Runs a command in this process, in `tmp_path`, with a scratch root of its own."""
    monkeypatch.chdir(tmp_path)
    scratch = tmp_path.parent / f"{tmp_path.name}-scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))

    def run(*words: str) -> Said:
        capsys.readouterr()
        code = guarded(list(words))
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run


LINES = "".join(f"line {number}\n" for number in range(1, 31))
CRLF = "first\r\nsecond\r\nthird\r\n"


def patch(number: int, slug: str, *changes: FileChange) -> Patch:
    return Patch(f"{number:03d}-{slug}", f"Mend {slug}", slug, "api", (), "api", f"Why {slug}.", changes)


FIRST = LINES.replace("line 5\n", "line five\n")
SECOND = FIRST.replace("line 25\n", "line 25\nline 25 and a half\n")
PATCHES = (
    patch(1, "first-lines", FileChange("app.txt", LINES, FIRST)),
    patch(2, "new-file", FileChange("app.txt", FIRST, SECOND), FileChange("more/new.txt", None, "brand new\n")),
    patch(
        3, "line-ends",
        FileChange("dos.txt", CRLF, CRLF.replace("second", "zweite")),
        FileChange("more/new.txt", "brand new\n", "brand new\nand newer\n"),
    ),
)  # fmt: skip


@pytest.fixture
def applicable(tmp_path: Path) -> Path:
    """A service, and in `reports/` a run of it with three accepted patches, the third on a file with CRLF ends."""
    write_service(tmp_path)
    (tmp_path / "app.txt").write_bytes(LINES.encode())
    (tmp_path / "dos.txt").write_bytes(CRLF.encode())
    gate = (GateResult("applies", True, "fits"),)
    info = RunInfo(
        "20260101-000000-tiny-abcd", "2026-01-01T00:00:00Z", "2026-01-01T00:00:09Z", 9.0, "default_swarm", "tiny",
        "parallel", "offline (no key)", "complete",
    )  # fmt: skip
    lost = JudgedPatch(replace(PATCHES[0], id="004-lost"), Rejected("replay", "answers differ", gate))
    report = Report(info, patches=(*(JudgedPatch(one, Accepted(gate)) for one in PATCHES), lost))
    write_run(report, tmp_path / "reports" / info.id)
    return tmp_path
