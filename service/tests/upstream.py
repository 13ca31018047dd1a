"""A small HTTP server on loopback that answers for the CRM and the scoring API, and remembers."""

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    headers: dict
    body: dict


def model_answer(system: str, prompt: str) -> str:
    if "You score" in system:
        hot = "Timeline: now" in prompt
        score = {"score": 91 if hot else 38, "tier": "hot" if hot else "cold", "reasons": ["test"]}
        return json.dumps(score)
    if "You coach" in system:
        return json.dumps({"advice": "Call them.", "next_step": "call"})
    if "You analyse" in system:
        facts = {"budget": "450000"} if "450k" in prompt else {}
        mood = "negative" if "disappointed" in prompt else "neutral"
        return json.dumps({"intent": "availability", "sentiment": mood, "facts": facts})
    return "It is. When would you like to see it?"


class FakeUpstream:
    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.failing: set[tuple[str, str]] = set()
        self.contact_tags: dict[str, list[str]] = {}
        self.watchers: dict[str, object] = {}
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                raw = self.rfile.read(size)
                headers = {key.lower(): value for key, value in self.headers.items()}
                call = Call(self.command, self.path, headers, json.loads(raw or b"{}"))
                status, body = fake.handle(call)
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *args) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    def __enter__(self) -> "FakeUpstream":
        self.thread.start()
        return self

    def __exit__(self, *exc) -> None:
        self.server.shutdown()
        self.server.server_close()

    def fail(self, method: str, path_part: str) -> None:
        """Every call of this method whose path or body holds the text fails from now on."""
        self.failing.add((method, path_part))

    def about(self, text: str, method: str | None = None) -> list[Call]:
        return [
            call
            for call in list(self.calls)
            if text in call.path + json.dumps(call.body) and method in (None, call.method)
        ]

    def handle(self, call: Call) -> tuple[int, dict]:
        self.calls.append(call)
        seen = call.path + json.dumps(call.body)
        for part, watcher in list(self.watchers.items()):
            if part in seen:
                watcher(call)
        if any(method == call.method and part in seen for method, part in self.failing):
            return 500, {"statusCode": 500, "message": "Internal Server Error"}
        if call.path == "/v1/messages":
            text = model_answer(call.body["system"], call.body["messages"][0]["content"])
            return 200, {"content": [{"type": "text", "text": text}], "usage": {"input_tokens": 9}}
        if call.path.startswith("/opportunities/pipelines"):
            stages = [{"id": "stage_1", "name": "New Lead"}, {"id": "stage_2", "name": "Viewing"}]
            return 200, {"pipelines": [{"id": "pipe_buyers", "stages": stages}]}
        if call.path == "/conversations/messages":
            return 201, {"conversationId": "conv", "messageId": f"msg-{call.body['contactId']}"}
        if call.path.endswith("/tags"):
            return 201, {"tags": call.body["tags"], "tagsAdded": call.body["tags"]}
        contact_id = call.path.rsplit("/", 1)[-1]
        tags = self.contact_tags.get(contact_id, [])
        return 200, {"contact": {"id": contact_id, "tags": tags, **call.body}}
