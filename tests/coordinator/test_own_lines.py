"""Changes kept as what they add to the target's own lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swarm.analysis.source import SourceTree
from swarm.coordinator.own_lines import with_code, without_code
from swarm.core.codec import encode
from swarm.core.patches import FileChange

APP = "import os\n\nTOKEN = 'tok-5d1f-canary'\n\n\ndef hook():\n    return TOKEN"


@pytest.fixture
def tree(tmp_path: Path) -> SourceTree:
    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    return SourceTree.load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        FileChange("app.py", APP, APP.replace("import os", "import os\nimport time") + "\n"),
        FileChange("app.py", APP.replace("def hook", "async def hook"), APP.upper()),
        FileChange("added.py", None, "A = 1\n"),
        FileChange("app.py", APP, None),
        FileChange("app.py", "", APP),
    ],
)
def test_a_change_comes_back_as_it_was(tree: SourceTree, change: FileChange) -> None:
    value = {"patches": [{"patch": {"changes": encode((change,))}, "reason": "slower"}], "count": 1}
    assert with_code(json.loads(json.dumps(without_code(value, tree))), tree) == value


def test_the_code_of_the_target_is_not_in_it(tree: SourceTree) -> None:
    change = FileChange("app.py", APP, APP.replace("def hook", "async def hook"))
    kept = json.dumps(without_code(encode((change,)), tree))
    assert "canary" not in kept and "async def hook" in kept


def test_lines_that_the_tree_has_not_are_told(tree: SourceTree, tmp_path: Path) -> None:
    kept = without_code(encode((FileChange("app.py", APP, APP + "\n"),)), tree)
    (tmp_path / "app.py").write_text("import os\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no lines"):
        with_code(kept, SourceTree.load(tmp_path))
