"""Which files make a target another one, and which do not."""

from __future__ import annotations

from pathlib import Path

from swarm.target.tree.copies import Copy
from swarm.target.tree.digest import tree_digest


def test_code_and_the_targets_own_files_count_and_words_beside_it_do_not(tmp_path: Path) -> None:
    texts = {
        "app/main.py": "x = 1",
        "app/data.csv": "1,2",
        "shared/tax.py": "y",
        "README.md": "z",
        "agents.yaml": "v",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "app" / "latest").symlink_to("no-such-run")
    (tmp_path / "app" / "leads.db").write_bytes(b"SQLite format 3\0")
    (tmp_path / "app" / "service.log").write_text("started")
    copy = Copy(tmp_path, tmp_path / "app", tmp_path)
    first = tree_digest(copy)
    assert set(first.files) == {"app/main.py", "app/data.csv", "shared/tax.py"}
    (tmp_path / "README.md").write_text("other words")
    (tmp_path / "agents.yaml").write_text("budget: {usd: 9}")
    assert tree_digest(copy) == first and tree_digest(copy).whole == first.whole
    (tmp_path / "shared/tax.py").write_text("y = 2")
    (tmp_path / "app/data.csv").unlink()
    (tmp_path / "app/new.html").write_text("")
    later = tree_digest(copy)
    assert later.whole != first.whole
    assert first.changed(later) == ("app/data.csv", "app/new.html", "shared/tax.py")
