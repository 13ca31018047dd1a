"""The rule sql-from-strings: the forms of text that it binds, and what it leaves as it is."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.rules.mending import find, loaded, mend, write


@pytest.mark.parametrize(
    ("query", "mended"),
    [
        (
            "conn.execute(\"SELECT * FROM t WHERE a = '%s' AND b = %d\" % (a, b))",
            '"SELECT * FROM t WHERE a = ? AND b = ?", (a, b)',
        ),
        ('conn.execute(f"SELECT * FROM t WHERE a = {a!r}")', '"SELECT * FROM t WHERE a = ?", (a,)'),
        ('conn.execute(f"SELECT * FROM t WHERE a IN ({a}, {b})")', '"SELECT * FROM t WHERE a IN (?, ?)", (a, b)'),
        ('conn.execute(f"UPDATE t SET a = {a} WHERE b = ?", [b])', '"UPDATE t SET a = ? WHERE b = ?", [a, b]'),
        ('conn.execute("SELECT * FROM t WHERE a = " + a)', '"SELECT * FROM t WHERE a = ?", (a,)'),
        # what cannot be bound, or not by a splice, is left as it is
        ('conn.execute(f"SELECT * FROM {a}")', ""),
        ("conn.execute(f\"SELECT * FROM t WHERE a LIKE '{a}{b}'\")", ""),
        ('conn.execute(f"SELECT * FROM t WHERE a = {a:.2f}")', ""),
        ('conn.execute(f"SELECT * FROM t WHERE a = {a}", given)', ""),
        ('conn.execute("SELECT * FROM t WHERE a = \'" + a + "\'\'")', ""),
    ],
)
def test_sql_of_many_forms(tmp_path: Path, query: str, mended: str) -> None:
    write(tmp_path, {"store.py": f"import sqlite3\n\n\ndef find(conn, a, b, given):\n    return {query}\n"})
    findings = find(tmp_path, "sql-from-strings")
    assert len(findings) == 1
    assert findings[0].mendable == bool(mended)
    if mended:
        mend(tmp_path, "sql-from-strings")
        text = (tmp_path / "store.py").read_text()
        assert mended in text
        with loaded(tmp_path, "store") as module:
            conn = sqlite3.connect(":memory:")
            conn.execute("CREATE TABLE t (a, b)")
            module.find(conn, "x' OR 1=1 -- ", 5, [])


def test_psycopg_keeps_a_percent_sign_of_its_own(tmp_path: Path) -> None:
    text = (
        "import psycopg\n\n\ndef find(cur, a):\n    cur.execute(f\"SELECT 1 FROM t WHERE a = {a} AND b LIKE 'x%'\")\n"
    )
    write(tmp_path, {"store.py": text})
    [finding] = find(tmp_path, "sql-from-strings")
    assert not finding.mendable


def test_two_alike_in_one_function_are_two(tmp_path: Path) -> None:
    text = (
        "import sqlite3\n\n\ndef find(conn, a):\n    one = conn.execute(f\"SELECT 1 FROM t WHERE a = '{a}'\")\n"
        "    two = conn.execute(f\"SELECT 1 FROM t WHERE a = '{a}'\")\n    return one, two\n"
    )
    write(tmp_path, {"store.py": text})
    assert len({finding.id for finding in find(tmp_path, "sql-from-strings")}) == 2
    mend(tmp_path, "sql-from-strings")
