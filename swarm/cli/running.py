"""Carries out `swarm run`: console, run, folder, exit code."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swarm.cli.applying import apply_run
from swarm.cli.learning import learned
from swarm.cli.run_folders import config_of, config_words, word_for
from swarm.cli.say import say
from swarm.cli.words import Resumed, Words, record_of
from swarm.config.choice import Choice, choose
from swarm.config.schema import Target
from swarm.console.choose import choose_console
from swarm.console.summary import print_summary, summary_lines
from swarm.core.errors import BUG_EXIT_CODE, SwarmError, TargetError, UsageError
from swarm.core.events import PhaseFinished, PhaseStarted, RunFinished
from swarm.core.fail_on import check_fail_on, reasons_to_fail
from swarm.core.masking import masked as mask_strings
from swarm.core.metrics import did_you_mean
from swarm.core.report import PhaseTime, Report
from swarm.models.choose import choose_provider
from swarm.reporting.folder import load_report, write_file, write_run
from swarm.reporting.formats import json as json_format
from swarm.reporting.masking import masked
from swarm.reporting.monitoring.files import write_monitoring
from swarm.reporting.monitoring.thresholds import thresholds_of
from swarm.reporting.readiness import monitoring_lines
from swarm.reporting.verdict import accepted, before_after_rows, verdict_of
from swarm.runtime import SystemClock, make_parts, make_request, make_traffic, new_run_id
from swarm.target.processes.scratch import remove_folder
from swarm.target.running.commandline import check_commands
from swarm.target.traffic import Traffic
from swarm.target.tree.place import resolve_place

if TYPE_CHECKING:
    from swarm.coordinator.run import Run
    from swarm.coordinator.state import Parts, RunRequest

PATTERNS = ("parallel", "sequential", "single")


def run_swarm(words: Words, resumed: Resumed | None = None) -> int:
    """Run, or go on with a run; write the folder, tell the result; gives the exit code."""
    check_words(words)
    choice = choose(words.target, words.config, words.swarm)
    provider, reason = choose_provider(
        words.run.provider, os.environ, record=words.run.record, replay=words.run.replay
    )
    run_id = resumed.run_id if resumed else new_run_id(choice.target_name)
    folder = words.out / run_id
    clock = SystemClock()
    request = make_request(choice, words.run, run_id, provider, reason)
    check_workable(choice.target_name, choice.target, choice.folder)
    check_writable(words.out)
    with contextlib.closing(
        choose_console(sys.stdout, clock, os.environ, json_lines=words.json, quiet=words.quiet)
    ) as console:
        traffic = make_traffic(request, words.run, going_on=resumed is not None)
        parts = make_parts(choice, provider, run_id, console, folder, resumed.records if resumed else (), traffic)
        try:
            if resumed is None:
                parts.journal.append("words", record_of(words, provider))
            whole = measured_whole(folder, resumed.records) if resumed else None
            report, early = (whole, None) if whole else asyncio.run(_execute(request, parts))
        except SwarmError as error:
            if resumed is None:  # what an earlier attempt has done is worth keeping
                shutil.rmtree(folder, ignore_errors=True)
            error.args = mask_strings(error.args, parts.mask)
            raise
        finally:
            remove_folder(parts.scratch)
        with _undisturbed():
            if early is None and whole is None:
                keep_whole(report, folder, parts)
            report = write_folder(report, folder, parts)
        reasons = reasons_to_fail(words.fail_on, report)
        code = exit_code(early, reasons)
        kept = len(accepted(report))
        parts.emit(
            RunFinished(
                run_id, report.run.status, str(folder), kept, len(report.patches) - kept, report.run.duration_s, code
            )
        )
    if not words.json:
        _summary(report, folder, reasons, choice, words.out, resumable=isinstance(early, SwarmError))
    if early is not None:
        early.args = mask_strings(early.args, parts.mask)
        _tell_early(early)
    elif words.apply and kept:
        apply_run(folder, report, choice, only=(), branch=None, commit=False, check=False)
        if not words.json:
            say(f"applied; take back with: swarm rollback {word_for(folder, words.out)}")
    return code


def check_words(words: Words) -> None:
    """Raise UsageError for options that cannot be."""
    check_fail_on(words.fail_on)
    pattern = words.run.pattern
    if pattern not in (None, *PATTERNS):
        raise UsageError(
            f"--pattern {pattern!r} is unknown{did_you_mean(pattern, PATTERNS)}; use one of {', '.join(PATTERNS)}"
        )
    if words.run.record and words.run.replay:
        raise UsageError("--record and --replay: a replayed run has nothing new to keep; leave one of them out")
    limits = {
        "--deadline": words.run.deadline_s, "--budget-usd": words.run.budget_usd,
        "--budget-tokens": words.run.budget_tokens,
    }  # fmt: skip
    for name, value in limits.items():
        if value is not None and not (math.isfinite(value) and value > 0):
            raise UsageError(f"{name} {value:g} must be more than 0; leave it out for no limit")


def exit_code(early: Exception | None, reasons: tuple[str, ...]) -> int:
    """The contract's, by what ended the run early and which `--fail-on` hold."""
    if isinstance(early, SwarmError):
        return early.exit_code
    return BUG_EXIT_CODE if early else 1 if reasons else 0


