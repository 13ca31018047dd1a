"""What services of strangers needed to be taken in: each test is one of their habits."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from swarm.config.schema import Target, Upstream
from swarm.intake.draft import Draft
from swarm.intake.settings.environment import Setting, find_settings, harmless_value
from swarm.intake.survey import Survey, survey
from swarm.intake.trying.answers import routes_for
from swarm.intake.trying.trial import Trials, _of_older_flask
from swarm.intake.webhooks.entries import find_entries
from swarm.intake.webhooks.signatures import candidates
from swarm.intake.writing import render
from swarm.target.upstream.calls import UpstreamCall
from tests.intake.strangers import index_of, write_tree

MADE_CHECK = """
    import functools
    import hashlib
    import hmac
    import os

    from flask import Flask, request
    from flask.views import MethodView

    app = Flask("x")


    def verify(key):
        def around(view):
            @functools.wraps(view)
            def checked(*args, **kwargs):
                made = digest(key, request.headers.get("X-Slack-Request-Timestamp", None), request.get_data())
                if not hmac.compare_digest(made, request.headers.get("X-Slack-Signature", None)):
                    raise ValueError
                return view(*args, **kwargs)

            return checked

        return around


    def digest(key, timestamp, data):
        return "v0=" + hmac.new(key.encode(), f"v0:{timestamp}:".encode() + data, hashlib.sha256).hexdigest()


    verified = verify(os.getenv("SLACK_SIGNING_SECRET", "test"))


    class Command(MethodView):
        decorators = [verified]

        def post(self):
            return request.form["text"]


    app.add_url_rule("/slack/command", view_func=Command.as_view("command"))
    """
FORM = """
    import json

    from fastapi import FastAPI, Form, Request

    app = FastAPI()


    @app.post("/whatsapp")
    async def whatsapp(request: Request, From: str = Form(...), Body: str = Form(...)):
        history = json.loads(open("history.json").read())
        return {"said": history["said"], "to": From, "text": Body}
    """
CLIENT = """
    import aiohttp


    class Crm:
        async def _get(self, path):
            async with aiohttp.ClientSession() as session:
                async with session.get("https://api.crm.example" + path) as answer:
                    return await answer.json()

        async def deal(self, number):
            return await self._get(f"/v3/deals/{number}")

        async def owner(self, number):
            return await self._get(f"/v3/owners/{number}")


    async def work(event):
        crm = Crm()
        deal = await crm.deal(event["deal"])
        owner = await crm.owner(deal["properties"]["owner_id"])
        return owner["email"], float(deal["properties"]["amount"])
    """


def _trials(settings: tuple[Setting, ...], told: list[str], root: Path) -> Trials:
    looked = SimpleNamespace(settings=settings, examples={}, index=index_of(root, {"app.py": ""}), root=root)
    return Trials(cast(Survey, looked), root, told.append)


def _refused(upstream: str, path: str, method: str = "GET") -> UpstreamCall:
    return UpstreamCall(upstream, method, path, "", b"", 502, 0.0, 0.0, "read", {})


def _draft(**fields: Any) -> Draft:
    return Draft("it", Target.model_validate({"path": ".", "start": "uvicorn app:app --port {port}", **fields}))


def test_fields_of_a_form_make_a_form_whatever_is_parsed_beside_them(tmp_path: Path) -> None:
    looked = survey(write_tree(tmp_path, {"app.py": FORM}), None, lambda _: None)
    (webhook,) = looked.draft.target.webhooks
    assert webhook.content_type == "application/x-www-form-urlencoded"
    (body,) = webhook.payloads
    assert isinstance(body, dict) and {"From", "Body"} <= set(body) and "entry" not in body


def test_whose_webhook_it_is_may_stand_in_its_path(tmp_path: Path) -> None:
    text = """
        from fastapi import FastAPI, Request

        app = FastAPI()


        @app.post("/webhook/{bot_token}")
        async def hook(bot_token: str, request: Request):
            return await request.json()
        """
    assert [e.route.path for e in find_entries(index_of(tmp_path, {"app.py": text}))] == ["/webhook/{bot_token}"]


def test_answer_is_read_by_who_asks_a_client_s_method(tmp_path: Path) -> None:
    index = index_of(tmp_path, {"app.py": CLIENT})
    calls = [_refused("crm", path) for path in ("/v3/deals/7", "/v3/owners/9")]
    deal, owner = routes_for(index, "api.crm.example", calls, ["7"])
    assert set(deal.json_body) == {"properties"} and set(deal.json_body["properties"]) == {"owner_id", "amount"}
    assert owner.json_body == {"email": "{{uuid}}@example.com"}


def test_methods_of_slack_are_answered_each_in_its_form(tmp_path: Path) -> None:
    index = index_of(tmp_path, {"app.py": ""})
    names = ("users.info", "conversations.members", "chat.postMessage")
    routes = routes_for(index, "slack.com", [_refused("slack.com", f"/api/{name}", "POST") for name in names])
    assert [route.path for route in routes] == [f"/api/{name}" for name in names]
    assert [route.effect for route in routes] == ["read", "read", None]
    info, members, message = (route.json_body for route in routes)
    assert info["user"]["profile"]["email"] and members["members"] == ["U1"] and message["ts"]
    assert all(body["ok"] for body in (info, members, message))


def test_check_that_a_call_has_made_is_read(tmp_path: Path) -> None:
    index = index_of(tmp_path, {"app.py": MADE_CHECK})
    (entry,) = find_entries(index)
    assert entry.headers == ("X-Slack-Request-Timestamp", "X-Slack-Signature")
    sign = candidates(index, entry, find_settings(index))[0].sign
    assert (sign.header, sign.secret_env, sign.format) == ("X-Slack-Signature", "SLACK_SIGNING_SECRET", "v0={hex}")


def test_asking_telegram_for_news_writes_nothing(tmp_path: Path) -> None:
    names = ("getUpdates", "getMe", "sendMessage")
    calls = [_refused("api.telegram.org", f"/bot1:AA/{name}", "POST") for name in names]
    routes = routes_for(index_of(tmp_path, {"app.py": ""}), "api.telegram.org", calls)
    assert [route.effect for route in routes] == ["read", "read", None]


def test_migrations_of_what_deploys_it_are_its_setup(tmp_path: Path) -> None:
    app = "from flask import Flask\n\napp = Flask(__name__)\n\n\n@app.post('/hook')\ndef hook():\n    return 'ok'\n"
    script = "#!/bin/sh\n# alembic upgrade head\nif true; then\n  piccolo migrations forwards shop --trace\nfi\n"
    root = write_tree(tmp_path, {"app.py": app, "docker/entrypoint.sh": script})
    assert survey(root, None, lambda _: None).draft.target.setup == "piccolo migrations forwards shop"


def test_channel_in_a_setting_is_that_of_the_examples() -> None:
    def value(name: str) -> str:
        return harmless_value(Setting(name, True, None, "str", ""), "C...")

    assert (value("SLACK_HELP_CHANNEL"), value("SLACK_OWNER_ID"), value("SLACK_TEAM")) == ("C1", "U1", "T1")
    assert value("SLACK_USER_TOKEN").startswith("test-")


def test_settings_that_a_failure_names_as_attributes_are_given(tmp_path: Path) -> None:
    settings = tuple(Setting(name, False, "unset", "str", "") for name in ("BOT_TOKEN", "HELP_ROOM", "OTHER_ROOM"))
    told: list[str] = []
    trials = _trials(settings, told, tmp_path)
    grown = trials._with_named(
        _draft(), "it ended\n  ValueError: Missing variables: bot_token, help_room\n  other_room"
    )
    assert grown is not None and set(grown.target.env) == {"BOT_TOKEN", "HELP_ROOM"}
    assert trials._with_named(_draft(), "TypeError: bot_token is no number") is None


def test_what_it_does_without_as_it_starts_gets_404_where_an_answer_breaks_it(tmp_path: Path) -> None:
    upstreams = [
        {"name": "costs", "host": "raw.example", "routes": [{"path": "/costs.json", "json": {"ok": True}}]},
        {"name": "model", "host": "api.example", "routes": [{"path": "/costs.json", "json": {"ok": True}}]},
    ]
    told: list[str] = []
    trials = _trials((), told, tmp_path)
    draft = _draft(upstreams=upstreams)
    assert trials._refusing(draft) is None
    trials._survived = [_refused("raw.example", "/costs.json")]
    refusing = trials._refusing(draft)
    assert refusing is not None and len(told) == 1
    assert [[route.status for route in one.routes] for one in refusing.target.upstreams] == [[404], [200]]
    assert isinstance(refusing.target.upstreams[0], Upstream) and trials._refusing(draft) is None


def test_another_service_of_the_tree_is_told(tmp_path: Path) -> None:
    app = "from fastapi import FastAPI\n\nimport {0}\n\napp = FastAPI()\n\n\n"
    app += "@app.post('/hook')\ndef hook(event: dict):\n    return event\n"
    files = {"apps/shop/stock.py": "", "apps/mail/text.py": ""}
    files |= {"apps/shop/main.py": app.format("stock"), "apps/mail/main.py": app.format("text")}
    looked = survey(write_tree(tmp_path, files), None, lambda _: None)
    assert looked.draft.target.cwd == "apps/mail"
    told = [doubt.words for doubt in looked.draft.doubts if "another service" in doubt.words]
    assert told == ["main:app in apps/shop/main.py is another service: `swarm init apps/shop` takes it in"]


def test_optional_settings_are_left_out_where_it_does_not_start_with_them(tmp_path: Path) -> None:
    settings = (Setting("SOCKET_TOKEN", False, None, "str", ""), Setting("API_KEY", True, None, "str", ""))
    told: list[str] = []
    trials = _trials(settings, told, tmp_path)
    draft = _draft(env={"SOCKET_TOKEN": "x", "API_KEY": "y", "PORT": "{port}"})
    trials._survey.draft = draft  # type: ignore[misc]
    plain = trials._plain(draft)
    assert plain is not None and set(plain.target.env) == {"API_KEY", "PORT"} and "SOCKET_TOKEN" in told[0]
    assert trials._plain(plain) is None


FACTORY = {
    "desk/__init__.py": "from .app import create_app\n",
    "desk/app.py": """
        from flask import Flask


        def create_app():
            app = Flask(__name__)

            @app.post("/hook")
            def hook():
                return "ok"

            return app
        """,
    "scripts/start_worker.py": "from desk.app import create_app\n\napp = create_app()\napp.app_context().push()\n",
    "scripts/entrypoint.sh": '#!/bin/sh\nexec gunicorn "desk:create_app()" -b 0.0.0.0:5000\n',
    "Makefile": "shell:  ## use the flask cli to run commands: args\n\tdocker compose exec app flask $(args)\n",
}


def test_factory_is_served_and_not_the_worker_that_calls_it(tmp_path: Path) -> None:
    looked = survey(write_tree(tmp_path, FACTORY), None, lambda _: None)
    assert next(app.written for app in looked.applications) == "desk.app:create_app"
    assert looked.draft.target.start == "gunicorn 'desk:create_app()' --bind 127.0.0.1:{port}"
    assert not any(command.start.startswith("flask cli") for command in looked.commands)


def test_flask_of_old_is_told_its_application_by_a_variable() -> None:
    start = "flask --app 'desk.app:create_app()' run --host 127.0.0.1 --port {port}"
    older = _of_older_flask(_draft(start=start, setup="flask --app desk.app db upgrade"))
    assert older.target.start == "FLASK_APP='desk.app:create_app()' flask run --host 127.0.0.1 --port {port}"
    assert older.target.setup == "FLASK_APP=desk.app flask db upgrade"
    assert _of_older_flask(_draft()) == _draft()


def test_sites_are_another_system_s_and_a_site_is_our_own(tmp_path: Path) -> None:
    text = """
        import os
        from fastapi import FastAPI

        SITES = os.environ.get("SITES_URL", "http://localhost:9002")
        SITE = os.environ.get("SITE_URL", "http://localhost:9003")
        app = FastAPI()


        @app.post("/hook")
        async def hook(event: dict):
            return event
        """
    looked = survey(write_tree(tmp_path, {"app.py": text}), None, lambda _: None)
    assert [upstream.env for upstream in looked.draft.target.upstreams] == ["SITES_URL"]


def test_messages_of_a_mailer_are_no_conversation_with_a_model(tmp_path: Path) -> None:
    index = index_of(tmp_path, {"app.py": ""})
    mail = UpstreamCall("mail", "POST", "/v1/messages", "", b'{"to": "a"}', 502, 0.0, 0.0, "write", {})
    asked = UpstreamCall("llm", "POST", "/v1/messages", "", b'{"messages": []}', 502, 0.0, 0.0, "read", {})
    whole = UpstreamCall("claude-api", "POST", "/", "", b'{"model": "m", "messages": []}', 502, 0.0, 0.0, "read", {})
    (written,), (answered,) = routes_for(index, "mail", [mail]), routes_for(index, "llm", [asked])
    assert "content" in routes_for(index, "claude-api", [whole])[0].json_body
    assert "choices" in routes_for(index, "model-api", [whole])[0].json_body
    assert "stop_reason" not in written.json_body and answered.json_body["stop_reason"] == "end_turn"


def test_a_service_that_starts_slowly_gets_more_time_for_it(tmp_path: Path) -> None:
    told: list[str] = []
    trials = _trials((), told, tmp_path)
    draft = _draft()
    assert trials._with_time_to_start(draft) is draft
    trials._slowest_s = 11.0
    slower = trials._with_time_to_start(draft)
    assert slower.target.start_seconds == 50.0 and told == ["its slowest start took 11 s: each gets 50 s"]
    assert "start_seconds: 50.0" in render(slower).text and "start_seconds" not in render(draft).text
