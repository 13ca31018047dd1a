"""A model's edits as they come in a call, turned into changes of whole files and checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from swarm.analysis.source import SourceTree
from swarm.config.schema import Target
from swarm.core.errors import ToolFailed
from swarm.core.patches import FileChange
from swarm.tools.tool import Arguments
from swarm.verify.free_form import refusal

MOST_EDITS = 12
_TEXT_CHARS = 40_000


class EditArguments(Arguments):
    """One piece of one file, or a whole new file."""

    file: str = Field(max_length=300, description="relative to the target's root")
    old: str | None = Field(
        None,
        max_length=_TEXT_CHARS,
        description="the exact text to replace, as it stands in the file (no line numbers); it must stand there "
        "exactly once. Leave it out for a new file",
    )
    new: str = Field(max_length=_TEXT_CHARS, description="what stands there afterwards; a new file's whole text")


class PatchArguments(Arguments):
    """A patch."""

    title: str = Field(min_length=8, max_length=120, description="what it does, in the imperative")
    why: str = Field(min_length=20, max_length=2000, description="why it is right, and what it does not change")
    edits: list[EditArguments] = Field(min_length=1, max_length=MOST_EDITS)


def changes_of(
    edits: Sequence[EditArguments], tree: SourceTree, root: Path, target: Target
) -> tuple[FileChange, ...]:
    """The files before and after. Raises ToolFailed with what to write instead."""
    before: dict[str, str | None] = {}
    after: dict[str, str] = {}
    for number, edit in enumerate(edits, 1):
        module = tree.modules.get(edit.file)
        before.setdefault(edit.file, module.text if module else None)
        if edit.old is None:
            if edit.file in after or module is not None:
                raise ToolFailed(f"edit {number}: {edit.file} is there already; give the old text that you replace")
            after[edit.file] = edit.new
            continue
        text = after.get(edit.file, before[edit.file])
        if text is None:
            raise ToolFailed(f"edit {number}: {edit.file!r} is no source file of the service; read_file shows them")
        after[edit.file] = _replaced(text, edit.old, edit.new, f"edit {number} in {edit.file}")
    changes = tuple(FileChange(path, before[path], text) for path, text in after.items() if text != before[path])
    wrong = refusal(changes, tree, target)
    if wrong:
        raise ToolFailed(wrong)
    for change in changes:
        _inside(root, change.path)
    return changes


def _replaced(text: str, old: str, new: str, where: str) -> str:
    if "\r\n" in text:  # a model sees and writes plain line ends
        old, new = (part.replace("\r\n", "\n").replace("\n", "\r\n") for part in (old, new))
    count = text.count(old) if old else 0
    if count == 0:
        raise ToolFailed(f"{where}: the old text does not stand there; copy it exactly, without line numbers")
    if count > 1:
        raise ToolFailed(f"{where}: the old text stands there {count} times; give more lines around it")
    return text.replace(old, new)


def _inside(root: Path, path: str) -> None:
    """Raise ToolFailed where a link on the way leads elsewhere: what is written through it is another file."""
    base = root.resolve()
    place = base / path
    if place.resolve() != place:
        raise ToolFailed(f"{path} goes through a link; links are not written through")
