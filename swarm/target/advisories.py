"""An advisory database that the user points to, in OSV format: which known holes a package's version has."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from swarm.core.errors import TargetError
from swarm.core.findings import Severity

_ECOSYSTEM = "PyPI"
_MOST_BYTES = 512 * 1024 * 1024
_SEVERITIES: dict[str, Severity] = {
    "CRITICAL": "critical", "HIGH": "high", "MODERATE": "medium", "MEDIUM": "medium", "LOW": "low",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hole:
    """One advisory that a version is affected by; `fixed` is the first version without it, "" where none is."""

    id: str
    package: str
    version: str
    severity: Severity
    fixed: str
    aliases: tuple[str, ...] = ()

    def __str__(self) -> str:
        name = next((alias for alias in self.aliases if alias.startswith("CVE-")), self.id)
        mend = f"fixed in {self.fixed}" if self.fixed else "no version without it is known"
        return f"{self.package} {self.version}: {name} ({self.severity}; {mend})"


@dataclass(frozen=True, slots=True)
class Advisories:
    """The advisories of one database by canonical package name, withdrawn ones left out."""

    by_package: Mapping[str, tuple[Mapping[str, Any], ...]]
    count: int
    newest: datetime | None

    def holes(self, package: str, version: str) -> tuple[Hole, ...]:
        """What is known of one version. A version that nobody can order is affected only where it is listed."""
        name = canonicalize_name(package)
        found = []
        for entry in self.by_package.get(name, ()):
            for affected in _of_package(entry, name):
                hit, fixed = _affects(affected, version)
                if hit:
                    aliases = tuple(str(alias) for alias in entry.get("aliases", ()))
                    found.append(Hole(str(entry["id"]), name, version, _severity(entry, affected), fixed, aliases))
                    break
        return tuple(found)


def load_advisories(path: Path) -> Advisories:
    """Read a JSON file (one advisory or a list), a folder of them, or a zip as OSV offers it for an ecosystem.

    Raises TargetError where there is nothing readable.
    """
    by_package: dict[str, list[Mapping[str, Any]]] = {}
    count, newest = 0, None
    for text in _texts(path):
        try:
            read = json.loads(text)
        except ValueError as error:
            raise TargetError(f"{path}: an advisory is no JSON: {error}") from None
        for entry in read if isinstance(read, list) else [read]:
            if not isinstance(entry, dict) or "id" not in entry or entry.get("withdrawn"):
                continue
            names = {_name(affected) for affected in entry.get("affected", ())} - {""}
            for name in names:
                by_package.setdefault(name, []).append(entry)
            count += bool(names)
            newest = _later(newest, entry.get("modified")) if names else newest
    return Advisories({name: tuple(entries) for name, entries in by_package.items()}, count, newest)


def _texts(path: Path) -> Iterator[str]:
    try:
        if path.is_dir():
            files = sorted(path.rglob("*.json"))
            _bounded(path, sum(file.stat().st_size for file in files))
            yield from (file.read_text(encoding="utf-8") for file in files)
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                members = [member for member in archive.infolist() if member.filename.endswith(".json")]
                _bounded(path, sum(member.file_size for member in members))
                yield from (archive.read(member).decode("utf-8") for member in members)
        else:
            _bounded(path, path.stat().st_size)
            yield path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, zipfile.BadZipFile) as error:
        raise TargetError(f"{path}: the advisories cannot be read: {error}") from None


def _bounded(path: Path, size: int) -> None:
    if size > _MOST_BYTES:
        raise TargetError(
            f"{path}: {size // 1_048_576} MB of advisories; at most {_MOST_BYTES // 1_048_576} are read"
        )


def _name(affected: Any) -> str:
    package = affected.get("package", {}) if isinstance(affected, dict) else {}
    return str(canonicalize_name(str(package.get("name", "")))) if package.get("ecosystem") == _ECOSYSTEM else ""


def _of_package(entry: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    yield from (affected for affected in entry["affected"] if _name(affected) == name)


def _affects(affected: Mapping[str, Any], version: str) -> tuple[bool, str]:
    """Whether a version is affected, and the first later version that is not."""
    here = _parsed(version)
    listed = version in affected.get("versions", ())
    for span in affected.get("ranges", ()):
        if here is None or span.get("type") not in ("ECOSYSTEM", "SEMVER"):
            continue
        inside = False
        for event in sorted(span.get("events", ()), key=_order):
            at = _parsed(next(iter(event.values()), ""))
            if "introduced" in event:
                inside = inside or event["introduced"] == "0" or (at is not None and here >= at)
            elif "fixed" in event and at is not None:
                if inside and here < at:
                    return True, str(event["fixed"])
                inside = inside and here < at
            elif "last_affected" in event and at is not None:
                inside = inside and here <= at
        if inside:
            return True, ""
    return listed, ""


def _order(event: Mapping[str, str]) -> tuple[Version, int]:
    """Events by their version; what begins at a version comes before what ends there."""
    kind, value = next(iter(event.items()), ("", "0"))
    return _parsed(value) or Version("0"), 0 if kind == "introduced" else 1


def _parsed(version: str) -> Version | None:
    try:
        return Version(version)
    except InvalidVersion:
        return None


def _severity(entry: Mapping[str, Any], affected: Mapping[str, Any]) -> Severity:
    """As the database words it; medium where it says nothing that can be read."""
    for source in (affected, entry):
        for key in ("ecosystem_specific", "database_specific"):
            said = source.get(key)
            if isinstance(said, dict) and str(said.get("severity", "")).upper() in _SEVERITIES:
                return _SEVERITIES[str(said["severity"]).upper()]
    return "medium"


def _later(newest: datetime | None, said: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(said).replace("Z", "+00:00"))
    except ValueError:
        return newest
    return moment if newest is None or moment > newest else newest
