from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swarm.core.errors import ToolFailed
from swarm.tools.reading.list_files import ListFiles, ListFilesArguments
from swarm.tools.reading.read_file import ReadFile, ReadFileArguments
from swarm.tools.reading.search_code import SearchCode, SearchCodeArguments
from swarm.tools.running.read_error_log import ReadErrorLog
from swarm.tools.tool import Arguments
from swarm.tools.workbench import Workbench
from tests.fakes import workbench


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    root = tmp_path / "target"
    (root / "app" / "__pycache__").mkdir(parents=True)
    (root / "app" / "main.py").write_text("".join(f"line {n}\n" for n in range(1, 1001)))
    (root / "app" / "__pycache__" / "x.pyc").write_bytes(b"\0")
    (root / "logo.png").write_bytes(b"\x89PNG\0\0")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("line of a secret")
    (root / "link").symlink_to(outside)
    (root / "link.txt").symlink_to(outside / "secret.txt")
    return workbench(root)


@pytest.mark.parametrize(
    "path", ["../outside/secret.txt", "/etc/passwd", "link/secret.txt", "link.txt", "app/../../outside/secret.txt"]
)
async def test_nothing_outside_the_target_is_read(bench: Workbench, path: str):
    with pytest.raises(ToolFailed, match="leads out"):
        await ReadFile().run(ReadFileArguments(file=path), bench)


@pytest.mark.parametrize(("path", "words"), [("none.py", "does not exist"), ("logo.png", "no readable text"),
                                             ("app", "no readable text"), ("a\0b", "no usable path")])  # fmt: skip
async def test_what_cannot_be_read_is_said(bench: Workbench, path: str, words: str):
    with pytest.raises(ToolFailed, match=words):
        await ReadFile().run(ReadFileArguments(file=path), bench)


async def test_reads_a_range_and_no_more_than_its_cap(bench: Workbench):
    text = (await ReadFile().run(ReadFileArguments(file="app/main.py", first_line=3, last_line=4), bench)).text
    assert text == "app/main.py, lines 3 to 4 of 1000\n3: line 3\n4: line 4"
    text = (await ReadFile().run(ReadFileArguments(file="app/main.py"), bench)).text
    assert text.startswith("app/main.py, lines 1 to 400 of 1000")


async def test_lists_files_but_not_caches_nor_what_links_lead_to(bench: Workbench):
    answer = json.loads((await ListFiles().run(ListFilesArguments(), bench)).text)
    assert [entry.split(" ")[0] for entry in answer["files"]] == ["app/main.py", "logo.png"]


async def test_searches_literal_text_inside_only(bench: Workbench):
    answer = json.loads((await SearchCode().run(SearchCodeArguments(text="line 99"), bench)).text)
    assert answer["hits"][0] == "app/main.py:99: line 99"
    assert len(answer["hits"]) == 11 and not answer["more"]
    answer = json.loads((await SearchCode().run(SearchCodeArguments(text="line"), bench)).text)
    assert len(answer["hits"]) == 100 and answer["more"]
    assert "secret" not in repr(answer)
    answer = json.loads((await SearchCode().run(SearchCodeArguments(text="(a+)+$", files="*.py"), bench)).text)
    assert answer["hits"] == []


async def test_secrets_are_masked_before_anything_is_cut_or_folded(tmp_path: Path):
    secret = "hook-secret-5d1f"
    (tmp_path / "a.py").write_text(f"{'x' * 390}{secret}\n")
    (tmp_path / "b.py").write_text(f"{'y' * 190}{secret} tail\n")
    bench = workbench(tmp_path)
    bench.mask = lambda text: text.replace(secret, "«masked»")

    async def samples() -> tuple[Any, ...]:
        return ()

    async def baseline() -> Any:
        return SimpleNamespace(server=SimpleNamespace(log_text=lambda: f"ERROR signed with {secret}\n"))

    bench.samples, bench.baseline = samples, baseline  # type: ignore[method-assign, assignment]
    read = await ReadFile().run(ReadFileArguments(file="a.py"), bench)
    found = await SearchCode().run(SearchCodeArguments(text="yyy"), bench)
    told = await ReadErrorLog().run(Arguments(), bench)
    for text in (read.text, found.text, told.text):
        assert "hook-secret" not in text
    assert "«masked»" in told.text
    nothing = await SearchCode().run(SearchCodeArguments(text=secret), bench)
    assert '"hits":[]' in nothing.text  # nor can one be guessed
