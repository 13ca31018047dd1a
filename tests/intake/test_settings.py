"""Settings whose names code puts together, and keys that only a real one may stand for."""

from __future__ import annotations

import base64
from pathlib import Path

from swarm.intake.settings.environment import find_settings, harmless_value
from swarm.intake.survey import survey
from tests.intake.strangers import index_of, write_tree


def test_a_variable_for_each_field_of_a_class(tmp_path: Path) -> None:
    text = """
        import os
        from dataclasses import dataclass, fields


        @dataclass
        class Settings:
            database: str = "ferry.db"
            workers: int = 2
            webhook_secret: str = "change-me"

            @classmethod
            def load(cls):
                settings = cls()
                for field in fields(cls):
                    given = os.environ.get("FERRY_" + field.name.upper())
                    if given is not None:
                        setattr(settings, field.name, given)
                return settings
        """
    found = {setting.name: setting for setting in find_settings(index_of(tmp_path, {"app.py": text}))}
    assert {name: setting.default for name, setting in found.items()} == {
        "FERRY_DATABASE": "ferry.db", "FERRY_WORKERS": "2", "FERRY_WEBHOOK_SECRET": "change-me",
    }  # fmt: skip
    assert found["FERRY_WORKERS"].kind == "int"
    assert not any(setting.required for setting in found.values())


def test_a_variable_for_each_key_of_a_table(tmp_path: Path) -> None:
    text = """
        import os

        DEFAULTS = {"mail_host": "localhost", "token": ""}
        config = {key: os.getenv(f"APP_{key}".upper(), value) for key, value in DEFAULTS.items()}
        others = [os.environ[name] for name in ("ONE", "TWO")]
        """
    found = {setting.name: setting.default for setting in find_settings(index_of(tmp_path, {"app.py": text}))}
    assert found == {"APP_MAIL_HOST": "localhost", "APP_TOKEN": "", "ONE": None, "TWO": None}


def test_variables_that_flask_reads_by_a_prefix(tmp_path: Path) -> None:
    files = {
        "till/__init__.py": """
            from flask import Flask


            def create_app():
                app = Flask(__name__)
                app.config.from_mapping(LEDGER_URL="https://ledger.example", WEBHOOK_SECRET=None)
                app.config.from_prefixed_env("TILL")
                return app
            """,
        "till/hooks.py": """
            from flask import current_app


            def key():
                return current_app.config["API_KEY"] + current_app.config.get("REGION", "eu")
            """,
    }
    found = {setting.name: setting.default for setting in find_settings(index_of(tmp_path, files))}
    assert found == {
        "TILL_LEDGER_URL": "https://ledger.example", "TILL_WEBHOOK_SECRET": None, "TILL_API_KEY": None,
        "TILL_REGION": None,
    }  # fmt: skip


def test_a_private_key_is_a_real_one_in_the_form_that_is_read(tmp_path: Path) -> None:
    text = """
        import base64
        import os

        KEY = os.environ["APP_PRIVATE_KEY"]
        PACKED = base64.b64decode(os.environ["GH_PRIVATE_KEY"])
        """
    found = {setting.name: harmless_value(setting) for setting in find_settings(index_of(tmp_path, {"app.py": text}))}
    assert found["APP_PRIVATE_KEY"].startswith("-----BEGIN RSA PRIVATE KEY-----\n")
    assert base64.b64decode(found["GH_PRIVATE_KEY"]).startswith(b"-----BEGIN RSA PRIVATE KEY-----\n")


def test_a_file_that_must_be_there_is_the_one_of_the_tests(tmp_path: Path) -> None:
    files = {
        "app.py": """
            from fastapi import FastAPI
            from pydantic import FilePath
            from pydantic_settings import BaseSettings


            class Settings(BaseSettings):
                app_key: FilePath = "app_key.pem"
                there: FilePath = "there.txt"


            app = FastAPI()


            @app.post("/hook")
            def hook(event: dict):
                return event
            """,
        "there.txt": "x",
        "tests/test_app_key.pem": "x",
    }
    write_tree(tmp_path, files)
    env = survey(tmp_path, None, lambda words: None).draft.target.env
    assert env == {"APP_KEY": "tests/test_app_key.pem"}
