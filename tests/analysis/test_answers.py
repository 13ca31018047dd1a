"""What a search that ran into itself answered on its way is not kept; what it was about is."""

from __future__ import annotations

import pytest

from swarm.analysis.answers import Answers


class Graph:
    """Whether "end" can be reached over edges: the question of each node leads to those that it points to."""

    def __init__(self, **edges: list[str]) -> None:
        self.edges, self.answers = edges, Answers()
        self.worked_out: list[str] = []

    def reaches(self, node: str) -> bool | None:
        """True, or None where it is not known."""
        found: bool | None = self.answers.of(node, self._work, node)
        return found

    def _work(self, node: str) -> bool | None:
        self.worked_out.append(node)
        return True if node == "end" or any(self.reaches(other) for other in self.edges[node]) else None


def test_no_answer_depends_on_what_was_asked_before() -> None:
    for first in "abc":
        graph = Graph(a=["b", "end"], b=["c"], c=["a"])
        assert graph.reaches(first)
        assert [graph.reaches(node) for node in "abc"] == [True, True, True], first


def test_what_was_worked_out_to_the_end_is_kept() -> None:
    graph = Graph(a=["b", "c"], b=["d"], c=["d"], d=[])
    assert graph.reaches("a") is None
    assert sorted(graph.worked_out) == ["a", "b", "c", "d"]
    assert graph.reaches("d") is None
    assert len(graph.worked_out) == 4
    assert not graph.answers.searching


def test_a_search_that_fails_leaves_no_question_open() -> None:
    answers = Answers()

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        answers.of("a", fail)
    assert not answers.searching
    assert answers.of("a", lambda: 1) is None


def test_a_search_cut_short_leaves_no_half_answer_in_a_table_of_others() -> None:
    answers, kept = Answers(), {}

    def half() -> str:
        answers.cut()
        return "half"

    assert answers.of("question", lambda: answers.keep(kept, "asked inside", half)) == "half"
    assert not kept
    assert answers.keep(kept, "asked alone", half) == "half"  # no other search waits: it is whole
    assert kept == {"asked alone": "half"}
