"""Keeps a child's output in a file of bounded size: its beginning on disk, its newest end in memory."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from pathlib import Path
from typing import IO

HEAD_BYTES = 2_000_000
TAIL_BYTES = 256_000


class BoundedLog:
    """Drains a pipe in a thread, so that a child never blocks on its own output.

    The first `head_bytes` go to `path`; of what comes after, the last `tail_bytes` are kept and appended to
    the file when the log is closed.
    """

    def __init__(
        self, pipe: IO[bytes], path: Path, *, head_bytes: int = HEAD_BYTES, tail_bytes: int = TAIL_BYTES
    ) -> None:
        self.path = path
        self.total_bytes = 0
        self._pipe = pipe
        self._head_bytes = head_bytes
        self._tail_bytes = tail_bytes
        self._head_written = 0
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb", buffering=0)
        self._thread = threading.Thread(target=self._drain, name=f"log {path.name}", daemon=True)
        self._thread.start()

    @property
    def truncated(self) -> bool:
        """Whether something of the middle was dropped."""
        return self.total_bytes > self._head_written + self._tail_size

    def text(self) -> str:
        """Everything kept so far."""
        with self._lock:
            head = self.path.read_bytes() if self.path.exists() else b""
            if self._file.closed:  # the end is in the file by now
                return head.decode("utf-8", "replace")
            return _join(head, self._dropped(), b"".join(self._tail))

    def close(self) -> None:
        """Take what is still in the pipe (the writers are dead by now) and close the file."""
        self._thread.join(timeout=1.0)
        with self._lock:
            if self._file.closed:
                return
            self._file.write(_join(b"", self._dropped(), b"".join(self._tail)).encode())
            self._file.close()
        if not self._thread.is_alive():
            self._pipe.close()

    def _dropped(self) -> int:
        return self.total_bytes - self._head_written - self._tail_size

    def _drain(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while chunk := os.read(self._pipe.fileno(), 65536):
                with self._lock:
                    self._keep(chunk)

    def _keep(self, chunk: bytes) -> None:
        self.total_bytes += len(chunk)
        if self._file.closed:
            return
        room = self._head_bytes - self._head_written
        if room > 0:
            self._file.write(chunk[:room])
            self._head_written += len(chunk[:room])
            chunk = chunk[room:]
        if not chunk:
            return
        self._tail.append(chunk[-self._tail_bytes :])
        self._tail_size += len(self._tail[-1])
        while self._tail_size > self._tail_bytes:
            excess = self._tail_size - self._tail_bytes
            first = self._tail.popleft()
            if len(first) > excess:
                self._tail.appendleft(first[excess:])
            self._tail_size -= min(excess, len(first))


def _join(head: bytes, dropped: int, tail: bytes) -> str:
    text = head.decode("utf-8", "replace")
    if dropped:
        text += f"\n… {dropped} bytes left out …\n"
    return text + tail.decode("utf-8", "replace")
