"""The copy of a run in which nothing ever runs: all others are cloned from it, and are alike."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from swarm.core.place import TargetPlace
from swarm.target.tree.copies import Copy, clone, make_copy


class Pristine:
    """Made in `folder` when first needed. What the user changes in the tree meanwhile is in no copy of the run."""

    def __init__(self, place: TargetPlace, folder: Path) -> None:
        self.place = place
        self._folder = folder
        self._copy: Copy | None = None
        self._making = Lock()

    def another(self, destination: Path) -> Copy:
        """One more copy, at `destination`, which must not exist yet; from any thread.

        Raises TargetError where the tree is larger than swarm copies.
        """
        with self._making:
            if self._copy is None:
                self._copy = make_copy(self.place, self._folder)
        return clone(self._copy, self.place, destination)
