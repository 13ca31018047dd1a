"""Plain words on stdout."""

from __future__ import annotations

import sys


def say(line: str = "") -> None:
    """One line."""
    sys.stdout.write(line + "\n")


def next_command(words: str) -> None:
    """The next command to type: the last line of every command."""
    say(f"next: {words}")
