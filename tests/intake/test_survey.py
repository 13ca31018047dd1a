"""What reading a tree tells, started nothing."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from swarm.core.errors import TargetError
from swarm.intake.applications import find_applications
from swarm.intake.commands import start_commands
from swarm.intake.databases import find_storage
from swarm.intake.interpreter import find_interpreter
from swarm.intake.recorded import posted
from swarm.intake.senders import known_body
from swarm.intake.settings import find_settings, harmless_value
from swarm.intake.signatures import candidates
from swarm.intake.survey import survey
from swarm.intake.tables import create_tables
from swarm.intake.webhooks import find_entries, health_path
from tests.intake.strangers import NOTES, ORDERS, PINGS, index_of, write_tree


def test_factory_of_a_src_layout(tmp_path: Path) -> None:
    (app, *_) = find_applications(index_of(tmp_path, ORDERS))
    assert (app.framework, app.written, app.is_factory, app.root) == ("fastapi", "orders.app:create_app", True, "src")


def test_object_made_by_a_factory_goes_first(tmp_path: Path) -> None:
    files = {**NOTES, "wsgi.py": "from notes import create_app\n\napplication = create_app()\n"}
    (app, *_) = find_applications(index_of(tmp_path, files))
    assert (app.written, app.is_factory) == ("wsgi:application", False)


def test_service_in_a_folder_below(tmp_path: Path) -> None:
    files = {f"backend/{name}": text for name, text in PINGS.items()}
    (app, *_) = find_applications(index_of(tmp_path, files))
    assert (app.root, app.written) == ("backend", "server:application")


@pytest.mark.parametrize(
    ("name", "text", "start"),
    [
        ("Procfile", "web: gunicorn -w 4 -b 0.0.0.0:$PORT app:app\n", "gunicorn app:app --bind 127.0.0.1:{port}"),
        (
            "Dockerfile",
            'FROM python\nCMD ["uvicorn", "app:app", "--host", "0.0.0.0", "--port", "80", "--proxy-headers"]\n',
            "uvicorn app:app --proxy-headers --host 127.0.0.1 --port {port}",
        ),
        (
            "docker-compose.yml",
            "services:\n  web:\n    command: sh -c 'alembic upgrade && uvicorn app:app --reload --host 0.0.0.0'\n",
            "uvicorn app:app --host 127.0.0.1 --port {port}",
        ),
        (
            "Makefile",
            "run:\n\tpoetry run flask --app app run --debug -p 5001\n",
            "flask --app app run --host 127.0.0.1 --port {port}",
        ),
    ],
)
def test_commands_that_are_written(tmp_path: Path, name: str, text: str, start: str) -> None:
    write_tree(tmp_path, {name: text})
    assert start in [command.start for command in start_commands(tmp_path, ())]


def test_prose_is_no_command(tmp_path: Path) -> None:
    write_tree(tmp_path, {"README.md": "Start it with uvicorn or any ASGI server of your choice: it listens.\n"})
    assert start_commands(tmp_path, ()) == ()


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


def test_routes_with_all_prefixes(tmp_path: Path) -> None:
    orders = index_of(tmp_path / "orders", ORDERS)
    notes = index_of(tmp_path / "notes", NOTES)
    pings = index_of(tmp_path / "pings", PINGS)
    assert [e.path for e in find_entries(orders)] == ["/api/v1/hooks/orders"]
    assert [e.path for e in find_entries(notes)] == ["/in/event"]
    assert [e.path for e in find_entries(pings)] == ["/hooks/event"]
    assert (health_path(orders), health_path(notes), health_path(pings)) == ("/healthz", "/in/ping", "/health")


def test_body_from_the_fields_that_are_read(tmp_path: Path) -> None:
    (entry,) = find_entries(index_of(tmp_path, ORDERS))
    assert [body["type"] for body in entry.payloads] == ["order.created", "order.deleted"]
    assert all(body["order"]["id"] for body in entry.payloads)


def test_a_body_under_githubs_header_may_be_metas() -> None:
    github, _ = known_body(["/webhook", "x-hub-signature-256", "pusher"]) or ({}, False)
    meta, _ = known_body(["/webhook", "x-hub-signature-256", "entry", "object"]) or ({}, False)
    assert "commits" in github and meta["entry"][0]["changes"][0]["value"]["messages"]


def test_body_read_by_a_function_that_works_later(tmp_path: Path) -> None:
    text = """
        from fastapi import BackgroundTasks, FastAPI, Request

        app = FastAPI()


        def work(event):
            print(event["customer"]["email"], [line["sku"] for line in event["lines"]])


        @app.post("/hook")
        async def hook(request: Request, tasks: BackgroundTasks):
            tasks.add_task(work, await request.json())
        """
    (entry,) = find_entries(index_of(tmp_path, {"app.py": text}))
    assert entry.payloads == ({"customer": {"email": "{{uuid}}@example.com"}, "lines": [{"sku": "{{uuid}}"}] * 3},)


def test_body_of_a_model(tmp_path: Path) -> None:
    text = """
        from enum import Enum
        from typing import Literal, Optional

        from fastapi import FastAPI
        from pydantic import BaseModel, EmailStr, Field

        app = FastAPI()


        class Kind(str, Enum):
            paid = "paid"


        class Line(BaseModel):
            sku: str
            count: int


        class Event(BaseModel):
            kind: Kind
            version: Literal["2"]
            customer: EmailStr
            lines: list[Line]
            order_id: int = Field(..., alias="orderId")
            note: Optional[str] = None


        @app.post("/events")
        def take(event: Event):
            return event
        """
    (entry,) = find_entries(index_of(tmp_path, {"app.py": text}))
    assert entry.payloads == (
        {
            "kind": "paid", "version": "2", "customer": "{{uuid}}@example.com",
            "lines": [{"sku": "{{uuid}}", "count": 2}], "orderId": "{{int:1:500}}",
        },
    )  # fmt: skip


def test_bodies_that_tests_send(tmp_path: Path) -> None:
    text = """
        import json

        BODY = {"type": "order.created", "order": {"id": 7}}


        def test_it(client):
            client.post("/hooks/orders", json=BODY)
            client.post("/hooks/orders", content=json.dumps({"type": "x"}).encode())
            client.post("/other", json={"no": 1})
        """
    write_tree(tmp_path, {"tests/test_app.py": text})
    bodies = posted(tmp_path, "/hooks/orders").bodies
    assert bodies == ({"type": "order.created", "order": {"id": 7}}, {"type": "x"})


def test_signature_is_read_off_its_check(tmp_path: Path) -> None:
    index = index_of(tmp_path, ORDERS)
    (entry,) = find_entries(index)
    first, *_, last = candidates(index, entry, find_settings(index))
    assert first.sign.model_dump(exclude_none=True) == {
        "scheme": "hmac-sha256", "header": "X-Shop-Signature", "secret_env": "WEBHOOK_SECRET",
        "format": "sha256={hex}", "signed": "{body}",
    }  # fmt: skip
    assert last.sign.scheme == "none"


def test_tables_are_made_from_models_that_nobody_makes(tmp_path: Path) -> None:
    files = {
        "app/__init__.py": "",
        "app/db.py": "from sqlalchemy import create_engine\n\nengine = create_engine('sqlite://')\n",
        "app/models.py": """
            from sqlalchemy import Integer
            from sqlalchemy.orm import DeclarativeBase, mapped_column


            class Base(DeclarativeBase):
                pass


            class Order(Base):
                __tablename__ = "orders"
                id = mapped_column(Integer, primary_key=True)
            """,
    }
    command = create_tables(index_of(tmp_path, files), "")
    assert command is not None
    words = shlex.split(command)
    done = subprocess.run([sys.executable, *words[1:]], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "create_all(engine)" in words[2]
    assert create_tables(index_of(tmp_path / "none", PINGS), "") is None


@pytest.mark.parametrize(
    ("code", "value"),
    [
        (
            "import os\nfrom sqlalchemy import create_engine\ne = create_engine(os.environ['DATABASE_URL'])\n",
            "sqlite",
        ),
        (
            "import os\nfrom sqlalchemy.ext.asyncio import create_async_engine\n"
            "e = create_async_engine(os.environ['DATABASE_URL'])\n",
            "sqlite+aiosqlite",
        ),
        ("import os\nimport sqlite3\nFILE = os.environ.get('ORDERS_DB', 'data/orders.sqlite3')\n", "{tmp}/orders"),
        ("import os\nimport asyncpg\nDSN = os.environ['DATABASE_URL']\n", "postgresql"),
    ],
)
def test_database_by_what_the_code_speaks(tmp_path: Path, code: str, value: str) -> None:
    index = index_of(tmp_path, {"db.py": code})
    (storage,) = find_storage(index, find_settings(index), lambda *_: True, "")
    given = storage.value or (storage.upstream.url if storage.upstream else storage.doubt)
    assert given.startswith((f"{value}://", f"{value}.sqlite3")) or (
        value == "postgresql" and "wants PostgreSQL" in given
    )


def test_form_and_json_is_json(tmp_path: Path) -> None:
    text = """
        from flask import Flask, request

        app = Flask("x")


        @app.post("/hook")
        def hook():
            data = request.get_json(silent=True) or request.form.to_dict()
            return data.get("message", {}).get("body").strip()
        """
    (entry,) = find_entries(index_of(tmp_path, {"app.py": text}))
    assert (entry.payloads, entry.is_form) == (({"message": {"body": "hello from a test"}},), False)


def test_missing_imports_are_named_with_their_place(tmp_path: Path) -> None:
    text = (
        "import json\nimport no_such_package.inner\n\ntry:\n    import no_such_extra\nexcept ImportError:\n    pass\n"
    )
    found = find_interpreter(tmp_path, index_of(tmp_path, {"app.py": text, "own.py": "import app\n"}))
    assert found.missing == {"no_such_package": "app.py:2"}


def test_virtual_environment_of_the_tree(tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (tmp_path / ".venv" / "pyvenv.cfg").write_text("home = /\n")
    assert find_interpreter(tmp_path, index_of(tmp_path, PINGS)).python == ".venv/bin/python"


def test_folder_without_a_service(tmp_path: Path) -> None:
    write_tree(tmp_path, {"tool.py": "print('hello')\n"})
    with pytest.raises(TargetError, match="no FastAPI, Starlette or Flask application"):
        survey(tmp_path, None, print)


def test_real_secrets_are_not_read(tmp_path: Path) -> None:
    files = {**NOTES, ".env": "NOTES_TOKEN=the-real-one\n", ".env.example": "NOTES_TOKEN=change-me\n"}
    found = survey(write_tree(tmp_path, files), None, lambda _: None).draft
    assert "the-real-one" not in str(found.target)
    assert found.target.env["NOTES_TOKEN"].startswith("test-")


def test_a_time_inside_the_signature_s_header_is_read_off_its_check(tmp_path: Path) -> None:
    text = """
        import hashlib, hmac, os
        from fastapi import FastAPI, HTTPException, Request

        KEY = os.environ["HOOK_KEY"]
        app = FastAPI()


        @app.post("/hook")
        async def hook(request: Request):
            body = await request.body()
            stamp, _, sent = request.headers["X-Signature"].partition(",")
            expected = hmac.new(KEY.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
            if not hmac.compare_digest(sent, expected):
                raise HTTPException(401)
            return {}
        """
    index = index_of(tmp_path, {"app.py": text})
    (entry,) = find_entries(index)
    first, *_ = candidates(index, entry, find_settings(index))
    assert (first.sign.format, first.sign.signed) == ("{timestamp},{hex}", "{timestamp}.{body}")


_HELPER = """
    import hashlib
    import hmac
    import os

    from flask import Flask, jsonify, request
    from flask.views import MethodView

    app = Flask("x")


    class Configuration:
        def __init__(self, environ=os.environ):
            self._environ = environ

        @property
        def key(self):
            return self._environ.get("HOOK_KEY", "k")


    def is_genuine(key, name):
        given = request.headers.get(name, "")
        return hmac.compare_digest(hmac.new(key.encode(), request.get_data(), hashlib.sha256).hexdigest(), given)


    def genuine(view):
        def checked(*args, **kwargs):
            if not is_genuine(Configuration().key, "X-Desk-Sign"):
                return jsonify(error="no"), 401
            return view(*args, **kwargs)

        return checked


    class Desk(MethodView):
        decorators = [genuine]

        def post(self):
            event = request.get_json()
            return jsonify(total=event["amount"] * 2, name=event["merchantReference"])


    app.add_url_rule("/hook/desk", view_func=Desk.as_view("desk"))


    @app.post("/hook/other")
    def other():
        return jsonify(ok=is_genuine("o", "X-Other-Sign"))
    """


def test_header_that_a_check_is_told_and_decorators_of_a_view_class(tmp_path: Path) -> None:
    index = index_of(tmp_path, {"app.py": _HELPER})
    by_path = {entry.path: entry for entry in find_entries(index)}
    assert by_path["/hook/desk"].headers == ("X-Desk-Sign",)
    assert by_path["/hook/other"].headers == ("X-Other-Sign",)
    first = candidates(index, by_path["/hook/desk"], find_settings(index))[0]
    assert (first.sign.scheme, first.sign.header, first.sign.secret_env) == ("hmac-sha256", "X-Desk-Sign", "HOOK_KEY")
    assert by_path["/hook/desk"].payloads == ({"amount": 1250, "merchantReference": "{{uuid}}"},)


def test_event_that_a_library_gives_after_its_check(tmp_path: Path) -> None:
    text = """
        import os

        import stripe
        from fastapi import FastAPI, Request

        app = FastAPI()


        @app.post("/stripe/webhook")
        async def webhook(request: Request):
            event = stripe.Webhook.construct_event(await request.body(), request.headers["stripe-signature"], "s")
            if event["type"] == "customer.subscription.created":
                print(event.data.object.seats)
        """
    draft = survey(write_tree(tmp_path, {"app.py": text}), None, lambda _: None).draft
    (payload,) = draft.target.webhooks[0].payloads
    assert isinstance(payload, dict)
    assert payload["type"] == "customer.subscription.created"
    assert "seats" in payload["data"]["object"]
    assert payload["id"] == "evt_{{uuid}}"


def test_setting_without_a_default_of_its_own_is_required(tmp_path: Path) -> None:
    text = (
        "import os\nfrom pydantic_settings import BaseSettings\n\n\nclass Settings(BaseSettings):\n"
        "    STAGE: str = os.getenv('STAGE')\n    TEAM: str = os.getenv('TEAM', 'a')\n"
    )
    required = {s.name: s.required for s in find_settings(index_of(tmp_path, {"app.py": text}))}
    assert required == {"STAGE": True, "TEAM": False}


def test_program_that_is_told_its_port(tmp_path: Path) -> None:
    line = 'FROM python\nCMD ["python", "-m", "desk.app", "--host", "0.0.0.0", "--port=5005"]\n'
    write_tree(tmp_path, {"Dockerfile": line})
    (command,) = start_commands(tmp_path, ())
    assert command.start == "python -m desk.app --host 127.0.0.1 --port={port}"


def test_application_that_takes_events_goes_first(tmp_path: Path) -> None:
    plain = "from flask import Flask\napp = Flask('x')\n@app.get('/page')\ndef page():\n    return 'x'\n"
    hooks = "from flask import Flask\napp = Flask('x')\n@app.post('/webhook')\ndef hook():\n    return 'x'\n"
    (app, *_) = find_applications(index_of(tmp_path, {"a/app.py": plain, "web/app.py": hooks}))
    assert app.module.path == "web/app.py"


def test_mapping_in_the_environment_is_left_out_or_json(tmp_path: Path) -> None:
    text = (
        "from pydantic_settings import BaseSettings\n\n\nclass Settings(BaseSettings):\n"
        "    BOT_TOKEN_BY_KEY: dict[str, str] = {}\n    LIMITS: dict[str, int]\n"
    )
    known = {s.name: s for s in find_settings(index_of(tmp_path, {"app.py": text}))}
    assert not known["BOT_TOKEN_BY_KEY"].wants_value
    assert known["LIMITS"].wants_value
    assert harmless_value(known["LIMITS"]) == "{}"


def test_sender_is_known_by_the_host_that_is_answered(tmp_path: Path) -> None:
    text = """
        import requests
        from flask import Flask, request

        app = Flask("x")


        def say(chat, words):
            said = {"chat_id": chat, "text": words}
            requests.post("https://api.telegram.org/bot1/sendMessage", json=said, timeout=5)


        @app.post("/hook")
        def hook():
            message = request.get_json()["message"]
            if message["text"] in ("start", "help"):
                say(message["chat"]["id"], "hello")
            return "ok"
        """
    draft = survey(write_tree(tmp_path, {"app.py": text}), None, lambda _: None).draft
    payloads = draft.target.webhooks[0].payloads
    assert all(isinstance(body, dict) and "update_id" in body for body in payloads)
    assert len({str(body) for body in payloads}) == len(payloads)


def test_ids_in_settings_are_those_of_the_examples(tmp_path: Path) -> None:
    text = (
        "from pydantic_settings import BaseSettings\n\n\nclass Settings(BaseSettings):\n"
        "    ALLOWED_CHAT_ID: int\n    WORKERS: int\n"
    )
    values = {s.name: harmless_value(s) for s in find_settings(index_of(tmp_path, {"app.py": text}))}
    assert values == {"ALLOWED_CHAT_ID": "1001", "WORKERS": "1"}
    telegram, _ = known_body(["telegram"]) or ({}, False)
    assert telegram["message"]["chat"]["id"] == 1001
