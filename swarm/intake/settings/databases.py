"""Which databases the service wants, and how each is given to it: a file in {tmp}, or a server of its own."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from swarm.analysis.index import Index
from swarm.config.schema import Upstream
from swarm.intake.settings.database_parts import Address, find_addresses
from swarm.intake.settings.environment import Setting

_NAMES = re.compile(
    r"(^|_)(DATABASE|DB|POSTGRES(QL)?|PG|SQLALCHEMY\w*|SQLITE|REDIS|VALKEY|MYSQL|MONGO(DB)?|BROKER|RESULT_BACKEND"
    r"|CELERY\w*|RABBITMQ|AMQP|KAFKA)(_|$)"
)
_FILE = re.compile(r"[\w./-]+\.(db3?|sqlite3?)")
_SCHEME = re.compile(r"^([a-z0-9]+)(\+[a-z0-9]+)?:", re.IGNORECASE)
_ONLY_POSTGRES = re.compile(
    r"sqlalchemy\.dialects\.postgresql|postgresql\.(JSONB|UUID|ARRAY)|JSONB|FOR UPDATE SKIP LOCKED|pgvector"
)
_POSTGRES_ADDRESS = "postgresql://postgres:postgres@127.0.0.1:{port}/postgres"
_DRIVERS = ("asyncpg", "psycopg", "psycopg_pool", "psycopg2", "pg8000")


@dataclass(frozen=True, slots=True)
class Storage:
    """How one variable is filled: by `value`, or by an upstream; `doubt` where neither can be known."""

    setting: str
    value: str | None = None
    upstream: Upstream | None = None
    doubt: str = ""

    @property
    def settings(self) -> frozenset[str]:
        """All variables that it fills."""
        by_upstream = self.upstream.variables(0) if self.upstream is not None else {}
        return frozenset({self.setting, *by_upstream})


def find_storage(
    index: Index, settings: Iterable[Setting], has_module: Callable[..., bool], other_text: str
) -> tuple[Storage, ...]:
    """A storage for each setting that names a database by its URL or file, and for each that is named in parts.

    `other_text`: what migrations say.
    """
    settings = tuple(settings)
    by_address = _by_address(index, settings, has_module, other_text)
    addresses = find_addresses(index, settings)
    return tuple(_with_addresses(by_address, addresses))


def _by_address(
    index: Index, settings: Iterable[Setting], has_module: Callable[..., bool], other_text: str
) -> list[Storage]:
    found: list[Storage] = []
    for setting in settings:
        kind = _kind(setting)
        if kind == "file":
            found.append(Storage(setting.name, f"{{tmp}}/{Path(setting.default or '').name}"))
        elif kind == "redis":
            found.append(_redis(setting))
        elif kind in ("sqlite", "postgresql", "sql"):
            storage = _sql(index, setting, kind, has_module, other_text)
            at = next((n for n, s in enumerate(found) if storage.upstream and s.upstream
                       and s.upstream.start == storage.upstream.start), None)  # fmt: skip
            if at is None or storage.upstream is None:
                found.append(storage)
            else:  # one server for all that name one
                found[at] = _also(found[at], {setting.name: storage.upstream.url})
        elif kind:
            words = f"no {kind} is started for {setting.name}; name one with `start`, or point it at a test server"
            found.append(Storage(setting.name, None, None, words))
    return found


def _with_addresses(found: list[Storage], addresses: Iterable[Address]) -> list[Storage]:
    """One server for all addresses of a kind: that of a URL where there is one."""
    for address in addresses:
        name = address.host.name
        start = _start(address.kind)
        if not address.values or start is None:
            words = f"no {address.kind} is installed here for {name}; point it at a test server"
            found.append(Storage(name, None, None, words))
            continue
        if address.fixed_port:
            words = f"{name} names a {address.kind} whose port the code fixes, and swarm's servers get free ports"
            found.append(Storage(name, None, None, f"{words}: let a setting hold the port, or {name} name your own"))
            continue
        scheme = {"redis": "redis://127.0.0.1:{port}/0"}.get(address.kind, _POSTGRES_ADDRESS)
        at = next((n for n, s in enumerate(found) if s.upstream is not None and s.upstream.start == start), None)
        if at is None:
            if address.kind == "postgresql" and any(_is_sqlite(storage) for storage in found):
                found.append(Storage(name, "127.0.0.1"))  # its URL leads elsewhere, and that is what code prefers
                continue
            env = address.values
            found.append(Storage(name, None, Upstream(name=address.kind, env=env, url=scheme, start=start)))
        else:
            found[at] = _also(found[at], address.values)
    return found


def _also(storage: Storage, values: Mapping[str, str | None]) -> Storage:
    """The storage whose upstream fills further variables."""
    upstream = storage.upstream
    assert upstream is not None
    named = {upstream.env: upstream.url} if isinstance(upstream.env, str) else upstream.env or {}
    return replace(storage, upstream=upstream.model_copy(update={"env": {**named, **values}}))


def _is_sqlite(storage: Storage) -> bool:
    return (storage.value or "").startswith("sqlite")


def _start(kind: str) -> str | None:
    return _redis_start() if kind == "redis" else postgres_start() if kind == "postgresql" else None


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
    start = _redis_start()
    if start is None:
        return Storage(
            setting.name, None, None, f"{setting.name} wants Redis, and redis-server is not installed here"
        )
    upstream = Upstream(name=_name(setting, "redis"), env=setting.name, url="redis://127.0.0.1:{port}/0", start=start)
    return Storage(setting.name, None, upstream)


def _redis_start() -> str | None:
    return "redis-server --bind 127.0.0.1 --port {port} --save ''" if shutil.which("redis-server") else None


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
    by_alchemy = (
        re.search(r"^\s*(import|from) (sqlalchemy|sqlmodel|flask_sqlalchemy)\b", text, re.MULTILINE) is not None
    )
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


def with_missing(start: str, text: str) -> str | None:
    """The start of a PostgreSQL that also makes the role or database which an error misses; None where none is."""
    missing = re.search(r'(role|database) "(\w+)" does not exist', text)
    serving = re.search(r"(\S+/postgres) -D \$d -p", start)
    if missing is None or serving is None:
        return None
    made = f"CREATE {missing[1].upper()} {missing[2]}" + (" SUPERUSER LOGIN" if missing[1] == "role" else "")
    if made in start:
        return None
    before = "--no-sync >/dev/null && "
    single = f'echo "{made}" | {serving[1]} --single -D $d postgres >/dev/null && '
    return start.replace(before, before + single, 1)


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
