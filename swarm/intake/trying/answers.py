"""Writes a route for every upstream call that was seen, with an answer that the code can go on with."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from swarm.analysis.constants import text_of
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.parts import Function
from swarm.analysis.source import Module
from swarm.config.schema import Target, UpstreamRoute
from swarm.core.model_calls import is_question
from swarm.intake.values.examples import example_of
from swarm.intake.values.paths import built_paths, template_of
from swarm.intake.values.shapes import Reader, Shape
from swarm.target.upstream.calls import READING_METHODS, UpstreamCall, path_shape

_LATENCY_MS = 40.0
_MODEL_LATENCY_MS = 200.0
_POLL_LATENCY_MS = 2000.0  # who asks again at once is to wait
_ERROR = re.compile(r"err(ors?)?$|error_\w+$|fault$|exception$|traceback$", re.IGNORECASE)
_ANTHROPIC = {
    "id": "msg_{{uuid}}", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "end_turn",
    "content": [{"type": "text", "text": "ok"}], "usage": {"input_tokens": 10, "output_tokens": 2},
}  # fmt: skip
_OF_TELEGRAM: dict[str, Any] = {
    "getme": {"id": 1, "is_bot": True, "first_name": "bot", "username": "test_bot"},
    "getupdates": [],
    "getwebhookinfo": {"url": "", "has_custom_certificate": False, "pending_update_count": 0},
    "getfile": {"file_id": "f1", "file_unique_id": "u1", "file_size": 12, "file_path": "files/f1.bin"},
    "getchat": {"id": 1, "type": "private", "first_name": "Ada"},
    "getmycommands": [],
}
_OF_SLACK: dict[str, dict[str, Any]] = {
    "users.info": {"user": {
        "id": "U1", "team_id": "T1", "name": "ada", "real_name": "Ada Example", "tz": "Etc/UTC", "deleted": False,
        "is_admin": False, "is_bot": False, "is_restricted": False, "is_ultra_restricted": False,
        "profile": {"display_name": "ada", "real_name": "Ada Example", "email": "ada@example.com", "image_72": ""},
    }},
    "users.list": {"members": [], "response_metadata": {"next_cursor": ""}},
    "users.lookupByEmail": {"user": {"id": "U1", "name": "ada", "profile": {"display_name": "ada"}}},
    "conversations.info": {"channel": {"id": "C1", "name": "general", "is_member": True}},
    "conversations.open": {"channel": {"id": "D1"}},
    "conversations.list": {"channels": [], "response_metadata": {"next_cursor": ""}},
    "conversations.members": {"members": ["U1"], "response_metadata": {"next_cursor": ""}},
    "conversations.history": {"messages": [], "has_more": False},
    "conversations.replies": {"messages": [], "has_more": False},
    "usergroups.users.list": {"users": ["U1"]},
    "chat.getPermalink": {"channel": "C1", "permalink": "https://example.slack.com/archives/C1/p1700000000000100"},
    "views.open": {"view": {"id": "V1"}},
    "views.publish": {"view": {"id": "V1"}},
}  # fmt: skip
_GITHUBS_OWNER = {"id": 1001, "login": "octocat", "type": "User"}
_GITHUBS_REPO = {
    "id": 2002, "name": "example", "full_name": "octocat/example", "owner": _GITHUBS_OWNER, "private": False,
    "default_branch": "main", "url": "https://api.github.com/repos/octocat/example",
}  # fmt: skip
_GITHUBS_BRANCH = {"ref": "main", "sha": "0123456789abcdef0123456789abcdef01234567", "repo": _GITHUBS_REPO}
_OF_GITHUB: tuple[tuple[str, Any], ...] = (
    (r"/installation$", {"id": 1001, "app_id": 1001, "account": _GITHUBS_OWNER}),
    (r"/access_tokens$", {"token": "test-access-token", "expires_at": "2099-01-01T00:00:00Z", "permissions": {}}),
    (r"/contents/", {"type": "file", "encoding": "base64", "content": "", "name": "file", "path": "file", "size": 0}),
    (r"^/repos/[^/]+/[^/]+$", _GITHUBS_REPO),
    (r"/pulls/[^/]+$", {
        "id": 1001, "number": 1, "state": "open", "title": "A change", "body": "", "user": _GITHUBS_OWNER,
        "url": f"{_GITHUBS_REPO['url']}/pulls/1", "issue_url": f"{_GITHUBS_REPO['url']}/issues/1",
        "base": _GITHUBS_BRANCH, "head": _GITHUBS_BRANCH, "labels": [], "assignees": [], "requested_reviewers": [],
    }),
    (r"/(labels|comments|reviews|commits|files|assignees|collaborators|branches|tags|issues|pulls|statuses)$", []),
)  # fmt: skip
_GITHUBS = {
    "id": 1001,
    "number": 1,
    "state": "open",
    "user": _GITHUBS_OWNER,
}  # its libraries refuse another kind of id
_CHAT = {
    "id": "chatcmpl-{{uuid}}", "object": "chat.completion", "created": 1700000000, "model": "gpt",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
}  # fmt: skip


def routes_for(
    index: Index, host: str, calls: Sequence[UpstreamCall], sent: Iterable[str] = ()
) -> tuple[UpstreamRoute, ...]:
    """One route for each method and shape of path among the calls of one upstream; `host` may be its name.

    `sent` are values of the events that were sent: where one of them stands in a path, it is a parameter.
    """
    values = {value for value in sent if len(value) > 3}
    built = built_paths(index)
    shapes: dict[tuple[str, str], UpstreamCall] = {}
    for call in calls:
        path = call.path if _is_slack(host.lower(), call.path) else _template(call.path, values, built)
        shapes.setdefault((call.method.upper(), path), call)
    return tuple(_route(index, host, method, path, call) for (method, path), call in shapes.items())


def _template(path: str, values: set[str], built: tuple[tuple[str | None, ...], ...]) -> str:
    """The path with `{id}`, `{id2}` … where it holds somebody's id, or what the code puts in there."""
    parts, count = [], 0
    varying = template_of(path, built) if path.startswith("/") else ()
    for place, (part, shape) in enumerate(zip(path.split("/"), path_shape(path).split("/"), strict=True)):
        if part and (shape == "*" or part in values or place - 1 in varying):
            count += 1
            parts.append("{id}" if count == 1 else f"{{id{count}}}")
        else:
            parts.append(part.replace("{", "").replace("}", ""))
    return "/".join(parts)


