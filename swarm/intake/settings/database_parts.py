"""Databases whose address is given in parts: host, port, user, password and name, each a setting of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from swarm.analysis.index import Index
from swarm.intake.settings.environment import Setting

_PART = re.compile(
    r"(?P<head>\w*?)_?(?P<part>HOSTNAME|HOST|ADDRESS|ADDR|SERVER|PORT|USERNAME|USER|LOGIN|PASSWORD|PASSWD|PASS|PWD"
    r"|DATABASE|DBNAME|DB|NAME|SSLMODE|SSL|TLS)"
)
_HEADS = (
    ("redis", r"(^|_)(REDIS|VALKEY)(_|$)"),
    ("postgresql", r"(^|_)(POSTGRES(QL)?|PG|PSQL)(_|$)"),
    ("mysql", r"(^|_)(MYSQL|MARIADB)(_|$)"),
    ("mongodb", r"(^|_)MONGO(DB)?(_|$)"),
)
_ANY_SQL = re.compile(r"(^|_)(DB|DATABASE|SQL)(_|$)")
_SPEAKS = {  # by its driver, or by the scheme of an address
    "postgresql": re.compile(
        r"^\s*(import|from)\s[^\n#]*\b(psycopg2?|asyncpg|pg8000|psycopg_pool)\b"
        r"|postgres(ql)?(\+\w+)?(://|[\"'])", re.MULTILINE
    ),
    "mysql": re.compile(
        r"^\s*(import|from)\s[^\n#]*\b(pymysql|aiomysql|MySQLdb|mysql)\b|mysql(\+\w+)?(://|[\"'])", re.MULTILINE
    ),
}  # fmt: skip
_KINDS_OF_PART = {
    "host": ("HOSTNAME", "HOST", "ADDRESS", "ADDR", "SERVER"),
    "port": ("PORT",),
    "user": ("USERNAME", "USER", "LOGIN"),
    "password": ("PASSWORD", "PASSWD", "PASS", "PWD"),
    "name": ("DATABASE", "DBNAME", "DB", "NAME"),
    "sslmode": ("SSLMODE",),
    "tls": ("SSL", "TLS"),
}
_VALUES = {
    "redis": {"host": "127.0.0.1", "port": "{port}", "user": "", "password": "", "name": "0", "tls": "false"},
    "postgresql": {
        "host": "127.0.0.1", "port": "{port}", "user": "postgres", "password": "postgres", "name": "postgres",
        "sslmode": "disable", "tls": "false",
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Address:
    """One database: its kind, the setting that holds its host, and a value for each of its settings.

    `values` is empty where swarm starts none of that kind; `fixed_port` where no setting holds the port.
    """

    kind: str
    host: Setting
    values: dict[str, str] = field(default_factory=dict)
    fixed_port: bool = False


def find_addresses(index: Index, settings: Iterable[Setting]) -> tuple[Address, ...]:
    """A database for each group of settings that begin alike and hold a host."""
    groups: dict[str, dict[str, Setting]] = {}
    for setting in settings:
        match = _PART.fullmatch(setting.name.upper())
        if match is not None and match["head"]:
            part = next(kind for kind, words in _KINDS_OF_PART.items() if match["part"] in words)
            shorter = match["head"].removesuffix("_DB")  # POSTGRES_DB_NAME beside POSTGRES_HOST
            head = shorter if any(re.search(pattern, shorter) for _, pattern in _HEADS) else match["head"]
            groups.setdefault(head, {}).setdefault(part, setting)
    found = []
    for head, parts in groups.items():
        kind = _kind(index, head)
        if not kind or "host" not in parts:
            continue
        values = {s.name: _VALUES[kind][part] for part, s in parts.items() if part in _VALUES.get(kind, {})}
        fixed = "port" not in parts
        if fixed and kind == "postgresql":
            values["PGPORT"] = "{port}"  # what its drivers take where the code names no port
        found.append(Address(kind, parts["host"], values, fixed and kind != "postgresql"))
    return tuple(found)


def _kind(index: Index, head: str) -> str:
    named = next((kind for kind, pattern in _HEADS if re.search(pattern, head)), "")
    if named or not _ANY_SQL.search(head):
        return named
    text = "\n".join(module.text for module in index.tree.modules.values())
    return next((kind for kind, pattern in _SPEAKS.items() if pattern.search(text)), "")
