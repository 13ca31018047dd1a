"""What a patch changes, told by lines of a file as it was before all patches: they lie on top of each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher

from swarm.core.patches import Patch


@dataclass(frozen=True, slots=True)
class Replacement:
    """`count` lines from `line` on (1 is the first) give way to `text`; with a count of 0 it goes in before them."""

    line: int
    count: int
    text: str


@dataclass(frozen=True, slots=True)
class FileReplacements:
    """The replacements in one file, from its beginning to its end; a new file has one, its whole text."""

    path: str
    replacements: tuple[Replacement, ...]


def originals(patches: Iterable[Patch]) -> dict[str, str]:
    """Each file's text before the first of these patches that changes it."""
    found: dict[str, str] = {}
    for patch in patches:
        for change in patch.changes:
            if change.before is not None:
                found.setdefault(change.path, change.before)
    return found


def in_originals(patch: Patch, before_all: dict[str, str]) -> tuple[FileReplacements, ...] | None:
    """The patch's changes in places of the original files; None where one of them changes what an earlier patch
    wrote, or takes a file away."""
    found = []
    for change in patch.changes:
        if change.after is None:
            return None
        if change.before is None:
            found.append(FileReplacements(change.path, (Replacement(1, 0, change.after),)))
            continue
        several = _replacements(before_all.get(change.path, change.before), change.before, change.after)
        if several is None:
            return None
        found.append(FileReplacements(change.path, several))
    return tuple(found)


def _replacements(original: str, before: str, after: str) -> tuple[Replacement, ...] | None:
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    places = _places(original.splitlines(keepends=True), old)
    found = []
    for kind, start, end, first, last in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        at = _place(places, start, end)
        if at is None:
            return None
        found.append(Replacement(at + 1, end - start, "".join(new[first:last])))
    return tuple(found)


def _places(original: list[str], old: list[str]) -> dict[int, int]:
    """Where lines of a file stood in the original; those that were not there are left out."""
    if original == old:
        return {number: number for number in range(len(old))}
    blocks = SequenceMatcher(None, original, old, autojunk=False).get_matching_blocks()
    return {block.b + step: block.a + step for block in blocks for step in range(block.size)}


def _place(places: dict[int, int], start: int, end: int) -> int | None:
    """The original's line at which a stretch of lines begins; None where it was not all there, in one piece."""
    if start == end:
        if start in places:
            return places[start]
        return places[start - 1] + 1 if start - 1 in places else 0 if start == 0 else None
    stood = [places.get(number) for number in range(start, end)]
    first = stood[0]
    if first is None or stood != list(range(first, first + end - start)):
        return None
    return first
