"""The `swarm` command: registers the commands, prints errors, picks exit codes."""

from __future__ import annotations

import os
import sys

import click
import typer

from swarm.cli import (
    apply,
    bench,
    doctor,
    explain,
    report,
    rollback,
    run,
    runs,
    scan,
    validate,
)
from swarm.core.errors import BUG_EXIT_CODE, SwarmError

app = typer.Typer(
    name="swarm",
    help="Sends a swarm of specialist agents at a Python webhook service and comes back with proven patches.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for module in (run, scan, bench, apply, rollback, report, runs, validate, explain, doctor):
    app.command(module.NAME)(module.command)


def main(argv: list[str] | None = None) -> None:
    """Entry point; ends the process with the contract's exit code."""
    sys.exit(guarded(argv))


def guarded(argv: list[str] | None = None) -> int:
    """Run one command and give its exit code; every error becomes plain lines on stderr."""
    try:
        code = app(args=argv, prog_name="swarm", standalone_mode=False)
    except click.exceptions.Abort:
        return _say("interrupted", 130)
    except click.ClickException as error:
        return _say(f"{error.format_message()}\nsee: swarm --help", 2)
    except SwarmError as error:
        if os.environ.get("SWARM_DEBUG") == "1":
            raise
        return _say(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _say("interrupted", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("SWARM_DEBUG") == "1":
            raise
        words = f"{type(error).__name__}: {error}".splitlines()[0]
        return _say(
            f"a bug of swarm's: {words}\nplease report it; SWARM_DEBUG=1 shows where it happened",
            BUG_EXIT_CODE,
        )
    return code if isinstance(code, int) else 0


def _say(message: str, code: int) -> int:
    for line in message.splitlines():
        sys.stderr.write(f"swarm: {line}\n")
    return code
