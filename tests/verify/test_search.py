"""Who fails a gate: it alone is asked while the one is looked for, and what is left is proven whole again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest

from swarm.core.patches import GateName, GateResult, Patch, Rejected
from swarm.verify import verifier
from swarm.verify.candidate import Stack, Unbuilt
from swarm.verify.fixes import Fix
from swarm.verify.judging import Judgement

Says = Callable[[set[str]], GateName | None]  # the gate that refuses these fixes together


class Bench:
    """A lab whose gates say what a test wants; `asked` tells whom of whom: the gate (or all) and the fixes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, says: Says) -> None:
        self.asked: list[tuple[str, str]] = []
        self.says = says
        self.unbuilt_without: dict[str, str] = {}
        self.lab = SimpleNamespace(
            original=Stack((), (), SimpleNamespace()), rules={}, emit=lambda event: None, say=lambda message: None
        )
        monkeypatch.setattr(verifier, "judge", self._judge)
        monkeypatch.setattr(verifier, "ask", self._ask)
        monkeypatch.setattr(verifier, "extend", self._extend)

    def _extend(self, stack: Stack, fixes: Sequence[Fix], rules: object) -> tuple[Stack, tuple[Unbuilt, ...]]:
        left_out = []
        for fix in fixes:
            needed = self.unbuilt_without.get(fix.rule)
            if needed and needed not in {one.rule for one in stack.fixes}:
                left_out.append(Unbuilt(fix, "nothing to mend"))
                continue
            patch = Patch(fix.rule, fix.rule, fix.rule, "api", fix.findings, "a tester", "why", ())
            stack = Stack((*stack.fixes, fix), (*stack.patches, patch), stack.index)
        return stack, tuple(left_out)

    async def _judge(self, lab: object, stack: Stack, patches: tuple[Patch, ...], below: Stack) -> Judgement:
        return self._told("all", stack, None)

    async def _ask(
        self, lab: object, stack: Stack, patches: tuple[Patch, ...], below: Stack, gate: GateName
    ) -> Judgement:
        return self._told(gate, stack, gate)

    def _told(self, who: str, stack: Stack, only: GateName | None) -> Judgement:
        rules = {fix.rule for fix in stack.fixes}
        self.asked.append((who, "".join(sorted(rules))))
        gate = self.says(rules)
        if gate is None or only not in (None, gate):
            return Judgement((GateResult("tests", True, ""),))
        return Judgement((GateResult(gate, False, "no"),))

    async def prove(self, rules: str) -> verifier.Proven:
        fixes = [Fix(rule, "api", f"{rule}.py", (rule,), "a tester") for rule in rules]
        return await verifier.prove(self.lab, fixes)


def names(proven: verifier.Proven) -> tuple[str, str, str]:
    """What was kept, rejected and not built, by letters."""
    return (
        "".join(fix.rule for fix in proven.stack.fixes),
        "".join(one.patch.rule for one in proven.rejected),
        "".join(one.fix.rule for one in proven.unbuilt),
    )


async def test_one_gate_finds_the_one_and_all_gates_prove_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, lambda rules: "durable" if "c" in rules else None)
    proven = await bench.prove("abcdefgh")
    assert names(proven) == ("abdefgh", "c", "")
    assert [told for who, told in bench.asked if who == "all"] == ["abcdefgh", "abdefgh"]
    assert {who for who, _ in bench.asked} == {"all", "durable"}
    verdict = proven.rejected[0].verdict
    assert isinstance(verdict, Rejected)
    assert verdict.gate == "durable"
    assert proven.judgement is not None


async def test_two_that_fail_different_gates_are_both_found(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(
        monkeypatch, lambda rules: "tests" if "b" in rules else "replay" if "g" in rules else None
    )  # fmt: skip
    assert names(await bench.prove("abcdefgh")) == ("acdefh", "bg", "")


async def test_a_gate_that_fails_once_by_chance_refuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[GateName | None] = ["replay"]
    bench = Bench(monkeypatch, lambda rules: answers.pop() if answers else None)
    assert names(await bench.prove("abcd")) == ("abcd", "", "")
    assert [told for who, told in bench.asked if who == "all"] == ["abcd", "abcd"]


async def test_those_that_only_fail_together_are_parted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate refuses no part of them when it is asked alone: then each half is proven by itself."""

    def says(rules: set[str]) -> GateName | None:
        return "probes" if rules == {"a", "b", "c", "d"} and bench.asked[-1][0] == "all" else None

    bench = Bench(monkeypatch, says)
    proven = await bench.prove("abcd")
    kept, rejected, _ = names(proven)
    assert (kept, rejected) == ("abc", "d")


async def test_what_only_the_rejected_one_made_mendable_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, lambda rules: "tests" if "a" in rules else None)
    bench.unbuilt_without["c"] = "a"
    assert names(await bench.prove("abcd")) == ("bd", "a", "c")


async def test_one_fix_alone_is_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, lambda rules: "replay")
    assert names(await bench.prove("a")) == ("", "a", "")
    assert bench.asked == [("all", "a")]
