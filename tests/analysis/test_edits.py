"""Splices: order, inserts, overlaps."""

from __future__ import annotations

import pytest

from swarm.analysis.edits import Edit, apply_edits


def test_edits_are_made_all_at_once_in_any_order() -> None:
    edits = [Edit(6, 11, "moon"), Edit(0, 5, "good bye"), Edit(11, 11, "!")]
    assert apply_edits("hello world", edits) == "good bye moon!"


def test_inserts_at_one_place_keep_their_order_and_come_before_a_replacement() -> None:
    assert apply_edits("abc", [Edit(1, 2, "X"), Edit(1, 1, "1"), Edit(1, 1, "2")]) == "a12Xc"


def test_an_edit_given_twice_counts_once() -> None:
    assert apply_edits("abc", [Edit(3, 3, "d"), Edit(3, 3, "d")]) == "abcd"


@pytest.mark.parametrize("edits", [[Edit(0, 2, ""), Edit(1, 3, "")], [Edit(2, 1, "")], [Edit(0, 9, "")]])
def test_edits_that_overlap_or_leave_the_text_are_refused(edits: list[Edit]) -> None:
    with pytest.raises(ValueError, match="offset"):
        apply_edits("abc", edits)


def test_new_lines_end_as_those_of_the_file() -> None:
    assert apply_edits("a\r\nb\r\n", [Edit(3, 3, "x\ny\n")]) == "a\r\nx\r\ny\r\nb\r\n"
    assert apply_edits("a\nb\n", [Edit(2, 2, "x\n")]) == "a\nx\nb\n"
