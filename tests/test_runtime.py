"""The composition root: what parts are handed, and that no secret passes them."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

from swarm.config.choice import Choice, choose
from swarm.console.choose import choose_console
from swarm.core.chat import Usage
from swarm.core.events import Event, GateFinished, Note, Progress, ToolFinished
from swarm.runtime import SystemClock, make_parts
from swarm.target.processes.scratch import remove_folder

IN_TARGET, IN_SHELL = "hush-of-the-target", 'k"ey\\of-the-shell'
EVENTS: tuple[Event, ...] = (
    Progress(f"starts with {IN_TARGET}"),
    ToolFinished("one", "read_file", 0.1, False, f"found {IN_SHELL}, then {IN_TARGET}"),
    GateFinished("starts", (f"001-{IN_TARGET}",), False, f"log: {IN_SHELL}", 0.2),
    Note(f"{IN_TARGET} {IN_SHELL}"),
)


@pytest.fixture
def choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Choice:
    monkeypatch.setenv("SOME_API_KEY", IN_SHELL)
    (tmp_path / "agents.yaml").write_text(
        f"version: 1\ntargets:\n  one:\n    path: .\n    start: 'true'\n    env: {{HOOK_SECRET: {IN_TARGET}}}\n"
    )
    return choose(None, tmp_path / "agents.yaml", here=tmp_path)


@pytest.mark.parametrize("how", [{"json_lines": True}, {"quiet": True}, {}])
def test_no_secret_reaches_console_or_journal(how: dict[str, bool], choice: Choice, tmp_path: Path) -> None:
    out = io.StringIO()
    console = choose_console(out, SystemClock(), os.environ, **how)
    parts = make_parts(choice, "offline", "run-1", console, tmp_path / "run")
    remove_folder(parts.scratch)
    for event in EVENTS:
        parts.emit(event)
    console.close()
    parts.journal.close()  # type: ignore[attr-defined]
    journal = (tmp_path / "run" / "journal.jsonl").read_text()
    for text in (out.getvalue(), journal):
        assert "«masked»" in text or "\\u00abmasked" in text
        for secret in (IN_TARGET, IN_SHELL, json.dumps(IN_SHELL)[1:-1]):
            assert secret not in text
    assert len(journal.splitlines()) == len(EVENTS)


def test_a_price_table_of_the_users_own(choice: Choice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = "{input: 7, output: 0, cache_write_5m: 0, cache_write_1h: 0, cache_read: 0}"
    (tmp_path / "prices.yaml").write_text(f"models:\n  house-model: {rates}\n")
    monkeypatch.setenv("SWARM_PRICES", str(tmp_path / "prices.yaml"))
    parts = make_parts(choice, "offline", "run-2", lambda event: None, tmp_path / "run")
    remove_folder(parts.scratch)
    parts.journal.close()  # type: ignore[attr-defined]
    assert parts.prices.cost_usd("house-model", Usage(1_000_000)) == 7
    assert parts.prices.cost_usd("unheard-of", Usage(1_000_000)) is None
