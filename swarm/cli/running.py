"""Carries out `swarm run`: console, run, folder, exit code."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

from swarm.config.choice import Choice, choose
from swarm.console.choose import choose_console
from swarm.core.errors import SwarmError, UsageError
from swarm.core.events import RunFinished
from swarm.core.fail_on import check_fail_on, reasons_to_fail
from swarm.core.patches import Accepted
from swarm.core.ports import EventSink
from swarm.core.report import Report
from swarm.models.choose import choose_provider
from swarm.runtime import RunWords, known_secrets, make_mask, make_parts, make_request, new_run_id


@dataclass(frozen=True, slots=True)
class Words:
    """The command line of `swarm run`."""

    target: str | None
    config: Path | None
    swarm: str | None
    out: Path
    fail_on: tuple[str, ...]
    apply: bool
    json: bool
    quiet: bool
    run: RunWords


def run_swarm(words: Words) -> int:
    """Run, write the folder, tell the result; gives the exit code."""
    check_fail_on(words.fail_on)
    if words.run.pattern not in (None, "parallel", "sequential", "single"):
        raise UsageError(f"--pattern {words.run.pattern!r} is unknown; use parallel, sequential or single")
    choice = choose(words.target, words.config, words.swarm)
    provider, reason = choose_provider(words.run.provider, os.environ)
    check_writable(words.out)
    run_id = new_run_id(choice.target_name)
    folder = words.out / run_id
    console = choose_console(json=words.json, quiet=words.quiet)
    request = make_request(choice, words.run, run_id, provider, reason)
    with console:
        parts = make_parts(choice, provider, run_id, console, folder)
        try:
            report, early = asyncio.run(_execute(request, parts))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            shutil.rmtree(parts.scratch, ignore_errors=True)
        return _finish(words, choice, report, early, folder, console)


async def _execute(request: object, parts: object) -> tuple[Report, SwarmError | None]:
    from swarm.coordinator.run import Run

    run = Run(request, parts)  # type: ignore[arg-type]
    task = asyncio.ensure_future(run.execute())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    report = await task
    return report, run.state.early


def _finish(
    words: Words, choice: Choice, report: Report, early: SwarmError | None, folder: Path, console: EventSink
) -> int:
    from swarm.reporting.folder import write_run
    from swarm.reporting.masking import masked

    mask = make_mask(known_secrets(choice.target.env, os.environ))
    report = masked(report, mask)
    write_run(report, folder)
    reasons = reasons_to_fail(words.fail_on, report)
    code = early.exit_code if early else 1 if reasons else 0
    accepted = sum(isinstance(judged.verdict, Accepted) for judged in report.patches)
    console(
        RunFinished(
            report.run.id, report.run.status, str(folder), accepted,
            len(report.patches) - accepted, report.run.duration_s, code,
        )
    )  # fmt: skip
    if words.apply and accepted and not early:
        from swarm.cli.applying import apply_run

        apply_run(folder, choice, only=(), branch=None, commit=False, check=False)
    if hasattr(console, "summary"):
        console.summary(report, folder, reasons)
    return code


def check_writable(out: Path) -> None:
    """Raise UsageError where reports cannot be written, before any work is done."""
    probe = out / f".swarm-{os.getpid()}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(
            f"cannot write reports to {out} ({error.strerror}); name another folder with --out"
        ) from None