def _route(index: Index, host: str, method: str, path: str, call: UpstreamCall) -> UpstreamRoute:
    body = _known_answer(host.lower(), path, call)
    if body is None:
        read = _without_errors(example_of(_read(index, path)))
        if host.lower() in ("github", "api.github.com"):
            read = _of_github(path, read)
        body = read if isinstance(read, list) or (isinstance(read, dict) and read) else {"ok": True, "id": "{{uuid}}"}
    question = is_question(method, call.path, call.body)
    latency = _MODEL_LATENCY_MS if question else _POLL_LATENCY_MS if path.endswith("getUpdates") else _LATENCY_MS
    values = {"method": method, "path": path, "latency_ms": latency, "jitter_ms": latency / 8, "json": body}
    if method not in READING_METHODS and _only_asks(host.lower(), call.path):
        values["effect"] = "read"
    return UpstreamRoute.model_validate(values)


def _only_asks(host: str, path: str) -> bool:
    """Whether a chat service's method, whatever verb carries it, changes nothing there: getUpdates, users.info."""
    name = path.rpartition("/")[2]
    if "api.telegram.org" in host:
        return name.startswith("get")
    return _is_slack(host, path) and bool(
        re.search(r"(\.(info|list|members|history|replies|test)|By\w+|Link)$", name)
    )


def _of_github(path: str, read: Any) -> Any:
    """What GitHub's libraries need of an answer, with what the code reads of it beside that."""
    known = next((answer for pattern, answer in _OF_GITHUB if re.search(pattern, path)), _GITHUBS)
    if isinstance(known, list):
        return read if isinstance(read, list) else known
    return (
        {**known, **{name: value for name, value in read.items() if name not in known}}
        if isinstance(read, dict)
        else known
    )


def _without_errors(answer: Any) -> Any:
    """A good answer holds no error, also where the code looks for one."""
    if not isinstance(answer, dict):
        return answer
    return {name: value for name, value in answer.items() if not _ERROR.match(name)}


def _known_answer(host: str, path: str, call: UpstreamCall) -> Any:
    """Answers whose form is public and the same for everybody: model APIs, tokens, chat services."""
    if path in ("", "/") and b'"model"' in call.body and b'"messages"' in call.body:  # its whole address is a setting
        return _ANTHROPIC if re.search(r"anthropic|claude", host) else _CHAT
    if path.endswith("/v1/messages") and (not call.body or b'"messages"' in call.body):  # else a mailer's, say
        return _ANTHROPIC
    if path.endswith("/chat/completions"):
        return _CHAT
    if path.endswith("/embeddings"):
        return {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.1] * 8}], "model": "e"}
    if re.search(r"(oauth\w*|connect|auth)(/v?[\d.]*)?(/\w+)*/(access_)?token$", path) and b"grant_type" in call.body:
        return {"access_token": "test-access-token", "token_type": "bearer", "expires_in": 3600}
    if "api.telegram.org" in host:
        known = _OF_TELEGRAM.get(path.rpartition("/")[2].lower())
        if known is not None:
            return {"ok": True, "result": known}
        if not re.search(r"/(send|edit|copy|forward)\w*$", path):
            return {"ok": True, "result": True}
        return {"ok": True, "result": {"message_id": 1, "date": 1700000000, "chat": {"id": 1, "type": "private"}}}
    if _is_slack(host, path):
        known = {"ts": "1700000000.000100", "channel": "C1", "user": "U1", "team_id": "T1", "bot_id": "B1"}
        return {"ok": True, **_OF_SLACK.get(path.rpartition("/")[2], known)}
    return None


