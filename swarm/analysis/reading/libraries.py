"""Names that mean a library, however the files of a tree are called: what its manifests name, and frameworks."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

_FRAMEWORKS = frozenset({
    "aiohttp", "celery", "fastapi", "flask", "httpx", "pydantic", "redis", "requests", "sqlalchemy", "starlette",
})  # fmt: skip
_IMPORTED_AS = {
    "beautifulsoup4": "bs4", "discord_py": "discord", "pillow": "PIL", "pygithub": "github", "pyjwt": "jwt",
    "python_dotenv": "dotenv", "python_jose": "jose", "python_multipart": "multipart",
    "python_telegram_bot": "telegram", "pytelegrambotapi": "telebot", "pyyaml": "yaml",
}  # fmt: skip
_REQUIRED = re.compile(r"[ \t]*([A-Za-z][\w.-]*)")
_TABLES = ("dependencies", "dev-dependencies", "optional-dependencies", "dependency-groups", "group", "packages",
           "dev-packages", "project", "tool", "poetry", "uv", "pdm", "dev")  # fmt: skip


def library_names(manifests: Mapping[str, str]) -> frozenset[str]:
    """The top-level names of libraries, as imports write them; manifests are texts by their paths."""
    named = [name for path, text in manifests.items() for name in _named(path.rpartition("/")[2], text)]
    found = {name.lower().replace("-", "_").replace(".", "_") for name in named}
    return _FRAMEWORKS | found | {name for dist, name in _IMPORTED_AS.items() if dist in found}


def _named(file: str, text: str) -> Iterator[str]:
    if file.endswith(".txt"):
        yield from (found[1] for line in text.splitlines() if (found := _REQUIRED.match(line)))
    elif file in ("pyproject.toml", "Pipfile"):
        try:
            yield from _of_table(tomllib.loads(text))
        except tomllib.TOMLDecodeError:
            return


def _of_table(table: dict[str, Any], *, is_list_of_them: bool = False) -> Iterator[str]:
    """Names in the tables of a manifest that hold dependencies: as requirements in lists, or as keys."""
    for key, value in table.items():
        holds = key.endswith(("dependencies", "packages")) or is_list_of_them
        if isinstance(value, list) and (holds or key == "dev"):
            yield from (found[1] for one in value if isinstance(one, str) and (found := _REQUIRED.match(one)))
        elif isinstance(value, dict) and (key in ("optional-dependencies", "dependency-groups")):
            yield from _of_table(value, is_list_of_them=True)
        elif isinstance(value, dict) and holds and not is_list_of_them:
            yield from value
        elif isinstance(value, dict) and (key in _TABLES or is_list_of_them or "dependencies" in value):
            yield from _of_table(value)
