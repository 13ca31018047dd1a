"""Which application starts, from which folder, and by which command."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.intake.starting.applications import find_applications
from swarm.intake.starting.commands import start_commands
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


def test_command_in_the_docstring_of_a_module_whose_application_is_made_late(tmp_path: Path) -> None:
    text = """
        \"\"\"Takes events.

        Run it: `uvicorn desk.server:app --host 0.0.0.0 --port 12800`
        \"\"\"
        from starlette.applications import Starlette
        from starlette.routing import Route

        def build(settings):
            async def hook(request):
                return None

            return Starlette(routes=[Route("/hook", hook, methods=["POST"])])

        def __getattr__(name):
            return build(None)
        """
    index = index_of(tmp_path, {"desk/server.py": text})
    (command,) = start_commands(tmp_path, (), index.tree.modules.values())
    assert (command.start, command.source) == (
        "uvicorn desk.server:app --host 127.0.0.1 --port {port}", "desk/server.py",
    )  # fmt: skip


def test_prose_is_no_command(tmp_path: Path) -> None:
    write_tree(tmp_path, {"README.md": "Start it with uvicorn or any ASGI server of your choice: it listens.\n"})
    assert start_commands(tmp_path, ()) == ()


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
