"""Looks at a service without starting it, and makes the first draft of its target."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from swarm.analysis.index import Index, build_index
from swarm.analysis.source import SourceTree
from swarm.config.schema import BodyTemplate, Target, Upstream, Webhook
from swarm.core.errors import TargetError
from swarm.intake.draft import Draft
from swarm.intake.settings.databases import find_storage
from swarm.intake.settings.environment import Setting, example_values, find_settings, harmless_value
from swarm.intake.starting.applications import Application, find_applications
from swarm.intake.starting.commands import Command, start_commands
from swarm.intake.starting.interpreter import Interpreter, find_interpreter
from swarm.intake.starting.preparation import migration_texts, setup_command, test_command
from swarm.intake.starting.tables import create_tables
from swarm.intake.webhooks.entries import Entry, find_entries, health_path
from swarm.intake.webhooks.recorded import Posted, named_bodies, payload_files, posted
from swarm.intake.webhooks.senders import hosts_called, known_body, merged
from swarm.rules.facts.in_use import loaded_by

_EXAMPLES = (
    ".env.example",
    ".env.sample",
    ".env.template",
    "env.example",
    ".env.dist",
    "sample.env",
    "example.env",
    ".env.test",
)
_ADDRESS = re.compile(r"(URL|URI|ENDPOINT|BASE|_API|_HOST|BASEURL)$")
_OWN_ADDRESS = re.compile(
    r"PUBLIC|CALLBACK|REDIRECT|FRONTEND|(^|_|WEB)SITE(_|$)|DOCS|CORS|ALLOWED|ORIGIN|^BASE_URL$|^APP_|^HOST$|WEBHOOK_(URL|HOST|BASE)|SELF|SERVER_NAME|NGROK"
)
_TELEMETRY = re.compile(r"^OTEL_|SENTRY|DATADOG|^DD_|NEW_?RELIC|LOGFIRE|PROMETHEUS|LOKI")
_OWN = r"((SERVER|SERVICE|HTTP|APP|API|UVICORN|WEB|LISTEN|BIND|FLASK|FLASK_RUN|FASTAPI|WEB_?SERVER)_)?"
_PORTS = re.compile(rf"^({_OWN}|WEBHOOK_)PORT$")
_HOSTS = re.compile(rf"^{_OWN}HOST$")
_MOST_PAYLOADS = 6
_MOST_OTHERS = 3


@dataclass(frozen=True, slots=True)
class Survey:
    """What reading the tree told. `draft` holds all of it that agents.yaml can say."""

    root: Path
    index: Index
    applications: tuple[Application, ...]
    interpreter: Interpreter
    commands: tuple[Command, ...]
    settings: tuple[Setting, ...]
    examples: dict[str, str]
    entries: tuple[Entry, ...]
    draft: Draft


def survey(root: Path, python: Path | None, tell: Callable[[str], None]) -> Survey:
    """Read the tree. Raises TargetError where it holds no application of a framework that swarm knows."""
    tree = SourceTree.load(root)
    if not tree.modules:
        raise TargetError(f"{root} holds no Python file that can be read; name the folder of the service")
    index = build_index(tree)
    applications = find_applications(index)
    if not applications and not index.routes:
        unread = "; ".join(f"{name} cannot be read: {why}" for name, why in tree.unparsed[:2])
        if unread:
            raise TargetError(f"{root} holds no application that swarm can see: {unread}")
        raise TargetError(
            f"{root} holds no FastAPI, Starlette or Flask application that swarm can see; "
            "name the folder of the service, or write agents.yaml by hand (README, 'Your own service')"
        )
    app = applications[0] if applications else None
    if app is not None:
        called = "()" if app.is_factory else ""
        tell(f"framework: {app.framework}; application: {app.written}{called} in {app.module.path}")
    interpreter = find_interpreter(root, index, python)
    _tell_interpreter(interpreter, root, tell)
    commands = start_commands(root, applications, tree.modules.values())
    settings = find_settings(index)
    examples = example_values([_read(root / name) for name in _EXAMPLES])
    entries = find_entries(index)
    draft = _draft(root, index, app, interpreter, commands, settings, examples, entries)
    for other in other_services(index, applications):
        where = f"`swarm init {other.root}` takes it in" if other.root not in ("", "src") else "a target of its own"
        draft = draft.doubting(f"{other.written} in {other.module.path} is another service: {where}", "start")
    _tell(draft, commands, settings, tell)
    return Survey(root, index, applications, interpreter, commands, settings, examples, entries, draft)


def other_services(index: Index, applications: tuple[Application, ...]) -> tuple[Application, ...]:
    """Applications that take events and that the likeliest one neither loads nor is loaded by, one a module."""
    if not applications:
        return ()
    own = applications[0].module
    found = {
        app.module.path: app for app in applications[1:]
        if app.takes_events and app.root != applications[0].root and app.module not in loaded_by(index, own)
        and own not in loaded_by(index, app.module)
    }  # fmt: skip
    return tuple(found.values())[:_MOST_OTHERS]


def _tell_interpreter(interpreter: Interpreter, root: Path, tell: Callable[[str], None]) -> None:
    tell(f"interpreter: {interpreter.python or 'the one that runs swarm (no virtual environment found)'}")
    wanted = re.search(r"^requires-python\s*=\s*[\"']>=\s*3\.(\d+)", _read(root / "pyproject.toml"), re.MULTILINE)
    if wanted and interpreter.minor and interpreter.minor < int(wanted[1]):
        tell(f"  it is Python 3.{interpreter.minor}, and pyproject.toml wants 3.{wanted[1]} or later")
    for name, place in sorted(interpreter.missing.items())[:8]:
        tell(f"  {name!r} is not installed there ({place} imports it)")


def _draft(
    root: Path, index: Index, app: Application | None, interpreter: Interpreter, commands: tuple[Command, ...],
    settings: tuple[Setting, ...], examples: dict[str, str], entries: tuple[Entry, ...],
) -> Draft:  # fmt: skip
    first = commands[0] if commands else Command("uvicorn main:app --host 127.0.0.1 --port {port}", "")
    folder = first.folder if first.folder and (root / first.folder).is_dir() else ""
    if not folder and app is not None and app.root not in ("", "src"):
        folder = app.root
    values: dict[str, object] = {"path": ".", "start": first.start, "python": interpreter.python}
    if folder:
        values["cwd"] = folder
    name = re.sub(r"[^a-z0-9-]+", "-", root.name.lower()).strip("-") or "service"
    draft = Draft(name, Target.model_validate(values))
    if not commands:
        draft = draft.doubting("no command that starts it was found; write one with {port}", "start")
    draft = draft.having(health=health_path(index))
    texts = "\n".join(module.text for module in index.tree.modules.values())
    migrations = migration_texts(root)
    setup = setup_command(root, app, texts)
    if setup is None and "create_all" not in texts and not migrations:
        setup = create_tables(index, app.root if app is not None else "")
    draft = draft.having(setup=setup)
    tests, why = test_command(root, interpreter.has)
    if tests and folder and tests.startswith("pytest -q "):  # tests run in cwd, as the start does
        tests = f"pytest -q {os.path.relpath(root / tests.removeprefix('pytest -q '), root / folder)}"
    draft = draft.having(tests=tests) if tests else draft.doubting(why, "tests")
    draft = _with_settings(draft, index, settings, examples, interpreter, migrations)
    return _with_webhooks(draft, root, entries)


def _with_settings(
    draft: Draft, index: Index, settings: tuple[Setting, ...], examples: dict[str, str], interpreter: Interpreter,
    migrations: str,
) -> Draft:  # fmt: skip
    storages = find_storage(index, settings, interpreter.has, migrations)
    upstreams: list[Upstream] = []
    env: dict[str, str] = {}
    handled = {name for storage in storages for name in storage.settings}
    for storage in storages:
        if storage.upstream is not None:
            upstreams.append(storage.upstream)
        elif storage.value is not None:
            env[storage.setting] = storage.value
        elif storage.doubt:
            draft = draft.doubting(storage.doubt, "env", storage.setting)
    for setting in settings:
        name = setting.name.upper()
        if setting.name in handled:
            continue
        if setting.kind == "file":
            if (file := _file_like(index, setting)) is not None:
                env[setting.name] = file
            continue
        if _PORTS.match(name):
            env[setting.name] = "{port}"
        elif _HOSTS.match(name):
            env[setting.name] = "127.0.0.1"
        elif _is_upstream(setting):
            upstream_name = (
                re.sub(r"_?(BASE_?URL|URL|URI|ENDPOINT|BASE|HOST|API)$", "", name).lower().replace("_", "-")
            )
            upstreams.append(Upstream(name=upstream_name or setting.name.lower(), env=setting.name))
        elif setting.wants_value:
            env[setting.name] = harmless_value(setting, examples.get(setting.name))
    return draft.having(env=env, upstreams=upstreams)


def _file_like(index: Index, setting: Setting) -> str | None:
    """A file of the tree that may stand for one that a setting names and that is not there: that of the tests."""
    wanted = (setting.default or setting.name.lower()).rpartition("/")[2]
    stem, _, suffix = wanted.partition(".")
    if setting.default in index.tree.files:
        return None
    alike = [name for name in sorted(index.tree.files) if stem in name.rpartition("/")[2] and name.endswith(suffix)]
    return min(alike, key=len, default=None)


def _is_upstream(setting: Setting) -> bool:
    """Whether a variable must name another system's address: it has none that would lead anywhere but here."""
    name = setting.name.upper()
    if not _ADDRESS.search(name) or _OWN_ADDRESS.search(name) or _TELEMETRY.search(name):
        return False
    if setting.kind not in ("str", "url"):
        return False
    default = setting.default or ""
    if default.startswith(("http://localhost", "http://127.0.0.1", "http://")):
        return True
    return not default and (setting.required or name.endswith(("URL", "URI", "ENDPOINT")))


