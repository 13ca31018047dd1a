"""Plain words on stdout."""

from __future__ import annotations

import os
import sys


def say(line: str = "") -> None:
    """One line."""
    try:
        sys.stdout.write(line + "\n")
    except BrokenPipeError:  # the reader had enough, as `head` has; the command and its exit code go on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def next_command(words: str) -> None:
    """The next command to type: the last line of every command."""
    say(f"next: {words}")
