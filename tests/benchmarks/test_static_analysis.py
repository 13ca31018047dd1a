"""Static analysis beside bandit, on the same tree in the same run: all of swarm's rules, indexing included.

The tree is libraries for the web, as installed, and the reference service, so that there are handlers from which data
is followed. Both sides read it in turns, and CPU time counts, so that what else the machine does matters little.
"""

from __future__ import annotations

import gc
import logging
import shutil
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

from bandit.core import config, manager

from swarm.analysis.bandit_scan import bandit_findings, join
from swarm.analysis.dataflow.settled import unsettled
from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.core.findings import Finding
from swarm.rules.registry import all_rules
from swarm.rules.scan import scan

LEAST_LINES = 40_000
MOST_LINES = 50_000
# the first that fit: web code, then what every development environment of swarm has as well
PACKAGES = ("flask", "starlette", "fastapi", "werkzeug", "httpx", "jinja2", "click", "anthropic", "mypy")
SERVICE = Path(__file__).parents[2] / "service"
LEFT_OUT = shutil.ignore_patterns("tests", "test", "testing", "test_*", "*_test.py", "__pycache__", "*.so")
TURNS = 2
MOST_RATIO = 1.0  # 0.93 to 1.0 was measured when it was first met


def lines_of(root: Path) -> int:
    """The lines that an analysis reads: tests and doubles are left out."""
    return sum(len(module.lines) for module in SourceTree.load(root).modules.values())


def a_tree(root: Path) -> None:
    """Write the service and libraries to `root`, as many as fit."""
    shutil.copytree(SERVICE, root / SERVICE.name, ignore=LEFT_OUT)
    lines = lines_of(root)
    for name in PACKAGES:
        source = Path(sysconfig.get_path("purelib")) / name
        more = lines_of(source) if source.is_dir() else 0
        if more and lines + more <= MOST_LINES:
            shutil.copytree(source, root / name, ignore=LEFT_OUT)
            lines += more


def plain_bandit(root: Path, files: list[str]) -> int:
    """bandit as its own command runs it, printing left out; gives how much it found."""
    logging.getLogger("bandit").setLevel(logging.CRITICAL)
    run = manager.BanditManager(config.BanditConfig(), "file", quiet=True)
    run.files_list = [str(root / file) for file in files]
    run.run_tests()
    return len(run.get_issue_list())


def rules_alone(root: Path) -> tuple[Finding, ...]:
    return scan(build_index(SourceTree.load(root)))


def with_bandit_inside(root: Path) -> tuple[Finding, ...]:
    """The whole static part of a run: our rules, bandit's joined in, and what following data settles left out."""
    tree = SourceTree.load(root)
    index = build_index(tree)
    return unsettled(index, join(scan(index), bandit_findings(root, tree.modules)))


def test_all_rules_cost_no_more_than_bandit(tmp_path: Path, tell: Callable[[str], None]) -> None:
    a_tree(tmp_path)
    tree = SourceTree.load(tmp_path)
    files = sorted(tree.modules)
    lines = sum(len(module.lines) for module in tree.modules.values())
    assert lines > LEAST_LINES
    assert len(build_index(tree).routes) > 10
    (tmp_path / "small.py").write_text("x = 1\n")
    plain_bandit(tmp_path, ["small.py"])  # imports on both sides are not what is measured
    rules = all_rules()

    spent_s = {"ours": 0.0, "bandit": 0.0, "whole": 0.0}
    found = {"ours": 0, "bandit": 0, "whole": 0}
    sides: list[tuple[str, Callable[[], int]]] = [
        ("ours", lambda: len(rules_alone(tmp_path))),
        ("bandit", lambda: plain_bandit(tmp_path, files)),
        ("whole", lambda: len(with_bandit_inside(tmp_path))),
    ]
    for turn in range(TURNS):
        for name, side in sides if turn % 2 == 0 else reversed(sides):
            gc.collect()  # what one side has left behind is no cost of the next
            began_s = time.process_time()
            found[name] = side()
            spent_s[name] += time.process_time() - began_s
    assert all(found.values())  # each did look

    ratio, whole = spent_s["ours"] / spent_s["bandit"], spent_s["whole"] / spent_s["bandit"]
    tell(
        f"static analysis, {TURNS} turns over {lines} lines: {len(rules)} rules {spent_s['ours']:.2f} s "
        f"/ bandit {spent_s['bandit']:.2f} s: ratio {ratio:.2f}; with bandit's findings joined in {whole:.2f}"
    )
    assert ratio <= MOST_RATIO