def _tell_early(early: Exception) -> None:
    """What ended the run is an error for stderr; a bug is raised again, now that its report is written."""
    if not isinstance(early, SwarmError):
        raise early
    sys.stderr.write(f"swarm: {str(early).splitlines()[0]}\n")


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Let no Ctrl-C end the half second in which the reports are written: what was done would be lost."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def keep_whole(report: Report, folder: Path, parts: Parts) -> None:
    """The report alone, and a word in the journal: whatever happens from here on, nothing is measured again."""
    write_file(folder, json_format.FILENAME, json_format.render(masked(report, parts.mask)))
    parts.journal.append("whole", {})


def measured_whole(folder: Path, records: Sequence[Mapping[str, Any]]) -> Report | None:
    """The report of a run that was cut off while the rest of its files were written; None for any other."""
    if any(record.get("kind") == "whole" for record in records):
        with contextlib.suppress(SwarmError):
            return load_report(folder)
    return None


def write_folder(report: Report, folder: Path, parts: Parts) -> Report:
    """Monitoring first (its validation stands in the report), then every file; gives the masked report."""
    began_s = parts.clock.now_s()
    parts.emit(PhaseStarted("monitoring"))
    report = masked(report, parts.mask)
    files = write_monitoring(report, folder, thresholds_of(report))
    took_s = parts.clock.now_s() - began_s
    by = ", ".join(files.validated_by) or "not validated: promtool is not installed"
    parts.emit(PhaseFinished("monitoring", took_s, f"{len(files.files)} files; {by}"))
    phases = (*report.phases, PhaseTime("monitoring", round(took_s, 3)))
    report = replace(report, monitoring=files, phases=phases)
    report = replace(report, readiness=(*report.readiness, *monitoring_lines(report)))
    parts.emit(PhaseStarted("report"))
    written = write_run(report, folder, extras=learned(report, folder))
    parts.emit(PhaseFinished("report", parts.clock.now_s() - began_s - took_s, f"{len(written)} files in {folder}"))
    return report


def _summary(
    report: Report, folder: Path, reasons: tuple[str, ...], choice: Choice, out: Path, *, resumable: bool
) -> None:
    verdict = verdict_of(report)
    rows = [(row.label, row.before, row.after, row.change) for row in before_after_rows(report)]
    again = " ".join([word_for(folder, out), *config_words(config_of(choice))])
    lines = summary_lines(
        report, (verdict.headline, verdict.detail), rows, str(folder), run=again, resumable=resumable
    )
    print_summary([*lines, *(f"fails: {reason}" for reason in reasons)], sys.stdout)


async def _execute(request: RunRequest, parts: Parts) -> tuple[Report, Exception | None]:
    """The report, and what ended the run early; signals end it. Raises what ended it before anything was done."""
    from swarm.coordinator.run import Run

    run = Run(request, parts)
    task = asyncio.ensure_future(executed(run))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    finally:
        for candidate in parts.candidates(request.swarm.model):  # all names are played by the same few models
            await candidate.model.close()


async def executed(run: Run) -> tuple[Report, Exception | None]:
    """The run's report, and what ended it early. Raises what ended it before anything was done."""
    from swarm.coordinator.outcome import build_report

    try:
        return await run.execute(), run.state.early
    except Exception as error:
        if not run.state.workable:
            raise
        run.state.degraded = True
        run.state.notes.append(f"ended early: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
        return build_report(run.request, run.parts, run.state), error


def check_workable(name: str, target: Target, folder: Path) -> None:
    """Raise TargetError for a path, interpreter, payload or program that is not there, before anything is started."""
    try:
        place = resolve_place(name, target, folder)
        Traffic(target, place.path, seed=0)
        check_commands(target, place)
    except TargetError as error:
        text = str(error)
        raise TargetError(text if name in text else f"target {name}: {text}") from None


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
