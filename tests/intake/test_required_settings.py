"""Settings that the code reads: which it cannot do without, and harmless values for them."""

from __future__ import annotations

from pathlib import Path

from swarm.intake.settings.environment import find_settings, harmless_value
from swarm.intake.survey import survey
from swarm.intake.webhooks.senders import known_body
from tests.intake.strangers import NOTES, ORDERS, index_of, write_tree


def test_settings_and_which_are_required(tmp_path: Path) -> None:
    text = """
        import os
        from decouple import config
        from environs import Env

        env = Env()
        A = os.environ["A_SECRET"]
        B = os.getenv("B_SECRET")
        C = os.environ.get("C_URL", "http://c.example")
        D = config("D_COUNT", cast=int)
        E = env.int("E_SIZE")
        F = env.str("F_NAME", "f")


        def required(name):
            value = os.getenv(name)
            if not value:
                raise RuntimeError(name)
            return value


        G = required("G_KEY")
        """
    found = {s.name: s for s in find_settings(index_of(tmp_path, {**ORDERS, "more.py": text}))}
    required = {name for name, setting in found.items() if setting.required}
    assert required == {"A_SECRET", "D_COUNT", "E_SIZE", "G_KEY", "WEBHOOK_SECRET", "REGION"}
    assert found["B_SECRET"].wants_value and not found["F_NAME"].wants_value
    assert found["SHOP_API"].default == "https://api.shop.example/v2"
    assert (harmless_value(found["D_COUNT"]), harmless_value(found["E_SIZE"])) == ("1", "1")
    assert len(harmless_value(found["A_SECRET"])) >= 16


def test_settings_of_pydantic(tmp_path: Path) -> None:
    text = """
        from pydantic import Field
        from pydantic_settings import BaseSettings, SettingsConfigDict


        class Settings(BaseSettings):
            model_config = SettingsConfigDict(env_prefix="SHOP_")
            secret: str
            retries: int = Field(default=3)
            size: int
            region: str = Field(..., alias="REGION")
            api: str = "https://api.shop.example"
        """
    found = {s.name: s for s in find_settings(index_of(tmp_path, {"settings.py": text}))}
    assert {name for name, setting in found.items() if setting.required} == {"SHOP_SECRET", "SHOP_SIZE", "REGION"}
    assert (found["SHOP_SIZE"].kind, found["SHOP_API"].default) == ("int", "https://api.shop.example")


def test_real_secrets_are_not_read(tmp_path: Path) -> None:
    files = {**NOTES, ".env": "NOTES_TOKEN=the-real-one\n", ".env.example": "NOTES_TOKEN=change-me\n"}
    found = survey(write_tree(tmp_path, files), None, lambda _: None).draft
    assert "the-real-one" not in str(found.target)
    assert found.target.env["NOTES_TOKEN"].startswith("test-")


def test_setting_without_a_default_of_its_own_is_required(tmp_path: Path) -> None:
    text = (
        "import os\nfrom pydantic_settings import BaseSettings\n\n\nclass Settings(BaseSettings):\n"
        "    STAGE: str = os.getenv('STAGE')\n    TEAM: str = os.getenv('TEAM', 'a')\n"
    )
    required = {s.name: s.required for s in find_settings(index_of(tmp_path, {"app.py": text}))}
    assert required == {"STAGE": True, "TEAM": False}


def test_mapping_in_the_environment_is_left_out_or_json(tmp_path: Path) -> None:
    text = (
        "from pydantic_settings import BaseSettings\n\n\nclass Settings(BaseSettings):\n"
        "    BOT_TOKEN_BY_KEY: dict[str, str] = {}\n    LIMITS: dict[str, int]\n"
    )
    known = {s.name: s for s in find_settings(index_of(tmp_path, {"app.py": text}))}
    assert not known["BOT_TOKEN_BY_KEY"].wants_value
    assert known["LIMITS"].wants_value
    assert harmless_value(known["LIMITS"]) == "{}"


def test_ids_in_settings_are_those_of_the_examples(tmp_path: Path) -> None:
    text = (
        "from pydantic_settings import BaseSettings\n\n\nclass Settings(BaseSettings):\n"
        "    ALLOWED_CHAT_ID: int\n    WORKERS: int\n"
    )
    values = {s.name: harmless_value(s) for s in find_settings(index_of(tmp_path, {"app.py": text}))}
    assert values == {"ALLOWED_CHAT_ID": "1001", "WORKERS": "1"}
    telegram, _ = known_body(["telegram"]) or ({}, False)
    assert telegram["message"]["chat"]["id"] == 1001
