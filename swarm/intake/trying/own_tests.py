"""Tries the service's own tests once, so that those which fail before any patch are known and left out."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from swarm.core.errors import TargetError
from swarm.intake.draft import Draft
from swarm.target.running.sandbox import choose_sandbox
from swarm.target.tree.copies import make_copy
from swarm.target.tree.place import resolve_place
from swarm.verify.testrun import TestRun, is_pytest, run_tests

_MOST_LEFT_OUT = 30
_ROUNDS = 3
_PATIENCE_S = 240.0  # for all rounds: whoever tries a service waits for them
_WITHOUT_PLUGINS = "-o addopts="


async def with_tests(draft: Draft, root: Path, scratch: Path, tell: Callable[[str], None]) -> Draft:
    """Run the tests once: those that fail before any patch prove nothing and are left out, each by its name."""
    target = draft.target
    place = resolve_place(draft.name, target, root)
    copy = make_copy(place, scratch / "tests-tree")
    tell(f"tests: {target.tests}")
    try:
        result = await run_tests(place, copy, target, choose_sandbox(), scratch / "tests")
    except TargetError as error:
        return draft.having(tests=None).doubting(f"its tests cannot be run ({str(error).splitlines()[0]})", "start")
    if result is None or result.green:
        if result is not None:
            tell(f"  {result.counts.passed} passed, {result.counts.skipped} skipped")
        return draft
    why = _red(result)
    tell(f"  {why}")
    if _WITHOUT_PLUGINS not in (target.tests or "") and re.search(r"error: unrecognized arguments: --", result.tail):
        tell("  tried again without the options of plugins that are not installed")
        bare = f"{target.tests} {_WITHOUT_PLUGINS}"
        return await with_tests(draft.having(tests=bare), root, scratch / "bare", tell)
    if not is_pytest((target.tests or "").split()) or result.ended_by:
        return _without(draft, why)
    left_out: list[str] = []
    ends_s = time.monotonic() + _PATIENCE_S
    for number in range(_ROUNDS):  # what fails to be collected hides the rest
        if time.monotonic() > ends_s:
            break
        left_out += [word for word in _left_out(root, result) if word not in left_out]
        again = draft.having(tests=f"{target.tests} {' '.join(left_out)}")
        second = await run_tests(place, copy, again.target, choose_sandbox(), scratch / f"tests-{number}")
        if second is None or second.ended_by or len(left_out) > _MOST_LEFT_OUT:
            break
        if second.green and second.counts.passed:
            tell(f"  without those: {second.counts.passed} passed")
            return again.doubting(f"tests that fail before any patch are left out: {why}", "tests")
        result = second
    return _without(draft, why)


def _without(draft: Draft, why: str) -> Draft:
    words = f"`{draft.target.tests}` is left out: {why}; mend them, then write tests: {draft.target.tests!r}"
    return draft.having(tests=None).doubting(words, "start")


def _red(result: TestRun) -> str:
    """Why tests are red, in one line; those that want the network are told so."""
    if result.ended_by:
        return f"the tests are ended by their limit of {result.ended_by}"
    wants = re.search(
        r"no network but loopback: (\S+)|ConnectionError|NameResolutionError|Network is unreachable", result.tail
    )
    said = f" (they call {wants[1] or 'the network'}, and nothing leaves this machine)" if wants else ""
    missing = re.search(r"No module named '([^']+)'", result.tail)
    said = f" ({missing[1]!r} is not installed for its interpreter)" if missing else said
    error = re.search(r"error: (.+)", result.tail)
    first = ", ".join(result.failing[:2]) or (error[1] if error else (result.tail.splitlines() or ["no output"])[-1])
    total = result.counts.failed + result.counts.passed
    if not total:
        return f"they cannot be run{said}: {first}"
    return f"{result.counts.failed} of {total} fail before any patch{said}: {first}"


def _left_out(root: Path, result: TestRun) -> list[str]:
    """pytest's words that leave the failing tests out: a whole file where none of it passes."""
    by_file: dict[str, list[str]] = {}
    for name in result.failing:
        found = _node_id(root, name)
        if found is not None:
            by_file.setdefault(found.partition("::")[0], []).append(found)
    passing = {
        (_node_id(root, name) or "").partition("::")[0] for name, how in result.outcomes.items() if how == "passed"
    }
    words = []
    for file, names in by_file.items():
        if file not in passing:
            words.append(f"--ignore={_quoted(file)}")
        else:
            words += [f"--deselect {_quoted(name)}" for name in names]
    return words


def _node_id(root: Path, name: str) -> str | None:
    """pytest's id of a test whose name is `package.module.Class::test`."""
    dotted, _, test = name.partition("::")
    parts = (dotted or test).split(".")  # a file that cannot be collected has no class
    for count in range(len(parts), 0, -1):
        file = "/".join(parts[:count]) + ".py"
        if (root / file).is_file():
            return "::".join([file, *parts[count:], test]) if dotted else file
    return None


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[\w./:-]+", name) else "'" + name.replace("'", "'\"'\"'") + "'"
