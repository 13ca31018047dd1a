"""Static analysis beside bandit, on the same tree in the same run: all of swarm's rules, indexing included."""

from __future__ import annotations

import shutil
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

from swarm.analysis.bandit_scan import bandit_findings
from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.rules.registry import all_rules
from swarm.rules.scan import scan

MOST_LINES = 50_000
PACKAGES = ("flask", "starlette", "httpx", "werkzeug")  # web code that every development environment has
NO_TESTS = shutil.ignore_patterns("tests", "test", "testing", "test_*", "*_test.py", "__pycache__", "*.so")


def a_tree(root: Path) -> int:
    """Copy packages to `root` while they fit; gives the lines copied."""
    lines = 0
    for name in PACKAGES:
        source = Path(sysconfig.get_path("purelib")) / name
        if not source.is_dir():
            continue
        shutil.copytree(source, root / name, ignore=NO_TESTS)
        here = sum(len(path.read_bytes().splitlines()) for path in (root / name).rglob("*.py"))
        if lines + here > MOST_LINES:
            shutil.rmtree(root / name)
            continue
        lines += here
    return lines


def test_all_rules_cost_no_more_than_bandit(tmp_path: Path, tell: Callable[[str], None]) -> None:
    lines = a_tree(tmp_path)
    assert lines > 20_000
    (tmp_path / "small.py").write_text("x = 1\n")
    bandit_findings(tmp_path, ("small.py",))  # imports on both sides are not what is measured
    rules = all_rules()

    began_s = time.process_time()
    tree = SourceTree.load(tmp_path)
    findings = scan(build_index(tree))
    ours_s = time.process_time() - began_s
    read = sum(len(module.text.splitlines()) for module in tree.modules.values())
    assert read > 0.9 * lines

    began_s = time.process_time()
    theirs = bandit_findings(tmp_path, tree.modules)
    bandit_s = time.process_time() - began_s
    assert theirs  # it did look
    ratio = ours_s / bandit_s
    tell(
        f"static analysis: {read} lines, {len(rules)} rules {ours_s:.2f} s ({len(findings)} findings) "
        f"/ bandit {bandit_s:.2f} s ({len(theirs)} kept): ratio {ratio:.2f}"
    )
    assert ratio <= 1.0
