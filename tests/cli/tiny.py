"""A small service of the tests' own, written to a folder with its agents.yaml: starts fast, has one thing to mend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SWARM = Path(sys.executable).with_name("swarm")
SHORT_SWARM = (sys.executable, "-P", str(Path(__file__).with_name("short.py")))  # measures next to nothing

APP = """
import argparse
import os

import requests
from flask import Flask, jsonify, request

app = Flask(__name__)


@app.post("/hook")
def hook():
    event = request.get_json()
    stock = requests.get(f"{os.environ['STOCK_URL']}/stock/{event['sku']}")
    stock.raise_for_status()
    return jsonify(sku=event["sku"], left=stock.json()["left"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    app.run(host="127.0.0.1", port=parser.parse_args().port, threaded=False)
"""

AGENTS = """
version: 1
targets:
  tiny:
    path: .
    start: "python app.py --port {port}"
    load: {rate: 20, seconds: 1}
    webhooks:
      - {path: /hook, method: POST, payloads: [{sku: "{{int:1:50}}"}]}
    upstreams:
      - name: stock
        env: STOCK_URL
        routes:
          - {method: GET, path: "/stock/{sku}", latency_ms: 20, status: 200, json: {sku: "{sku}", left: 3}}
"""


def write_service(folder: Path, app: str = APP, agents: str = AGENTS, **files: str) -> Path:
    """The service in `folder`; further files by their name, `__` for a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"app.py": app, "agents.yaml": agents, **{name.replace("__", "."): text for name, text in files.items()}}
    for name, text in texts.items():
        (folder / name).write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return folder


def swarm_environment(tmp: Path, **more: str) -> dict[str, str]:
    """An environment with a TMPDIR of its own, so that scratch folders can be counted."""
    tmp.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC", "SWARM"))}
    return {**kept, "TMPDIR": str(tmp), "NO_COLOR": "1", **more}


def run_program(
    *words: str, cwd: Path, env: dict[str, str], timeout_s: float = 60.0, program: Sequence[str] = (str(SWARM),)
) -> subprocess.CompletedProcess[str]:
    """The real `swarm` program to its end."""
    return subprocess.run(
        [*program, *words], cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout_s, check=False
    )


def run_short(*words: str, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The program of short measurements to its end."""
    return run_program(*words, cwd=cwd, env=env, timeout_s=180.0, program=SHORT_SWARM)


def left_running(folder: Path) -> list[str]:
    """Command lines of processes that have `folder` in their environment or command line: what a run left behind."""
    needle = str(folder).encode()
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            told = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if needle in told and state not in "ZX":
            found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


def scratch_left(tmp: Path) -> list[str]:
    """What lies in the scratch folders of all swarms with this TMPDIR."""
    return sorted(str(path.relative_to(tmp)) for root in tmp.glob("swarm-*") for path in root.iterdir())


def report_of(out: Path) -> dict[str, Any]:
    """The report.json of the only run in `out`."""
    (path,) = [path for path in out.glob("*/report.json") if path.parent.name != "latest"]
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data
