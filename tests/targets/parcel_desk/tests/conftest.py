import base64
import hashlib
import hmac
import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from parcel_desk import couriers, create_app

SECRET = "secret-of-the-tests"


class Neighbours:
    """Courier, customers, shop and Postbox on one loopback port."""

    def __init__(self):
        self.calls = []
        self.wants_mail = True
        self.broken = set()
        neighbours = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                sent = json.loads(self.rfile.read(length)) if length else None
                neighbours.calls.append((self.command, self.path, sent, dict(self.headers)))
                status, document = neighbours.reply(self.path)
                content = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = answer

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def reply(self, path):
        if any(path.startswith(prefix) for prefix in self.broken):
            return 503, {"error": "down"}
        if path.startswith("/v2/parcels/"):
            return 200, {"tracking_no": path.rsplit("/", 1)[1], "location": "Depot 7", "eta": "2026-05-04"}
        if path.endswith("/preferences"):
            return 200, {"mail": self.wants_mail}
        return 202, {}

    def received(self, method, prefix):
        return [call for call in self.calls if call[0] == method and call[1].startswith(prefix)]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def neighbours():
    running = Neighbours()
    yield running
    running.close()


@pytest.fixture
def client(neighbours, tmp_path, monkeypatch):
    for name in ("COURIER_API", "CUSTOMER_API", "SHOP_API"):
        monkeypatch.setenv(name, neighbours.url)
    monkeypatch.setenv("COURIER_SECRET", SECRET)
    monkeypatch.setenv("SHOP_TOKEN", "shop-token")
    monkeypatch.setenv("POSTBOX_KEY", "postbox-key")
    monkeypatch.setenv("PARCEL_DB", str(tmp_path / "parcels.db"))
    monkeypatch.setenv("PARCEL_DEMO_ORDERS", "12")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(couriers, "POSTBOX_URL", f"{neighbours.url}/v3/send")
    return create_app().test_client()


@pytest.fixture
def deliver(client):
    def post(secret=SECRET, tamper=b"", **fields):
        event = {
            "event_id": str(uuid.uuid4()),
            "order_id": 3,
            "tracking_no": "PD-4711",
            "courier": "swift",
            "status": "in_transit",
            **fields,
        }
        body = json.dumps(event).encode()
        stamp = str(int(time.time()))
        digest = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).digest()
        header = f"t={stamp},v1={base64.b64encode(digest).decode()}"
        return client.post(
            "/hooks/courier", data=body + tamper, headers={"X-Courier-Auth": header}, content_type="application/json"
        )

    return post
