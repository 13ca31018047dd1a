"""The journal of a run: JSON lines in its folder, on disk before what they hold is used."""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from swarm.core.appended import cut_torn_line
from swarm.core.errors import UsageError
from swarm.core.events import Event
from swarm.core.masking import field_names

NAME = "journal.jsonl"
_CHEAP = frozenset({"asked", "result"})
_SYNC_EVERY_S = 0.05
_ENCODE = json.JSONEncoder(ensure_ascii=False, default=str).encode
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


class FileJournal:
    """Writes `journal.jsonl`, and each agent's own records to `transcripts/<agent>.jsonl` as well.

    It holds a lock on the file while it is open: two swarms never go on with one run. Raises UsageError.
    """

    def __init__(self, folder: Path, mask: Callable[[str], str]) -> None:
        self._mask = mask
        self._folder = folder
        self._files: dict[str, IO[str]] = {}
        self._synced_s = -1.0
        try:
            (folder / "transcripts").mkdir(parents=True, exist_ok=True)
            # half characters, as names of files may have, become the escapes that JSON has for them
            self._journal = (folder / NAME).open("a", encoding="utf-8", errors="backslashreplace")
            fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
            cut_torn_line(folder / NAME)
        except BlockingIOError:
            raise UsageError(f"{folder.name} is still running; wait for its end, or stop it first") from None
        except OSError as error:
            raise UsageError(
                f"cannot write reports to {folder.parent} ({error.strerror}); name another folder with --out"
            ) from None

    def append(self, kind: str, record: Mapping[str, Any]) -> None:
        """Write one record. It outlives this process at once, and a loss of power soon.

        All is brought to disk at most twenty times a second: sixty agents at once would wait for each other's syncs
        otherwise. A result of a tool waits for the next turn: at worst the tool runs once more.
        So does that a provider is asked: at worst that turn is in no sum.
        """
        line = self._mask(_ENCODE({"kind": kind, **record})) + "\n"
        self._journal.write(line)
        self._journal.flush()
        if kind not in _CHEAP and time.monotonic() - self._synced_s > _SYNC_EVERY_S:
            os.fsync(self._journal.fileno())
            self._synced_s = time.monotonic()
        agent = record.get("agent")
        if isinstance(agent, str) and agent:
            transcript = self._transcript(agent)
            transcript.write(line)
            transcript.flush()

    def event(self, event: Event) -> None:
        """Keep an event: out of this process at once, so a killed run has it, but with no sync of its own."""
        own = {name: getattr(event, name) for name in field_names(type(event))}
        self._journal.write(self._mask(_ENCODE({"kind": "event", "event": type(event).__name__, **own})) + "\n")
        self._journal.flush()

    def close(self) -> None:
        """Close every file."""
        if not self._journal.closed:
            os.fsync(self._journal.fileno())
        for file in (self._journal, *self._files.values()):
            file.close()

    def _transcript(self, agent: str) -> IO[str]:
        name = _UNSAFE.sub("-", agent)
        if name not in self._files:
            path = self._folder / "transcripts" / f"{name}.jsonl"
            cut_torn_line(path)
            self._files[name] = path.open("a", encoding="utf-8", errors="backslashreplace")
        return self._files[name]


def is_being_written(folder: Path) -> bool:
    """Whether a swarm holds the journal of the run open."""
    with (folder / NAME).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def read_journal(folder: Path) -> list[dict[str, Any]]:
    """The whole records of a run's journal, in order; what was being written when it was killed is left out.

    Raises UsageError where there is none.
    """
    try:
        text = (folder / NAME).read_text(encoding="utf-8", errors="replace")
    except OSError:
        raise UsageError(f"{folder.name} has no {NAME}: nothing to go on with; start anew with: swarm run") from None
    records = []
    for line in text.split("\n")[:-1]:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records