def _with_webhooks(draft: Draft, root: Path, entries: tuple[Entry, ...]) -> Draft:
    webhooks = []
    for entry in entries:
        sent = posted(root, entry.route.path)
        payloads, is_form = payloads_of(root, entry, sent)
        content_type = "application/x-www-form-urlencoded" if is_form else "application/json"
        bodies: list[BodyTemplate] = [
            [body] if entry.is_list and isinstance(body, dict) else body for body in payloads
        ]
        values = {
            "path": sent.path or entry.path,
            "method": entry.method,
            "content_type": content_type,
            "payloads": bodies,
        }
        webhooks.append(Webhook.model_validate(values))
    draft = draft.having(webhooks=webhooks)
    if not webhooks:
        draft = draft.doubting("no route that takes a POST was found; add what senders call", "webhooks")
    return draft


def payloads_of(root: Path, entry: Entry, told: Posted) -> tuple[tuple[str | dict[str, object], ...], bool]:
    """Examples for a route: what its tests send, files of payloads, then what its code reads."""
    fields = {name for body in entry.payloads for name in body}
    examples = [(len(fields & set(body)), body) for body in told.bodies
                if not fields or len(fields & set(body)) * 2 >= min(len(fields), len(body))]  # fmt: skip
    most = max((alike for alike, _ in examples), default=-1)
    files = [(len(fields & set(body)), name) for name, body in payload_files(root, fields)]
    wholes = [(alike, name) for alike, name in files if alike > most]  # tests post what is incomplete on purpose, too
    most = max((alike for alike, _ in wholes), default=most)
    kept: list[tuple[int, str | dict[str, object]]] = [*examples, *wholes]
    found = tuple(body for alike, body in kept if alike * 2 >= most)[:_MOST_PAYLOADS]
    is_form = told.is_form
    found = found or named_bodies(root, fields)
    if found:
        return (*found, *_kinds_left(found, entry))[:_MOST_PAYLOADS], is_form or entry.is_form
    function = entry.route.function
    known = known_body([entry.path, function.name, *entry.headers, function.module.path, *sorted(fields)],
                       is_form=entry.is_form)  # fmt: skip
    spoken = known_body(hosts_called(entry.reached), is_form=entry.is_form) if known is None else None
    if known is None and spoken and fields & set(spoken[0]):
        known = spoken  # it answers whom it calls
    if known is None:
        return entry.payloads[:_MOST_PAYLOADS] or ({},), entry.is_form
    body, is_form = known
    bodies = tuple(merged(body, read) for read in entry.payloads[:_MOST_PAYLOADS]) or (body,)
    return bodies, is_form or entry.is_form


