"""Gate `protects`: a patch touches only files that it may touch."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from swarm.core.patches import GateResult, Patch

# Tests, CI and lock files are never a patch's business, whatever the configuration says.
ALWAYS_PROTECTED = (
    "tests/**", "test/**", "**/tests/**", "**/test/**", "test_*.py", "**/test_*.py", "*_test.py", "**/*_test.py",
    "conftest.py", "**/conftest.py", ".github/**", ".gitlab-ci.yml", ".circleci/**", ".ci/**", "Jenkinsfile",
    "azure-pipelines.yml", "tox.ini", "noxfile.py", "*.lock", "**/*.lock", "Pipfile.lock", ".git/**",
)  # fmt: skip


def check(patch: Patch, protect: Sequence[str]) -> GateResult:
    """Pass where no file of the patch is protected and none lies outside the target."""
    for path in patch.files:
        if path.startswith("/") or ".." in path.split("/"):
            return GateResult("protects", False, f"{path} lies outside the target")
        for pattern in (*ALWAYS_PROTECTED, *protect):
            if matches(path, pattern):
                return GateResult("protects", False, f"{path} is protected by {pattern}")
    return GateResult("protects", True, f"{len(patch.files)} files, none protected")


def check_all(patches: Sequence[Patch], protect: Sequence[str]) -> GateResult:
    """The first refusal among several patches, else a pass."""
    results = [check(patch, protect) for patch in patches]
    refused = next((result for result in results if not result.passed), None)
    files = len({path for patch in patches for path in patch.files})
    return refused or GateResult("protects", True, f"{files} files, none protected")


def matches(path: str, pattern: str) -> bool:
    """Whether a path fits a glob in which `**` spans folders and `*` does not."""
    if pattern.endswith("/**"):
        head = pattern[:-3]
        parts = path.split("/")[:-1]
        if head.startswith("**/"):
            return head[3:] in parts
        return path.startswith(head + "/")
    if pattern.startswith("**/"):
        return fnmatch.fnmatchcase(path.rsplit("/", 1)[-1], pattern[3:])
    return path.count("/") == pattern.count("/") and fnmatch.fnmatchcase(path, pattern)
