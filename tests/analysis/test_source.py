"""Modules and trees: offsets, names, imports, what is left out."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from swarm.analysis.edits import apply_edits
from swarm.analysis.source import Module, SourceTree
from swarm.core.patches import FileChange


def module_of(text: str, path: str = "app.py") -> Module:
    return Module(path, text, ast.parse(text), path.removesuffix(".py").replace("/", "."))


def write(root: Path, files: dict[str, str]) -> SourceTree:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return SourceTree.load(root)


def test_spans_count_characters_where_ast_counts_bytes() -> None:
    module = module_of('x = "größe – ä"; f(y)\n')
    call = module.nodes(ast.Call)[0]
    assert module.segment(call) == "f(y)"
    assert module.indent(call) == ""


@pytest.mark.parametrize(
    ("head", "expression", "dotted"),
    [
        ("import httpx", "httpx.AsyncClient", "httpx.AsyncClient"),
        ("import httpx as h", "h.AsyncClient", "httpx.AsyncClient"),
        ("from httpx import AsyncClient as C", "C", "httpx.AsyncClient"),
        ("from .crm import api", "api.load", "pkg.crm.api.load"),
        ("from .. import top", "top", "top"),
        ("def own(): ...", "own", "pkg.mod.own"),
        ("", "open", "open"),
        ("", "nobody", None),
    ],
)
def test_names_are_resolved_through_imports(head: str, expression: str, dotted: str | None) -> None:
    module = module_of(f"{head}\nresult = {expression}\n", "pkg/mod.py")
    value = module.tree.body[-1]
    assert isinstance(value, ast.Assign)
    assert module.resolve(value.value) == dotted


def test_a_local_variable_hides_an_import() -> None:
    module = module_of("import json\n\ndef f(json):\n    return json.loads\n")
    returned = module.nodes(ast.Return)[0].value
    assert returned is not None
    assert module.resolve(returned) is None


@pytest.mark.parametrize(
    ("before", "statement", "after"),
    [
        ("import os\nimport sys\n", "import re", "import os\nimport re\nimport sys\n"),
        ("import os\n", "import os", "import os\n"),
        ("import httpx\n", "import os", "import os\n\nimport httpx\n"),
        ("import os\n\nimport httpx\n", "import requests", "import os\n\nimport httpx\nimport requests\n"),
        ('"""Doc."""\n\nx = 1\n', "import os", '"""Doc."""\n\nimport os\n\nx = 1\n'),
        ("from __future__ import annotations\n\nx = 1\n", "import os",
         "from __future__ import annotations\n\nimport os\n\nx = 1\n"),
        ("from typing import Any\n", "import os", "import os\nfrom typing import Any\n"),
        ("x = 1\n", "import os", "import os\n\nx = 1\n"),
    ],
)  # fmt: skip
def test_an_import_is_added_once_and_in_its_place(before: str, statement: str, after: str) -> None:
    module = module_of(before)
    assert apply_edits(before, [module.insert_import(statement)]) == after


def test_a_tree_reads_the_program_and_leaves_tests_and_environments_out(tmp_path: Path) -> None:
    tree = write(
        tmp_path,
        {
            "src/shop/api.py": "x = 1\n",
            "tests/test_api.py": "x = 1\n",
            "src/shop/test_more.py": "x = 1\n",
            "env2/pyvenv.cfg": "",
            "env2/lib/a.py": "x = 1\n",
            ".hidden/a.py": "x = 1\n",
            "migrations/0001.py": "x = 1\n",
            "src/shop/new.py": "def f[T](x: T): ...\nmatch = (\n",
            "requirements.txt": "flask\n",
        },
    )
    assert set(tree.modules) == {"src/shop/api.py"}
    assert [path for path, _ in tree.unparsed] == ["src/shop/new.py"]
    assert tree.modules["src/shop/api.py"].dotted == "shop.api"
    assert tree.other == {"requirements.txt": "flask\n"}
    assert "tests/test_api.py" in tree.files


def test_a_root_that_is_a_package_is_named_as_its_files_name_it(tmp_path: Path) -> None:
    root = tmp_path / "copy-of-it"
    tree = write(
        root,
        {
            "__init__.py": "",
            "app.py": "from leads import storage\nfrom leads.crm.api import load\n",
            "storage.py": "def save(): ...\n",
            "crm/__init__.py": "",
            "crm/api.py": "def load(): ...\n",
        },
    )
    assert tree.own_name == "leads"
    assert tree.canonical("leads.crm.api.load") == "leads.crm.api.load"
    assert tree.find_module("leads.storage") is tree.modules["storage.py"]


def test_reexports_are_followed_and_a_package_name_hides_its_module(tmp_path: Path) -> None:
    tree = write(
        tmp_path,
        {
            "clients/__init__.py": "from clients.ghost import Ghost\nfrom .mail import send\nghost = Ghost()\n",
            "clients/ghost.py": "class Ghost:\n    def post(self): ...\n",
            "clients/mail.py": "def send(): ...\n",
        },
    )
    assert tree.canonical("clients.send") == "clients.mail.send"
    assert tree.canonical("clients.ghost") == "clients.ghost"
    assert tree.split("clients.ghost")[0] is tree.modules["clients/__init__.py"]


def test_changes_are_parsed_and_the_rest_is_kept(tmp_path: Path) -> None:
    tree = write(tmp_path, {"a.py": "x = 1\n", "b.py": "y = 1\n"})
    changed = tree.with_changes(
        [FileChange("a.py", "x = 1\n", "x = (\n"), FileChange("b.py", "y = 1\n", None), FileChange("c.py", None, "")]
    )
    assert set(changed.modules) == {"c.py"}
    assert [path for path, _ in changed.unparsed] == ["a.py"]
    assert set(tree.modules) == {"a.py", "b.py"}
    back = changed.with_changes([FileChange("a.py", "x = (\n", "x = 1\n")])
    assert not back.unparsed


def test_a_package_that_is_called_src(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "src/__init__.py": "",
            "src/main.py": "from src.settings import load\n",
            "src/settings.py": "def load(): ...\n",
        },
    )
    tree = SourceTree.load(tmp_path)
    near = tree.modules["src/main.py"]
    assert tree.find_module("src.settings", near) is tree.modules["src/settings.py"]
    assert tree.canonical("src.settings.load", near) == "settings.load"
