"""Names that mean a library although a file of the tree is called so."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.analysis.index import build_index
from swarm.analysis.reading.libraries import library_names
from swarm.analysis.source import SourceTree
from tests.intake.strangers import index_of, write_tree

PYPROJECT = """
[project]
name = "shop"
dependencies = ["Slack-Bolt>=1.2", "piccolo[postgres] ~= 1.3"]

[project.optional-dependencies]
mail = ["sendgrid"]

[project.scripts]
shop = "shop.main:start"

[dependency-groups]
dev = ["responses"]

[tool.poetry.dependencies]
stripe = "^5"
PyGithub = {version = "^2"}

[tool.poetry.group.test.dependencies]
vcrpy = "*"

[tool.ruff]
line-length = 100
"""


def test_names_of_manifests() -> None:
    found = library_names(
        {"pyproject.toml": PYPROJECT, "requirements-dev.txt": "# tools\nblack==1\n-r more.txt\nJira\n"}
    )
    wanted = {
        "slack_bolt",
        "piccolo",
        "sendgrid",
        "responses",
        "stripe",
        "github",
        "vcrpy",
        "black",
        "jira",
        "starlette",
    }
    assert wanted <= found
    assert not {"shop", "name", "line_length", "mail", "dev", "test", "tools", "more_txt"} & found
    assert "stripe" not in library_names({"pyproject.toml": "no toml ["})


@pytest.mark.parametrize("name", ["starlette", "stripe", "shopkit"])
def test_file_called_like_a_library_hides_it_only_from_who_has_it_not(tmp_path: Path, name: str) -> None:
    files = {
        "pyproject.toml": PYPROJECT, "kit/__init__.py": "", f"kit/{name}.py": "def pay(): ...\n",
        "kit/web.py": f"from {name} import pay\n\npay()\n",
    }  # fmt: skip
    tree = SourceTree.load(write_tree(tmp_path, files))
    web = tree.modules["kit/web.py"]
    own = tree.find_module(name, web)
    assert (own is not None) == (name == "shopkit")
    assert tree.canonical(f"{name}.pay", web) == (f"kit.{name}.pay" if own else f"{name}.pay")


def test_package_of_the_same_tree_that_is_required_is_found(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": '[project]\nname = "all"\ndependencies = ["shop-shared"]\n',
        "packages/shared/pyproject.toml": '[project]\nname = "shop-shared"\n',
        "packages/shared/shop_shared/__init__.py": "", "packages/shared/shop_shared/text.py": "WORD = 1\n",
        "apps/web/main.py": "from shop_shared.text import WORD\n",
    }  # fmt: skip
    tree = build_index(SourceTree.load(write_tree(tmp_path, files))).tree
    found = tree.find_module("shop_shared.text", tree.modules["apps/web/main.py"])
    assert found is not None and found.path == "packages/shared/shop_shared/text.py"


def test_application_in_a_file_called_like_its_framework_is_seen(tmp_path: Path) -> None:
    text = """
        from starlette.applications import Starlette
        from starlette.routing import Route


        async def hook(request):
            return None


        app = Starlette(routes=[Route("/hook", hook, methods=["POST"])])
        """
    index = index_of(tmp_path, {"desk/__init__.py": "", "desk/web/__init__.py": "", "desk/web/starlette.py": text})
    assert [app.framework for app in index.apps] == ["starlette"]
    assert [route.path for route in index.routes] == ["/hook"]
