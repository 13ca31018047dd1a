"""Carries out `swarm init`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from swarm.cli.say import next_command, say
from swarm.config.choice import CONFIG_NAME
from swarm.config.load import load_agents
from swarm.core.errors import TargetError, UsageError
from swarm.core.wording import counted
from swarm.intake.draft import Draft
from swarm.intake.taking_in import TakenIn, take_in
from swarm.intake.writing import Written, render
from swarm.runtime import new_run_id
from swarm.target.processes.children import reap_orphans
from swarm.target.processes.scratch import remove_folder, scratch_folder


def initialise(path: Path, config: Path | None, python: Path | None, *, start: bool, force: bool) -> int:
    """Write the file and tell what is in it; the exit code, 3 where the service does not start.

    Raises TargetError where `path` is no folder, UsageError where the file is there already or cannot be written.
    """
    root = path.expanduser().resolve()
    if not root.is_dir():
        what = "is a file; name the folder of the service" if root.exists() else "does not exist"
        raise TargetError(f"{path} {what}")
    goal = (config or root / CONFIG_NAME).expanduser().resolve()
    if goal.exists() and not force:
        raise UsageError(
            f"{_shown(goal)} is there already and stays as it is; --force writes over it, -c FILE elsewhere"
        )
    if not goal.parent.is_dir() or not os.access(goal.parent, os.W_OK):
        raise UsageError(
            f"{_shown(goal)} cannot be written: its folder is missing or closed; name another with -c FILE"
        )
    if python is not None and not os.access(python, os.X_OK):
        raise UsageError(f"--python {python} is no interpreter that can be run")
    say(f"looking at {root}")
    if start:
        reap_orphans()
    scratch = scratch_folder(new_run_id("init"))
    try:
        taken = asyncio.run(take_in(root, scratch, say, python=python.absolute() if python else None, start=start))
    finally:
        remove_folder(scratch)
    written = render(_from_where(taken.draft, root, goal))
    goal.write_text(written.text, encoding="utf-8")
    load_agents(goal)
    return _tell(taken, written, goal)


def _from_where(draft: Draft, root: Path, goal: Path) -> Draft:
    """The draft with its folders as they are seen from the file."""
    if goal.parent == root:
        return draft
    target = draft.target
    fields: dict[str, str] = {"path": os.path.relpath(root, goal.parent)}
    if target.cwd is not None:
        fields["cwd"] = os.path.relpath(root / target.cwd, goal.parent)
    if target.python is not None and os.sep in target.python and not Path(target.python).is_absolute():
        fields["python"] = os.path.relpath(root / target.python, goal.parent)
    return draft.having(**fields)


def _tell(taken: TakenIn, written: Written, goal: Path) -> int:
    target = taken.draft.target
    routes = sum(len(upstream.routes) for upstream in target.upstreams)
    say(
        f"wrote {_shown(goal)}: {counted(len(target.webhooks), 'webhook')}, "
        f"{counted(len(target.upstreams), 'upstream')} with {counted(routes, 'route')}, "
        f"{counted(len(target.env), 'setting')}"
    )
    if taken.started:
        say(f"{taken.good} of {counted(taken.sent, 'event')} got a good answer")
    if written.doubts:
        say("what could not be known, and where to write it:")
        for line, doubt in written.doubts:
            say(f"  {goal.name}:{line}: {doubt.words}")
    words = "" if goal.parent == Path.cwd() and goal.name == CONFIG_NAME else f" -c {_shown(goal)}"
    if taken.started is False:
        next_command(f"swarm doctor{words}")
        return TargetError.exit_code
    next_command(f"swarm run{words}" if taken.started and taken.good else f"swarm doctor{words}")
    return 0


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