def _is_slack(host: str, path: str) -> bool:
    """Whether a call is one of Slack's methods, each a path of its own: /api/users.info."""
    return (host in ("slack", "slack.com") or host.endswith(".slack.com")) and path.startswith("/api/")


def _read(index: Index, path: str) -> Shape:
    """The fields that are read off an answer, in the functions that build this path."""
    shape = Shape()
    for function in _callers(index, path):
        reader = _AnswerReader(index, shape)
        reader.follows = True
        returned = reader.read(function, {})
        reader.follows, reader.gives = False, {}  # what its helper gives to others is another answer
        if returned is not None:  # what is done with it there tells what it must be
            reader.gives[function] = returned
            for caller in index.callers(function):
                reader.read(caller, {})
    return shape


def _callers(index: Index, path: str) -> Iterator[Function]:
    """Functions whose constants hold the path's last plain words, those with most of them first."""
    words = [part for part in path.split("/") if part and not part.startswith("{") and len(part) > 2]
    if not words:
        return
    scored = []
    for function in index.functions:
        texts = [node.value for node in index.own_nodes(function)
                 if isinstance(node, ast.Constant) and isinstance(node.value, str)]  # fmt: skip
        texts += [text for node in index.own_of(function, ast.Name) if node.id.isupper()
                  and (text := text_of(index, function.module, node))]  # fmt: skip
        found = sum(any(word in text for text in texts) for word in words)
        if any(words[-1] in text for text in texts) and _parses(index, function):
            scored.append((found, function))
    best = max((count for count, _ in scored), default=0)
    yield from (function for count, function in scored if count == best)


def _parses(index: Index, function: Function) -> bool:
    """Whether a function, or one that it asks, reads JSON: `return await self._get("/orders")`."""
    return any("json" in one.module.segment(one.node) for one in (function, *index.callees(function)))


class _AnswerReader(Reader):
    """Takes every `.json()` of what is no request for the answer; where it `follows`, also of what it calls."""

    def __init__(self, index: Index, shape: Shape) -> None:
        super().__init__(index, shape, of_request=False)
        self.gives: dict[Function, Shape] = {}
        self.follows = False

    def given_by(self, function: Function) -> Shape | None:
        """What a function that asks the upstream gives back."""
        if self.follows and function not in self.gives and (returned := self.read(function, {}, 1)) is not None:
            self.gives[function] = returned
        return self.gives.get(function)

    def is_root(self, module: Module, node: ast.expr) -> bool:
        """Whether an expression is the answer's body."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "json":
            owner = node.func.value
            return unparsed(owner).rsplit(".", 1)[-1] not in ("request", "req") or _is_made_here(module, owner)
        return False


def _is_made_here(module: Module, node: ast.expr) -> bool:
    """Whether the function around a name assigns it: `req = requests.post(…)` is an answer, for all its name."""
    function = module.enclosing_function(node)
    return function is not None and isinstance(node, ast.Name) and any(
        isinstance(target, ast.Name) and target.id == node.id
        for statement in ast.walk(function) if isinstance(statement, ast.Assign) for target in statement.targets
    )  # fmt: skip


def sent_values(body: bytes) -> set[str]:
    """The plain values of an event's body."""
    try:
        todo: list[Any] = [json.loads(body)]
    except ValueError:
        return set()
    found: set[str] = set()
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            todo += value.values()
        elif isinstance(value, list):
            todo += value
        elif isinstance(value, str | int) and not isinstance(value, bool):
            found.add(str(value))
    return found


def is_refused(call: UpstreamCall, target: Target) -> bool:
    """Whether nobody played it: it got our 502, and no declared route has answered so."""
    return (
        call.status == 502
        and not any(up.start and up.name == call.upstream for up in target.upstreams)
        and not any(route.status == 502 for up in target.upstreams if up.name == call.upstream for route in up.routes)
    )
