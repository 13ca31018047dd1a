"""Work that builds much and drops little goes on without the collector of cycles, which would find nothing."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# so much may be left unlooked at, one work after the other, before the collector is let loose on it
_MOST_UNSEEN = 3_000_000
_unseen = 0


@contextmanager
def collector_off() -> Iterator[None]:
    """Cycles are collected after the work instead of in the middle of it: a syntax tree has none to find.

    What was built in the work is looked at with what is old, as seldom as that.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            _pass_over()
            gc.enable()


def _pass_over() -> None:
    """Count what was built as old: else the collector looks at all of it at once, for nothing."""
    global _unseen
    _unseen += gc.get_count()[0]
    if _unseen > _MOST_UNSEEN:
        _unseen = 0
    else:
        gc.freeze()
        gc.unfreeze()
