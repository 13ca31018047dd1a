"""Databases that are told to a service in parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.config.schema import Upstream
from swarm.intake.settings import databases
from swarm.intake.settings.databases import Storage, find_storage, with_missing
from swarm.intake.settings.environment import find_settings
from swarm.intake.survey import survey
from tests.intake.strangers import PINGS, index_of, write_tree

_POSTGRES = """
    import os
    import psycopg


    def connect():
        return psycopg.connect(
            host=os.environ["DB_HOST"], port=os.getenv("DB_PORT", "5432"), dbname=os.getenv("DB_NAME", "desk"),
            user=os.getenv("DB_USER"), password=os.getenv("DB_PASSWORD"),
        )
    """
_REDIS = """
    import os
    import redis

    KEPT = redis.Redis(host=os.getenv("REDIS_HOST", "localhost"), port=int(os.getenv("REDIS_PORT", 6379)),
                       password=os.getenv("REDIS_PASSWORD"))
    """


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "postgres_start", lambda: "postgres -p {port}")
    monkeypatch.setattr(databases, "_redis_start", lambda: "redis-server --port {port}")


def storages(folder: Path, code: str) -> tuple[Storage, ...]:
    index = index_of(folder, {"db.py": code})
    return find_storage(index, find_settings(index), lambda *_: True, "")


def test_one_server_fills_all_parts_of_an_address(tmp_path: Path) -> None:
    (storage,) = storages(tmp_path, _POSTGRES)
    assert storage.upstream is not None
    assert storage.upstream.variables(5544) == {
        "DB_HOST": "127.0.0.1", "DB_PORT": "5544", "DB_NAME": "postgres", "DB_USER": "postgres",
        "DB_PASSWORD": "postgres",
    }  # fmt: skip
    assert storage.settings == {"DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD"}


def test_names_with_a_prefix(tmp_path: Path) -> None:
    code = (
        "import os, psycopg2\nA = os.getenv('DESK_DB_HOST'), os.getenv('DESK_DB_PORT')\n"
        "B = os.getenv('POSTGRES_HOST'), os.getenv('POSTGRES_PORT'), os.getenv('POSTGRES_DB_NAME')\n"
    )
    (storage,) = storages(tmp_path, code)
    assert storage.settings == {
        "DESK_DB_HOST", "DESK_DB_PORT", "POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB_NAME"
    }  # fmt: skip


def test_redis_gets_no_password(tmp_path: Path) -> None:
    (storage,) = storages(tmp_path, _REDIS)
    assert storage.upstream is not None
    assert storage.upstream.variables(7000) == {
        "REDIS_HOST": "127.0.0.1", "REDIS_PORT": "7000", "REDIS_PASSWORD": ""
    }  # fmt: skip


def test_url_and_parts_lead_to_the_same_server(tmp_path: Path) -> None:
    (storage,) = storages(tmp_path, _REDIS + '\n    URL = os.environ["REDIS_URL"]\n')
    assert storage.upstream is not None
    filled = storage.upstream.variables(7000)
    assert (filled["REDIS_URL"], filled["REDIS_PORT"]) == ("redis://127.0.0.1:7000/0", "7000")


def test_driver_hears_the_port_where_no_setting_holds_it(tmp_path: Path) -> None:
    code = "import os\nimport psycopg2\nDB = psycopg2.connect(host=os.getenv('PG_HOST'), dbname='x')\n"
    (storage,) = storages(tmp_path, code)
    assert storage.upstream is not None
    assert storage.upstream.variables(5544) == {"PG_HOST": "127.0.0.1", "PGPORT": "5544"}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os, redis\nR = redis.Redis(host=os.getenv('REDIS_HOST'), port=6379)\n", "whose port the code fixes"),
        ("import os, pymysql\nD = pymysql.connect(host=os.environ['DB_HOST'], port=1)\n", "mysql"),
    ],
)
def test_what_cannot_be_started_is_said(tmp_path: Path, code: str, words: str) -> None:
    (storage,) = storages(tmp_path, code)
    assert storage.upstream is None
    assert words in storage.doubt


def test_host_of_something_else_is_no_database(tmp_path: Path) -> None:
    assert storages(tmp_path, "import os\nimport psycopg\nM = os.getenv('MAIL_HOST'), os.getenv('MAIL_PORT')\n") == ()


def test_names_that_the_code_fixes_are_made_before_the_start() -> None:
    start = "sh -c 'initdb -D $d --no-sync >/dev/null && { /x/postgres -D $d -p {port} & wait; }'"
    made = with_missing(start, 'FATAL:  database "desk" does not exist')
    assert made is not None
    assert 'echo "CREATE DATABASE desk" | /x/postgres --single -D $d postgres' in made
    assert with_missing(made, 'FATAL:  database "desk" does not exist') is None
    assert with_missing(start, "it cannot import 'flask'") is None


def test_mapping_of_agents_yaml_takes_numbers() -> None:
    upstream = Upstream.model_validate({"name": "kept", "env": {"REDIS_DB": 0, "REDIS_PORT": "{port}"}, "start": "x"})
    assert upstream.variables(9) == {"REDIS_DB": "0", "REDIS_PORT": "9"}


def test_draft_holds_no_second_value_for_a_part(tmp_path: Path) -> None:
    draft = survey(write_tree(tmp_path, {**PINGS, "db.py": _POSTGRES}), None, lambda _: None).draft
    assert not {"DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD"} & set(draft.target.env)
    assert [upstream.name for upstream in draft.target.upstreams if upstream.start] == ["postgresql"]


def test_word_in_a_table_of_packages_is_no_library_that_the_service_uses(tmp_path: Path) -> None:
    code = """
        import os

        KNOWN = {"sqlalchemy": "database", "psycopg": "database"}
        try:
            from psycopg_pool import ConnectionPool
        except ImportError:
            ConnectionPool = None


        def pool():
            return ConnectionPool(os.environ["DB_DSN"])
        """
    (storage,) = storages(tmp_path, code)
    assert storage.upstream is not None and storage.upstream.env == "DB_DSN"


def test_two_addresses_of_a_kind_lead_to_one_server(tmp_path: Path) -> None:
    code = "import os, psycopg\nA, B = os.environ['OLD_DB_DSN'], os.environ['NEW_DB_DSN']\n"
    (storage,) = storages(tmp_path, code)
    address = "postgresql://postgres:postgres@127.0.0.1:5544/postgres"
    assert storage.upstream is not None
    assert storage.upstream.variables(5544) == {"OLD_DB_DSN": address, "NEW_DB_DSN": address}
    assert storage.settings == {"OLD_DB_DSN", "NEW_DB_DSN"}
