"""Which databases the service wants, and how each is given to it: a file in {tmp}, or a server of its own."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from swarm.analysis.index import Index
from swarm.config.schema import Upstream
from swarm.intake.settings import Setting

_NAMES = re.compile(
    r"(^|_)(DATABASE|DB|POSTGRES(QL)?|PG|SQLALCHEMY\w*|SQLITE|REDIS|VALKEY|MYSQL|MONGO(DB)?|BROKER|RESULT_BACKEND"
    r"|CELERY\w*|RABBITMQ|AMQP|KAFKA)(_|$)"
)
_FILE = re.compile(r"[\w./-]+\.(db3?|sqlite3?)")
_SCHEME = re.compile(r"^([a-z0-9]+)(\+[a-z0-9]+)?:", re.IGNORECASE)
_ONLY_POSTGRES = re.compile(
    r"sqlalchemy\.dialects\.postgresql|postgresql\.(JSONB|UUID|ARRAY)|JSONB|FOR UPDATE SKIP LOCKED|pgvector"
)
_DRIVERS = ("asyncpg", "psycopg", "psycopg2", "pg8000")


@dataclass(frozen=True, slots=True)
class Storage:
    """How one variable is filled: by `value`, or by an upstream; `doubt` where neither can be known."""

    setting: str
    value: str | None = None
    upstream: Upstream | None = None
    doubt: str = ""


def find_storage(
    index: Index, settings: Iterable[Setting], has_module: Callable[..., bool], other_text: str
) -> tuple[Storage, ...]:
    """A storage for each setting that names a database by its URL or file; `other_text`: what migrations say."""
    found: list[Storage] = []
    taken = False
    for setting in settings:
        kind = _kind(setting)
        if kind == "file":
            found.append(Storage(setting.name, f"{{tmp}}/{Path(setting.default or '').name}"))
        elif kind == "redis":
            found.append(_redis(setting))
        elif kind in ("sqlite", "postgresql", "sql"):
            storage = _sql(index, setting, kind, has_module, other_text)
            if storage.upstream is not None and taken:
                continue
            taken |= storage.upstream is not None
            found.append(storage)
        elif kind:
            words = f"no {kind} is started for {setting.name}; name one with `start`, or point it at a test server"
            found.append(Storage(setting.name, None, None, words))
    return tuple(found)


def _kind(setting: Setting) -> str:
    name = setting.name.upper()
    scheme = _SCHEME.match(setting.default or "")
    word = scheme[1].lower() if scheme and "//" in (setting.default or "") else ""
    known = {
        "sqlite": "sqlite", "postgresql": "postgresql", "postgres": "postgresql", "redis": "redis", "rediss": "redis",
        "mysql": "mysql", "mariadb": "mysql", "mongodb": "mongodb", "amqp": "amqp", "kafka": "kafka",
    }  # fmt: skip
    if word in known:
        return known[word]
    if not word and _FILE.fullmatch(setting.default or ""):
        return "file"
    if word in ("http", "https") or not _NAMES.search(name) or not re.search(r"URL|URI|DSN|BROKER|BACKEND", name):
        return ""
    if re.search(r"REDIS|VALKEY|BROKER|RESULT_BACKEND", name):
        return "redis"
    for other in ("MYSQL", "MONGO", "RABBITMQ", "AMQP", "KAFKA"):
        if other in name:
            return {"MONGO": "mongodb", "RABBITMQ": "amqp"}.get(other, other.lower())
    return "sqlite" if "SQLITE" in name else "postgresql" if re.search(r"POSTGRES|(^|_)PG_", name) else "sql"


def _redis(setting: Setting) -> Storage:
    if shutil.which("redis-server") is None:
        return Storage(
            setting.name, None, None, f"{setting.name} wants Redis, and redis-server is not installed here"
        )
    start = "redis-server --bind 127.0.0.1 --port {port} --save ''"
    upstream = Upstream(name=_name(setting, "redis"), env=setting.name, url="redis://127.0.0.1:{port}/0", start=start)
    return Storage(setting.name, None, upstream)


def _name(setting: Setting, kind: str) -> str:
    head = re.sub(r"_?(URL|URI|DSN)$", "", setting.name.upper()).lower().replace("_", "-")
    return head or kind


def _sql(index: Index, setting: Setting, kind: str, has_module: Callable[..., bool], other_text: str) -> Storage:
    """SQLite where the code allows it; a PostgreSQL of its own where it speaks to one."""
    text = "\n".join(module.text for module in index.tree.modules.values())
    is_async = bool(re.search(r"create_async_engine|AsyncEngine|\bdatabases\b import|async_engine", text))
    direct = [d for d in _DRIVERS if re.search(rf"^\s*(import|from) {d}\b", text, re.MULTILINE)]
    only = bool(
        _ONLY_POSTGRES.search(text) or _ONLY_POSTGRES.search(other_text) or re.search(r"postgresql\b", other_text)
    )
    by_alchemy = re.search(r"\b(sqlalchemy|sqlmodel|flask_sqlalchemy)\b", text) is not None
    driver = "+aiosqlite" if is_async else ""
    usable = not is_async or has_module("aiosqlite")
    if kind == "sqlite" or (by_alchemy and not direct and not only and usable):
        if kind == "sqlite" and setting.default and not setting.default.startswith("sqlite"):
            return Storage(setting.name, "{tmp}/service.db")
        written = re.match(r"sqlite(\+\w+)?", setting.default or "")
        return Storage(setting.name, f"{written[0] if written else 'sqlite' + driver}:///{{tmp}}/service.db")
    start = postgres_start()
    if start is None:
        words = f"{setting.name} wants PostgreSQL, and none is installed here (initdb is not found)"
        return Storage(setting.name, None, None, words)
    scheme = re.match(r"[a-z0-9]+(\+[a-z0-9]+)?", setting.default or "")
    head = scheme[0] if scheme and scheme[0].startswith("postgres") else _postgres_scheme(text, is_async, has_module)
    upstream = Upstream(
        name="postgres", env=setting.name, url=f"{head}://postgres:postgres@127.0.0.1:{{port}}/postgres", start=start
    )
    return Storage(setting.name, None, upstream)


def _postgres_scheme(text: str, is_async: bool, has_module: Callable[..., bool]) -> str:
    if re.search(r"[\"']postgresql\+asyncpg", text) and re.search(r"\.replace\(", text):
        return "postgresql"  # the code itself names the driver
    if is_async:
        return "postgresql+asyncpg" if has_module("asyncpg") else "postgresql+psycopg"
    if not has_module("psycopg2") and has_module("psycopg") and "create_engine" in text:
        return "postgresql+psycopg"
    return "postgresql"


def postgres_start() -> str | None:
    """A command that makes an empty PostgreSQL and serves it on {port}; None where it is not installed.

    PostgreSQL refuses to run as root: then it runs as an unprivileged user, in a folder of that user's.
    """
    folder = _postgres_programs()
    if folder is None:
        return None
    create = f"{folder}/initdb -D $d -U postgres -A trust -E UTF8 --no-sync >/dev/null"
    settings = "-c fsync=off -c listen_addresses=127.0.0.1 -c unix_socket_directories="
    serve = f"{folder}/postgres -D $d -p {{port}} {settings}"
    if os.geteuid() != 0:
        return f"sh -c 'd={{tmp}}/data && {create} && exec {serve}'"
    user = next((name for name in ("postgres", "nobody") if _is_user(name)), "nobody")
    clean = 'd=$(mktemp -d) && trap "rm -rf $d" EXIT && trap exit TERM INT'
    prefix = f"setpriv --reuid {user} --regid {_group(user)} --clear-groups env TMPDIR=/tmp"
    return f"{prefix} sh -c '{clean} && {create} && {{ {serve} & wait; }}'"


def _postgres_programs() -> Path | None:
    beside = shutil.which("initdb")
    if beside is not None:
        return Path(beside).parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: p.parent.parent.name)
    return found[-1].parent if found else None


def _is_user(name: str) -> bool:
    import pwd

    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _group(name: str) -> str:
    import grp
    import pwd

    try:
        return grp.getgrgid(pwd.getpwnam(name).pw_gid).gr_name
    except KeyError:
        return "nogroup"
