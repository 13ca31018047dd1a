"""What whole runs are started with: the commands in this process, as in the tests of the commands."""

from __future__ import annotations

from tests.cli.conftest import cli, shortened

__all__ = ["cli", "shortened"]
