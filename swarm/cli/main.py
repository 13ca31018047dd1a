"""The `swarm` command: registers the commands, prints errors, picks exit codes."""

from __future__ import annotations

import contextlib
import os
import sys

import typer

from swarm.cli.commands import (
    apply,
    bench,
    compare,
    doctor,
    explain,
    init,
    report,
    resume,
    rollback,
    run,
    runs,
    scan,
    validate,
)
from swarm.core.errors import BUG_EXIT_CODE, Interrupted, SwarmError, UsageError

app = typer.Typer(
    name="swarm",
    help="Sends a swarm of specialist agents at a Python webhook service and comes back with proven patches.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for module in (run, scan, bench, apply, rollback, report, compare, resume, runs, init, validate, explain, doctor):
    app.command(module.NAME, short_help=module.SHORT)(module.command)


# By its version, typer raises the errors of the click installed or of one that it brings along.
_WRONG_WORDS = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
_HELP_SHOWN = "NoArgsIsHelpError"
_LINES_SHOWN = 2


def main(argv: list[str] | None = None) -> None:
    """Entry point; ends the process with the contract's exit code."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115,PTH123 - for the process's life
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    code = guarded(argv)
    if not _flushed():
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def guarded(argv: list[str] | None = None) -> int:
    """Run one command and give its exit code; every error becomes plain lines on stderr."""
    try:
        code = app(args=argv, prog_name="swarm", standalone_mode=False)
    except SwarmError as error:
        return _expected(error)
    except (typer.Abort, KeyboardInterrupt):
        return _say(["interrupted"], Interrupted.exit_code)
    except (BrokenPipeError, SystemExit):  # typer makes an exit of a reader that left while help was shown
        return 0
    except Exception as error:  # noqa: BLE001 - told as a bug of ours
        if isinstance(error, _WRONG_WORDS):
            return _wrong_words(error)
        return _bug(error)
    return code if isinstance(code, int) else 0


def _expected(error: SwarmError) -> int:
    if os.environ.get("SWARM_DEBUG") == "1":
        raise error
    lines = str(error).splitlines() or [type(error).__name__]
    if not isinstance(error, UsageError) and len(lines) > _LINES_SHOWN:
        lines = [
            lines[0],
            *(f"its last words: {line.strip()}" for line in lines[-1:] if line.strip() not in lines[0]),
        ]
    return _say(lines, error.exit_code)


def _wrong_words(error: Exception) -> int:
    words = str(getattr(error, "message", "")) or str(error)
    context = getattr(error, "ctx", None)
    if type(error).__name__ == _HELP_SHOWN:
        sys.stdout.write(words + "\n")
        return UsageError.exit_code
    format_message = getattr(error, "format_message", None)
    said = str(format_message()) if callable(format_message) else words
    where = getattr(context, "command_path", "swarm")
    return _say([*said.splitlines(), f"see: {where} --help"], UsageError.exit_code)


def _bug(error: Exception) -> int:
    if os.environ.get("SWARM_DEBUG") == "1":
        raise error
    words = f"{type(error).__name__}: {error}".splitlines()[0]
    return _say(
        [f"a bug of swarm's: {words}", "please report it; SWARM_DEBUG=1 shows where it happened"], BUG_EXIT_CODE
    )


def _say(lines: list[str], code: int) -> int:
    with contextlib.suppress(OSError):
        sys.stderr.write("".join(f"swarm: {line}\n" for line in lines))
    return code


def _flushed() -> bool:
    try:
        sys.stdout.flush()
    except OSError:
        return False
    return True
