"""Known holes of packages: OSV entries read, versions placed in their ranges, and the probe that tells of them."""

from __future__ import annotations

import json
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swarm.core.errors import TargetError
from swarm.core.place import TargetPlace
from swarm.probes.surface.known_holes import KnownHoles
from swarm.target.advisories import load_advisories
from swarm.target.dependencies import declared, versions


def advisory(name: str, *events: dict[str, str], **more: Any) -> dict[str, Any]:
    affected = {
        "package": {"ecosystem": more.pop("ecosystem", "PyPI"), "name": name},
        "ranges": [{"type": "ECOSYSTEM", "events": list(events)}],
        "versions": more.pop("versions", []),
    }
    return {
        "id": "GHSA-made-up",
        "modified": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "affected": [affected],
        **more,
    }


def place(folder: Path, advisories: Path | None = None) -> TargetPlace:
    return TargetPlace("made", folder, folder, folder, Path(sys.executable), advisories)


@pytest.mark.parametrize(
    ("events", "hit", "free"),
    [
        (({"introduced": "0"}, {"fixed": "3.1.6"}), ("3.1.5", "1.0", "3.1.6rc1"), ("3.1.6", "4.0")),
        (({"introduced": "2.0"}, {"fixed": "2.3"}, {"introduced": "3.0"}, {"fixed": "3.1"}),
         ("2.0", "2.2.9", "3.0.1"), ("1.9", "2.3", "2.9", "3.1")),
        (({"introduced": "1.0"}, {"last_affected": "1.4"}), ("1.4", "1.0"), ("1.4.1", "0.9")),
        (({"introduced": "1.5"},), ("1.5", "99"), ("1.4",)),
        (({"fixed": "3.1"}, {"introduced": "3.0"}), ("3.0.5",), ("3.1", "2.0")),
    ],
)  # fmt: skip
def test_versions_in_their_ranges(
    tmp_path: Path, events: tuple[dict[str, str], ...], hit: tuple[str, ...], free: tuple[str, ...]
) -> None:
    (tmp_path / "a.json").write_text(json.dumps(advisory("Made_Up", *events)))
    known = load_advisories(tmp_path / "a.json")
    assert [v for v in (*hit, *free) if known.holes("made-up", v)] == list(hit)


def test_folders_lists_and_zips_are_read_and_others_left_out(tmp_path: Path) -> None:
    entries = [
        advisory("one", {"introduced": "0"}, {"fixed": "2"}, aliases=["CVE-2026-1"],
                 database_specific={"severity": "HIGH"}),
        advisory("two", {"introduced": "0"}, withdrawn="2026-01-01T00:00:00Z"),
        advisory("three", {"introduced": "0"}, ecosystem="npm"),
        advisory("four", versions=["1.0-odd!"]),
    ]  # fmt: skip
    folder = tmp_path / "osv"
    folder.mkdir()
    for number, entry in enumerate(entries):
        (folder / f"{number}.json").write_text(json.dumps(entry))
    (tmp_path / "list.json").write_text(json.dumps(entries))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("x.json", json.dumps(entries))
    for path in (folder, tmp_path / "list.json", tmp_path / "all.zip"):
        known = load_advisories(path)
        assert (known.count, sorted(known.by_package)) == (2, ["four", "one"])
        (hole,) = known.holes("ONE", "1.9")
        assert str(hole) == "one 1.9: CVE-2026-1 (high; fixed in 2)"
        assert known.holes("four", "1.0-odd!") and not known.holes("four", "1.1")
    with pytest.raises(TargetError, match="no JSON"):
        (tmp_path / "broken.json").write_text("{")
        load_advisories(tmp_path / "broken.json")


def test_what_is_declared(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("Flask==2.0.1  # old\n-r more.txt\nhttpx>=0.27\n\n./local\n")
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["pydantic[email]~=2.7"]\noptional-dependencies = {db = ["SQLAlchemy>=2"]}\n'
    )
    assert declared(place(tmp_path)) == {"flask": "2.0.1", "httpx": "", "pydantic": "", "sqlalchemy": ""}


async def test_the_interpreter_tells_versions_of_all_that_is_needed(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("httpx\nnobody-has-this==1.2\n")
    found = await versions(place(tmp_path))
    assert found["httpx"] == metadata.version("httpx") and found["h11"] == metadata.version("h11")
    assert found["nobody-has-this"] == "1.2" and "pytest" not in found


@pytest.mark.parametrize(
    ("fixed", "age_days", "outcome", "words"),
    [
        ("999", 1, "failed", "fixed in 999"),
        ("0.1", 1, "passed", "none of 1 advisories"),
        ("999", 200, "skipped", "older than 90 days"),
        (None, 1, "skipped", "no advisory database"),
    ],
)
async def test_the_probe(tmp_path: Path, fixed: str | None, age_days: int, outcome: str, words: str) -> None:
    (tmp_path / "requirements.txt").write_text("httpx\n")
    database = None
    if fixed is not None:
        database = tmp_path / "osv.json"
        modified = f"{datetime.now(UTC) - timedelta(days=age_days):%Y-%m-%dT%H:%M:%SZ}"
        database.write_text(json.dumps(advisory("httpx", {"introduced": "0"}, {"fixed": fixed}, modified=modified)))
    result = await KnownHoles().run(SimpleNamespace(place=place(tmp_path, database)))  # type: ignore[arg-type]
    assert (result.outcome, words in result.evidence) == (outcome, True), result.evidence


async def test_what_an_auditing_tool_reports_is_no_database_and_the_probe_says_what_is(tmp_path: Path) -> None:
    report = tmp_path / "audit.json"
    vulnerable = {"name": "flask", "version": "0.5", "vulns": [{"id": "PYSEC-2019-179", "fix_versions": ["1.0"]}]}
    report.write_text(json.dumps({"dependencies": [vulnerable], "fixes": []}))
    result = await KnownHoles().run(SimpleNamespace(place=place(tmp_path, report)))  # type: ignore[arg-type]
    assert result.outcome == "skipped" and "\n" not in result.evidence
    assert "audit.json holds no OSV advisory" in result.evidence and "all.zip" in result.evidence
