"""Hard-coded https hosts, reached from real child processes with unmodified clients; nothing else gets out."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from swarm.config.schema import Target
from swarm.target.running import environment
from swarm.target.tree.copies import Copy, make_copy
from swarm.target.tree.place import resolve_place
from swarm.target.upstream.intercept import authorities, one_authority
from swarm.target.upstream.upstreams import Upstreams

TARGET = Target.model_validate({
    "path": ".", "start": "python serve.py {port}",
    "upstreams": [{
        "name": "mail", "host": "api.mail.example",
        "routes": [{"method": "POST", "path": "/v3/send", "status": 202, "json": {"sent": True}}],
    }],
})  # fmt: skip
CLIENTS = {
    "requests": "import requests; r = requests.post(URL, json={'a': 1}); print(r.status_code, r.text)",
    "httpx": "import httpx; r = httpx.post(URL, json={'a': 1}); print(r.status_code, r.text)",
    "httpx async": """
import asyncio, httpx
async def main():
    async with httpx.AsyncClient() as client:
        r = await client.post(URL, json={'a': 1})
        print(r.status_code, r.text)
asyncio.run(main())""",
    "aiohttp": """
import asyncio, aiohttp
async def main():
    async with aiohttp.ClientSession() as session, session.post(URL, json={'a': 1}) as r:
        print(r.status, await r.text())
asyncio.run(main())""",
    "urllib": """
import urllib.request
r = urllib.request.urlopen(urllib.request.Request(URL, b'{"a": 1}', {'Content-Type': 'application/json'}))
print(r.status, r.read().decode())""",
    "pinned certifi": """
import certifi, requests
r = requests.post(URL, json={'a': 1}, verify=certifi.where()); print(r.status_code, r.text)""",
    "a bundle of its own": """
import certifi, requests
own = os.path.join(os.path.dirname(certifi.__file__), 'cacert.pem')
r = requests.post(URL, json={'a': 1}, verify=own); print(r.status_code, r.text)""",
    "httpx without the environment": """
import httpx
with httpx.Client(trust_env=False) as client:
    r = client.post(URL, json={'a': 1}); print(r.status_code, r.text)""",
    "requests without the environment": """
import requests
session = requests.Session()
session.trust_env = False
r = session.post(URL, json={'a': 1}); print(r.status_code, r.text)""",
    "urllib3 with its own bundle, as cloud SDKs do": """
import certifi, urllib3
own = os.path.join(os.path.dirname(certifi.__file__), 'cacert.pem')
r = urllib3.PoolManager(cert_reqs='CERT_REQUIRED', ca_certs=own).request('POST', URL, body=b'{"a": 1}')
print(r.status, r.data.decode())""",
    "a bundle given as text": """
import certifi, ssl, urllib.request
own = os.path.join(os.path.dirname(certifi.__file__), 'cacert.pem')
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.load_verify_locations(cadata=open(own, encoding='utf-8').read())
r = urllib.request.urlopen(urllib.request.Request(URL, b'{"a": 1}'), context=context)
print(r.status, r.read().decode())""",
    "aiohttp with a context of its own": """
import asyncio, aiohttp, certifi, ssl
own = os.path.join(os.path.dirname(certifi.__file__), 'cacert.pem')
async def main():
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=own))
    async with aiohttp.ClientSession(connector=connector) as session, session.post(URL, json={'a': 1}) as r:
        print(r.status, await r.text())
asyncio.run(main())""",
    "http.client with the system's certificates": """
import http.client, ssl, urllib.parse
host, path = urllib.parse.urlsplit(URL)[1:3]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.load_default_certs()
connection = http.client.HTTPSConnection(host, context=context)
connection.request('POST', path, b'{"a": 1}')
r = connection.getresponse(); print(r.status, r.read().decode())""",
    "a proxy by hand": """
