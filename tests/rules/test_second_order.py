"""What an upstream answered and what was stored, where it does harm: told as less grave and less certain."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.core.findings import Finding
from tests.rules.mending import find, mend, write

HEAD = (
    "import os\nimport pickle\nimport sqlite3\n\nimport httpx\nimport requests\nfrom fastapi import FastAPI\n"
    "from jinja2 import Template\n\napp = FastAPI()\nFOLDER = '/srv/files'\ndb = sqlite3.connect('a.db')\n\n\n"
    "@app.post('/x')\n"
)
HOLES = {
    "a stored name in a shell": (
        "command-injection",
        "def x(n: int):\n    row = db.execute('SELECT name FROM jobs WHERE id = ?', (n,)).fetchone()\n"
        "    os.system('run ' + row[0])\n",
    ),
    "an upstream's name in a path": (
        "path-traversal",
        "def x(n: int):\n    for item in requests.get('https://shop.example/items', timeout=5).json():\n"
        "        with open(f\"{FOLDER}/{item['name']}\", 'wb') as handle:\n            handle.write(b'')\n",
    ),
    "a stored template": (
        "template-injection",
        "def x(n: int):\n    text = db.execute('SELECT text FROM mails').fetchone()[0]\n"
        "    return Template(text).render(n=n)\n",
    ),
    "an upstream's pickle": (
        "unsafe-deserialisation",
        "async def x(n: int):\n    async with httpx.AsyncClient(timeout=5) as client:\n"
        "        answer = await client.get('https://shop.example/state')\n"
        "    return len(pickle.loads(answer.content))\n",
    ),
}
TWINS = {
    "a stored name, quoted": (
        "command-injection",
        "def x(n: int):\n    import shlex\n\n    row = db.execute('SELECT name FROM jobs').fetchone()\n"
        "    os.system('run ' + shlex.quote(row[0]))\n",
    ),
    "the last part of an upstream's name": (
        "path-traversal",
        "def x(n: int):\n    for item in requests.get('https://shop.example/items', timeout=5).json():\n"
        "        with open(f\"{FOLDER}/{os.path.basename(item['name'])}\", 'wb') as handle:\n"
        "            handle.write(b'')\n",
    ),
    "a number of an upstream": (
        "command-injection",
        "def x(n: int):\n    found = requests.get('https://shop.example/items', timeout=5).json()\n"
        "    os.system(f\"run {int(found['id'])}\")\n",
    ),
    "what the service pickled itself": (
        "unsafe-deserialisation",
        "def x(n: int):\n    kept = db.execute('SELECT state FROM states').fetchone()[0]\n"
        "    return len(pickle.loads(kept))\n",
    ),
}


def found(root: Path, rule: str, code: str) -> list[Finding]:
    write(root, {"app.py": HEAD + code})
    return find(root, rule)


@pytest.mark.parametrize("name", HOLES)
def test_second_hand_data_is_told_with_less_weight(name: str, tmp_path: Path) -> None:
    [finding] = found(tmp_path, *HOLES[name])
    assert (finding.severity, finding.confidence) == ("medium", "low")
    assert "answered" in finding.evidence or "stored" in finding.evidence


@pytest.mark.parametrize("name", TWINS)
def test_what_was_made_harmless_is_left_alone(name: str, tmp_path: Path) -> None:
    assert not found(tmp_path, *TWINS[name])


def test_the_mends_are_the_same(tmp_path: Path) -> None:
    for name in ("a stored name in a shell", "an upstream's name in a path"):
        rule, code = HOLES[name]
        write(tmp_path, {"app.py": HEAD + code})
        mend(tmp_path, rule)
        assert not find(tmp_path, rule)
