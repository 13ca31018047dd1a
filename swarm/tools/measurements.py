"""What was measured of the target, journaled when it is there, so that a resumed run need not measure it again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from swarm.core.codec import decode_as, encode
from swarm.core.masking import masked
from swarm.core.ports import Journal

T = TypeVar("T")


class Measurements:
    """`records` are those of a cut-off run's journal. Without a journal nothing is kept."""

    def __init__(
        self,
        journal: Journal | None = None,
        records: Iterable[Mapping[str, Any]] = (),
        mask: Callable[[str], str] = str,
    ) -> None:
        self._journal, self._mask = journal, mask
        self._known = {str(record["name"]): record["value"] for record in records if record.get("kind") == "measured"}

    def keep(self, name: str, value: T) -> T:
        """Journal it; gives it back."""
        if self._journal is not None:
            self._journal.append("measured", {"name": name, "value": masked(encode(value), self._mask)})
        return value

    def known(self, name: str, kind: Any) -> tuple[Any] | None:
        """What an earlier attempt measured, as `kind`, in a tuple of one; None where there is nothing to be read."""
        if name not in self._known:
            return None
        try:
            return (decode_as(kind, self._known[name]),)
        except (ValueError, TypeError):
            return None
