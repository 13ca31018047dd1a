"""A run's folder: what is written, whole or not at all, and read back."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from swarm.core.errors import UsageError
from swarm.core.report import Report
from swarm.reporting.catalogue import all_formats
from swarm.reporting.folder import load_report, point_latest, write_file, write_run


def test_the_contracts_files_are_there(report: Report, tmp_path: Path) -> None:
    folder = tmp_path / "reports" / report.run.id
    written = write_run(report, folder, extras={"transcripts/api_optimizer.jsonl": "{}\n"})
    wanted = [
        "report.json",
        "report.md",
        "report.html",
        "findings.sarif",
        "patterns.md",
        "agents.reusable.yaml",
        "benchmarks.json",
        "patches/series",
        "patches/001-sequential-awaits-orders.patch",
        "combined.patch",
        "rejected/005-n-plus-one-db.patch",
        "transcripts/api_optimizer.jsonl",
    ]
    assert set(wanted) <= set(written)
    on_disk = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert on_disk == set(written)
    assert (folder.parent / "latest").resolve() == folder.resolve()


def test_json_and_folder_agree_on_patches(report: Report, tmp_path: Path) -> None:
    write_run(report, tmp_path / "run")
    document = json.loads((tmp_path / "run" / "report.json").read_text())
    named = {patch["file"] for patch in document["patches"]}
    assert named == {str(file.relative_to(tmp_path / "run")) for file in tmp_path.glob("run/*/*.patch")}
    assert named


def test_round_trip(report: Report, tmp_path: Path) -> None:
    write_run(report, tmp_path / "run")
    assert load_report(tmp_path / "run") == report


def test_every_format_renders_the_same_again(hostile: Report, tmp_path: Path) -> None:
    write_run(hostile, tmp_path / "run")
    again = load_report(tmp_path / "run")
    for item in all_formats():
        assert item.render(again) == item.render(again)
    assert all(f.render(load_report(tmp_path / "run")) == f.render(again) for f in all_formats())


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "no JSON"), ("[]", "schema"), ('{"schema": 2}', "schema 2"), ('{"schema": 1}', "whole report")],
)
def test_a_broken_report_is_told_in_one_line(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(UsageError, match=words):
        load_report(tmp_path)


def test_latest_moves_and_survives_without_links(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        point_latest(tmp_path / name)
        assert (tmp_path / "latest").resolve() == tmp_path / name

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    point_latest(tmp_path / "one")
    assert (tmp_path / "latest").read_text() == "one\n"


@pytest.mark.parametrize("name", ["../out", "/etc/x", "a/../../b", "", "a\\b"])
def test_no_file_leaves_the_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no path inside"):
        write_file(tmp_path / "run", name, "x")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(tmp_path, "a.txt", "old")

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        write_file(tmp_path, "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_that_cannot_be_written_names_the_mend(report: Report, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="--out DIR"):
        write_run(report, tmp_path / "file" / "run")


def test_secrets_are_masked_outside_of_patches(report: Report, tmp_path: Path) -> None:
    finding = replace(report.findings[0], evidence="key = 'sesame-4711'")
    leaky = replace(report, findings=(finding,), load_note="with sesame-4711")
    write_run(
        leaky,
        tmp_path / "run",
        extras={"transcripts/a.jsonl": "sesame-4711"},
        mask=lambda text: text.replace("sesame-4711", "•••"),
    )
    for path in (tmp_path / "run").rglob("*"):
        if path.is_file():
            assert b"sesame-4711" not in path.read_bytes(), path
    assert os.path.islink(tmp_path / "latest")  # noqa: PTH114