def _kinds_left(found: tuple[str | dict[str, object], ...], entry: Entry) -> tuple[dict[str, object], ...]:
    """Bodies read off the code, for the kinds of event that it knows and that no example is of."""
    told = [body for body in found if isinstance(body, dict)]
    if len(entry.payloads) < 2 or len(told) < len(found):  # files of payloads tell their kind themselves
        return ()
    first, second = entry.payloads[:2]
    deciding = [name for name, value in first.items() if isinstance(value, str) and value != second.get(name)]
    if len(deciding) != 1 or not all(isinstance(body.get(deciding[0]), str) for body in told):
        return ()
    known = {body[deciding[0]] for body in told}
    return tuple(body for body in entry.payloads if body[deciding[0]] not in known)


def _tell(
    draft: Draft, commands: tuple[Command, ...], settings: tuple[Setting, ...], tell: Callable[[str], None]
) -> None:
    target = draft.target
    if commands:
        tell(f"start: {target.start} ({commands[0].source})")
    needed = [setting.name for setting in settings if setting.required]
    named = f" ({', '.join(needed[:6])}{', …' if len(needed) > 6 else ''})" if needed else ""
    tell(f"settings: {len(settings)} read, {len(needed)} of them required{named}")
    for webhook in target.webhooks:
        tell(f"webhook: {webhook.method} {webhook.path} (examples: {len(webhook.payloads)})")
    tell(f"tests: {target.tests or 'none'}; setup: {target.setup or 'none'}")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