import requests
proxy = 'http://127.0.0.1:' + os.environ['SWARM_REDIRECT_PORT']
r = requests.post(URL, json={'a': 1}, proxies={'https': proxy, 'http': proxy}); print(r.status_code, r.text)""",
}


@pytest.fixture
async def upstreams(tmp_path: Path) -> AsyncIterator[tuple[Upstreams, Any]]:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "serve.py").write_text("", encoding="utf-8")
    place = resolve_place("mailer", TARGET, tmp_path / "tree")
    copy: Copy = make_copy(place, tmp_path / "copy")
    running = await Upstreams.start(place, copy, TARGET, tmp=tmp_path / "upstreams")
    extra = {**running.env, "SWARM_INJECT": os.pathsep.join(map(str, running.inject))}
    env = environment.child_environment(place, copy, TARGET, tmp_path / "data", None, extra)

    async def run(script: str) -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", f"import os\n{script}", env=env, stdout=-1, stderr=-1
        )
        out, err = await asyncio.wait_for(process.communicate(), 20)
        return (out + err).decode()

    try:
        yield running, run
    finally:
        await running.stop()


@pytest.mark.parametrize("scheme", ["https", "http"])
async def test_every_client_reaches_a_played_host(upstreams: tuple[Upstreams, Any], scheme: str) -> None:
    running, run = upstreams
    url = f"URL = '{scheme}://api.mail.example/v3/send'\n"
    clients = CLIENTS if scheme == "https" else {name: CLIENTS[name] for name in ("requests", "a proxy by hand")}
    answers = await asyncio.gather(*(run(url + script) for script in clients.values()))
    assert dict(zip(clients, answers, strict=True)) == dict.fromkeys(clients, '202 {"sent": true}\n')
    assert [(c.upstream, c.method, c.path, c.effect) for c in running.calls] == [
        ("mail", "POST", "/v3/send", "write")
    ] * len(clients)
    assert all(json.loads(call.body) == {"a": 1} for call in running.calls)
    assert running.refused == []


async def test_what_nobody_plays_fails_and_is_listed(upstreams: tuple[Upstreams, Any]) -> None:
    running, run = upstreams
    script = """
import socket, requests
print(requests.get('https://api.other.example/v1/x?y=1').status_code)
print(requests.get('https://api.mail.example/v3/nothing').status_code)
try:
    socket.create_connection(('db.example', 5432), timeout=3)
except OSError as error:
    print(type(error).__name__, error)
print(socket.getaddrinfo('localhost', 80)[0][4][0] in ('127.0.0.1', '::1'))
"""
    lines = (await run(script)).splitlines()
    assert lines[:2] == ["502", "502"]
    assert lines[2].startswith("gaierror") and "db.example:5432" in lines[2]
    assert lines[3] == "True"
    assert running.refused == [
        "GET api.other.example/v1/x", "GET api.mail.example/v3/nothing", "CONNECT db.example:5432",
    ]  # fmt: skip


async def test_a_client_costs_what_it_costs_elsewhere(upstreams: tuple[Upstreams, Any]) -> None:
    running, _ = upstreams
    bundle = Path(running.env["SSL_CERT_FILE"]).read_text(encoding="utf-8")
    assert bundle.count("BEGIN CERTIFICATE") > 100  # the usual ones too: fewer would make a client cheap
    assert not any("proxy" in name.lower() for name in running.env)  # each would make it dear
    assert Path(running.env["SSL_CERT_FILE"]).parent.stat().st_mode & 0o077 == 0


async def test_a_silent_or_broken_connection_harms_nobody(upstreams: tuple[Upstreams, Any]) -> None:
    running, run = upstreams
    port = int(running.env["SWARM_REDIRECT_PORT"])
    writers = []
    for start in (b"", b"CONN", b"\x16\x03\x01\x00\x05nonsense", b"GET", b"CONNECT no-end HTTP/1.1\r\n"):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(start)
        await writer.drain()
        writers.append(writer)
    answer = await run("URL = 'https://api.mail.example/v3/send'\n" + CLIENTS["requests"])
    assert answer.startswith("202")
    for writer in writers:
        writer.close()


def test_upstreams_of_one_run_share_an_authority(tmp_path: Path) -> None:
    python = Path(sys.executable)
    with one_authority(tmp_path / "run"):
        first, again = authorities(tmp_path / "a").of(python), authorities(tmp_path / "b").of(python)
    apart = authorities(tmp_path / "c").of(python)
    assert first == again and first[1].is_relative_to(tmp_path / "run")
    assert apart[1].is_relative_to(tmp_path / "c") and apart[1].read_bytes() != first[1].read_bytes()
