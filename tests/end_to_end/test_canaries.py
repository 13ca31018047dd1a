"""What a run leaves behind holds no secret and no personal datum of the target, wherever the target had them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.tiny import run_short, swarm_environment, write_service

pytestmark = pytest.mark.long

OF_THE_CODE = {
    "a secret in the code": "canary-code-secret-4be2-9f01",
    "a person in the code": "canary.owner@example.org",
}
CANARIES = {
    "the signing secret in the environment": "canary-hook-secret-5d1f",
    "a password within an address in the environment": "canary-dsn-password-83aa",
    "a secret of the machine that runs swarm": "canary-machine-secret-77c0",
    "a person in the payloads": "canary.payload@example.org",
    "a phone in the payloads": "+15550142233",
    "a person in an upstream's answers": "canary.upstream@example.org",
    "a secret in an upstream's answers": "canary-upstream-token-11e9",
    **OF_THE_CODE,
}
APP = """
import argparse
import hashlib
import hmac
import os
import sqlite3

import requests
from flask import Flask, jsonify, request

OWNER = "canary.owner@example.org"
REPORT_TOKEN = "canary-code-secret-4be2-9f01"
app = Flask(__name__)
session = requests.Session()


@app.post("/hook")
def hook():
    made = hmac.new(os.environ["HOOK_SECRET"].encode(), request.get_data(), hashlib.sha256).hexdigest()
    if made != request.headers.get("X-Sig"):
        return jsonify(error="signature"), 401
    event = request.get_json()
    print("event", event, "for", OWNER, REPORT_TOKEN)
    print("settings", os.environ["HOOK_SECRET"], os.environ["STORE_DSN"])
    stock = session.get(f"{os.environ['STOCK_URL']}/stock/{event['sku']}", timeout=5)
    print("stock", stock.text)
    if event["sku"] == 7:
        return jsonify(error=f"no {event['sku']} for {event['email']}: {stock.text}"), 500
    with sqlite3.connect("events.db") as base:
        base.execute("CREATE TABLE IF NOT EXISTS events (sku TEXT, email TEXT)")
        base.execute(f"INSERT INTO events VALUES ('{event['sku']}', '{event['email']}')")
    return jsonify(sku=event["sku"], left=stock.json()["left"], by=stock.json()["by"])


@app.get("/health")
def health():
    return "ok"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    app.run(host="127.0.0.1", port=parser.parse_args().port, threaded=False)
"""
AGENTS = """
version: 1
targets:
  canaries:
    path: .
    start: "python app.py --port {port}"
    health: /health
    env: {HOOK_SECRET: canary-hook-secret-5d1f, STORE_DSN: "postgres://app:canary-dsn-password-83aa@127.0.0.1/x"}
    load: {rate: 10, seconds: 1}
    webhooks:
      - path: /hook
        method: POST
        sign: {scheme: hmac-sha256, header: X-Sig, secret_env: HOOK_SECRET, format: "{hex}", signed: "{body}"}
        payloads: [{sku: "{{int:1:9}}", email: canary.payload@example.org, phone: "+15550142233"}]
    upstreams:
      - name: stock
        env: STOCK_URL
        routes:
          - method: GET
            path: "/stock/{sku}"
            latency_ms: 10
            json: {left: 3, by: canary.upstream@example.org, token: canary-upstream-token-11e9}
"""


def test_they_are_in_nothing_that_a_run_leaves(tmp_path: Path) -> None:
    """One whole run on a service that logs, stores and answers all of them.

    Patches hold the lines of the code that they stand on, and must, to apply; report.json keeps the patches.
    """
    service = write_service(tmp_path / "service", APP, AGENTS)
    env = swarm_environment(tmp_path / "tmp", AWS_SECRET_ACCESS_KEY="canary-machine-secret-77c0")
    words = ("run", "canaries", "--provider", "offline", "--out", str(tmp_path / "reports"))
    done = run_short(*words, "--only", "performance", "--only", "security", cwd=service, env=env)
    assert done.returncode == 0, done.stderr
    left = {path: path.read_bytes() for root in ("reports", "tmp") for path in (tmp_path / root).rglob("*")
            if path.is_file()}  # fmt: skip
    assert len(left) > 20
    left[Path("stdout and stderr")] = (done.stdout + done.stderr).encode()
    found = {
        what: [path.name for path, content in left.items()
               if canary.encode() in content and not (what in OF_THE_CODE and _holds_code(path))]
        for what, canary in CANARIES.items()
    }  # fmt: skip
    assert found == {what: [] for what in CANARIES}


def _holds_code(path: Path) -> bool:
    return path.suffix == ".patch" or path.name == "report.json"
