from __future__ import annotations

import hashlib
import hmac
import json
import re
import uuid
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from swarm.config.schema import Target
from swarm.core.errors import TargetError
from swarm.target.traffic import Traffic

NOW_S = 1_700_000_000.25


def traffic(*webhooks: dict[str, Any], root: Path = Path(), seed: int = 1, **fields: Any) -> Traffic:
    target = Target.model_validate({"path": ".", "start": "x", "webhooks": list(webhooks), **fields})
    return Traffic(target, root, seed)


def body_of(payload: Any, number: int = 0, **more: Any) -> Any:
    return json.loads(traffic({"path": "/h", "payloads": [payload], **more}).request(number, NOW_S).body)


def test_placeholders() -> None:
    body = body_of(
        {
            "id": "{{uuid}}", "n": "{{int:5:9}}", "text": "PD-{{int:10:99}}", "at": "{{now}}",
            "who": "{{choice:swift,nobody home}}", "other": "{{contact.name}}", "deep": [{"m": "{{int:-3:-3}}"}],
        }
    )  # fmt: skip
    assert uuid.UUID(body["id"]).version == 4
    assert isinstance(body["n"], int) and 5 <= body["n"] <= 9
    assert re.fullmatch(r"PD-\d\d", body["text"])
    assert body["at"] == "2023-11-14T22:13:20.250Z"
    assert body["who"] in ("swift", "nobody home")
    assert body["other"] == "{{contact.name}}"
    assert body["deep"] == [{"m": -3}]


def test_placeholders_in_keys_stay_strings_and_text_is_not_escaped() -> None:
    assert body_of({"{{int:4:4}}": 'é " \\ {{int:1:1}}'}) == {"4": 'é " \\ 1'}


def test_body_that_is_a_list() -> None:
    assert body_of([{"n": "{{int:3:3}}"}, "{{int:4:4}}"]) == [{"n": 3}, 4]


def test_json_is_compact() -> None:
    request = traffic({"path": "/h", "payloads": [{"a": [1, 2], "b": None}]}).request(0, NOW_S)
    assert request.body == b'{"a":[1,2],"b":null}'
    assert request.headers == {"Content-Type": "application/json"}


def test_a_request_depends_on_seed_and_number_alone() -> None:
    hook = {"path": "/h", "payloads": [{"id": "{{uuid}}", "n": "{{int:1:1000000}}"}, {"x": "{{uuid}}"}]}
    first, again, other = traffic(hook), traffic(hook), traffic(hook, seed=2)
    late_first = [first.request(number, NOW_S) for number in reversed(range(20))]
    assert late_first[::-1] == [again.request(number, NOW_S) for number in range(20)]
    assert first.request(3, NOW_S).body != other.request(3, NOW_S).body
    assert len({first.request(number, NOW_S).id for number in range(20)}) == 20
    assert len({first.request(number, NOW_S).body for number in range(20)}) == 20


def test_the_mix_follows_the_shares() -> None:
    mix = traffic({"path": "/often", "share": 3}, {"path": "/seldom", "share": 1})
    counts = Counter(mix.request(number, NOW_S).path for number in range(1000))
    assert 680 < counts["/often"] < 820


def test_payload_files_by_pattern_are_relative_to_the_root(tmp_path: Path) -> None:
    (tmp_path / "payloads").mkdir()
    for name in "ab":
        (tmp_path / f"payloads/{name}.json").write_text(f'{{"from": "{name}"}}')
    (tmp_path / "raw.xml").write_text("<n>{{int:7:7}}</n>")
    made = traffic({"path": "/h", "payloads": ["payloads/*.json"]}, root=tmp_path)
    assert {made.request(n, NOW_S).body for n in range(30)} == {b'{"from":"a"}', b'{"from":"b"}'}
    xml = traffic({"path": "/h", "payloads": ["raw.xml"], "content_type": "text/xml"}, root=tmp_path)
    assert xml.request(0, NOW_S).body == b"<n>7</n>"


def test_a_form_is_urlencoded() -> None:
    hook = {
        "path": "/sms", "content_type": "application/x-www-form-urlencoded",
        "payloads": [{"From": "+1 {{int:5:5}}", "Text": "a&b={{choice:ü}}", "Tag": ["x", "y"]}],
    }  # fmt: skip
    body = traffic(hook).request(0, NOW_S).body
    assert parse_qs(body.decode()) == {"From": ["+1 5"], "Text": ["a&b=ü"], "Tag": ["x", "y"]}


def test_no_payload_is_an_empty_object_and_nothing_for_get() -> None:
    assert traffic({"path": "/h"}).request(0, NOW_S).body == b"{}"
    request = traffic({"path": "/h?x={{int:2:2}}", "method": "get"}).request(0, NOW_S)
    assert (request.body, request.headers, request.method, request.path) == (b"", {}, "GET", "/h?x=2")


def test_requests_are_signed_and_carry_the_declared_headers() -> None:
    hook = {
        "path": "/h", "payloads": [{"id": "{{uuid}}"}], "headers": {"X-Delivery": "{{uuid}}"},
        "sign": {"scheme": "hmac-sha256", "header": "X-Sig", "secret_env": "S"},
    }  # fmt: skip
    request = traffic(hook, env={"S": "key"}).request(5, NOW_S)
    assert request.headers["X-Sig"] == hmac.new(b"key", request.body, hashlib.sha256).hexdigest()
    assert uuid.UUID(request.headers["X-Delivery"])


def test_one_webhook_can_be_asked_for() -> None:
    mix = traffic({"path": "/a"}, {"path": "/b"})
    assert {mix.request_for(mix.webhooks[1], n, NOW_S).path for n in range(10)} == {"/b"}


def test_each_kind_of_event_can_be_asked_for_the_fullest_first() -> None:
    mix = traffic({"path": "/a", "payloads": [{"kind": "x"}, {"kind": "paid", "lines": [1, 2, 3]}, {"kind": "late"}]})
    (hook,) = mix.webhooks
    bodies = [mix.request_for(hook, 7, NOW_S, place).body for place in mix.by_size(hook)]
    assert [json.loads(body)["kind"] for body in bodies] == ["paid", "late", "x"]


@pytest.mark.parametrize("written", ["gone/*.json", "gone.json", "bad.json"])
def test_a_payload_that_cannot_be_read_is_told(tmp_path: Path, written: str) -> None:
    (tmp_path / "bad.json").write_text('{\n"a": }')
    with pytest.raises(TargetError, match=re.escape(written)):
        traffic({"path": "/h", "payloads": [written]}, root=tmp_path)


def test_a_target_without_webhooks_is_told() -> None:
    with pytest.raises(TargetError, match="webhooks"):
        traffic()
