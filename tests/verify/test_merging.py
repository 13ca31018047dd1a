from __future__ import annotations

import pytest

from swarm.verify.merging import merge

BASE = "".join(f"line {n}\n" for n in range(1, 11))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (("line 2", "two"), ("line 8", "eight")),
        (("line 8", "eight"), ("line 2\n", "")),
        (("line 2\n", "line 2\nnew\n"), ("line 5\n", "line 5\nmore\nand more\n")),
        (("line 10\n", "line 10\nlast\n"), ("line 1\n", "first\nline 1\n")),
    ],
)
def test_changes_apart_are_both_there(ours: tuple[str, str], theirs: tuple[str, str]):
    mine, yours = BASE.replace(*ours), BASE.replace(*theirs)
    both = yours.replace(*ours)
    assert merge(BASE, mine, yours) == both
    assert merge(BASE, yours, mine) == both


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (("line 2", "two"), ("line 2", "zwei")),
        (("line 2", "two"), ("line 3", "three")),
        (("line 2\n", "line 2\nmine\n"), ("line 2\n", "line 2\nyours\n")),
        (("line 4\n", ""), ("line 4", "four")),
    ],
)
def test_changes_of_one_place_collide(ours: tuple[str, str], theirs: tuple[str, str]):
    assert merge(BASE, BASE.replace(*ours), BASE.replace(*theirs)) is None


def test_what_both_changed_alike_is_no_collision():
    mine = BASE.replace("line 2", "two").replace("line 9", "nine")
    yours = BASE.replace("line 2", "two")
    assert merge(BASE, mine, yours) == mine
    assert merge(BASE, mine, BASE) == mine
    assert merge(BASE, BASE, yours) == yours


def test_line_ends_stay_as_they_are():
    base = BASE.replace("\n", "\r\n")
    mine, yours = base.replace("line 2", "two"), base.removesuffix("\r\n")
    assert merge(base, mine, yours) == yours.replace("line 2", "two")
