"""A fix is written on a tree that earlier patches have changed: what they renamed is mended all the same."""

from __future__ import annotations

from pathlib import Path

from swarm.analysis.index import Index, build_index
from swarm.analysis.source import SourceTree
from swarm.core.patches import FileChange, Patch
from swarm.rules.registry import all_rules
from swarm.verify.fixes import Fix, build_patch

APP = """import requests


def price(item):
    return requests.get(f"https://shop.example/{item}").json()


def tell(text):
    requests.post("https://sms.example", json={"text": text})
"""
RULES = {rule.id: rule for rule in all_rules()}


def ids(index: Index) -> tuple[str, ...]:
    return tuple(finding.id for finding in RULES["missing-timeout"].find(index))


def written(index: Index, fix: Fix) -> str:
    patch = build_patch(fix, index, RULES, 1)
    assert isinstance(patch, Patch)
    return patch.changes[0].after or ""


def test_a_call_that_an_earlier_patch_renamed_is_mended_with_the_others(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    tree = SourceTree.load(tmp_path)
    fix = Fix("missing-timeout", "api", "app.py", ids(build_index(tree)), "a tester")
    shared = APP.replace("import requests\n", "import requests\n\n_http = requests.Session()\n").replace(
        "requests.post", "_http.post"
    )
    later = build_index(tree.with_changes([FileChange("app.py", APP, shared)]))
    assert set(fix.findings) & set(ids(later)) != set(fix.findings), "its name has changed"
    assert written(later, fix).count("timeout=HTTP_TIMEOUT_S") == 2


def test_what_is_spared_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    index = build_index(SourceTree.load(tmp_path))
    wanted, spared = ids(index)
    text = written(index, Fix("missing-timeout", "api", "app.py", (wanted,), "a tester", spared=(spared,)))
    assert text.count("timeout=HTTP_TIMEOUT_S") == 1
    assert 'requests.post("https://sms.example", json={"text": text})\n' in text
