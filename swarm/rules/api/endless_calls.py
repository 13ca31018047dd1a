"""Outgoing calls of a module that no timeout ends, with what may be given to each."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from swarm.analysis.effects import http_call
from swarm.analysis.index import Index
from swarm.analysis.source import Module
from swarm.rules.api.endless_waits import (
    each_has_its_own,
    has_patient_adapter,
    is_endless,
    is_limited_around,
    is_program,
)
from swarm.rules.api.waiting_clients import waits

_STREAMS = re.compile(r"\bws_connect\b|text/event-stream|\biter_(any|chunked|chunks)\b|\.content\b")
_WITH_TIMEOUT = 3  # arguments of urlopen by position: address, data, timeout
HTTPX_CLIENTS = ("httpx.AsyncClient", "httpx.Client")


@dataclass(frozen=True, slots=True)
class Place:
    """A call with no limit of time; `given` is its own `timeout=None`, where it has one."""

    call: ast.Call
    given: ast.keyword | None
    is_aiohttp: bool
    owner: str
    by_hand: bool = False  # in a program that a person runs: no request waits for it
    streams: bool = False  # a session that may be meant to read on and on
    keyword: str = "timeout"  # what limits it; "": nothing can be given to it
    whole: bool = False  # in whole seconds
    spread: ast.keyword | None = None  # the `**options` that the limit goes into, where a wrapper hands them on


def places(index: Index, module: Module) -> Iterator[Place]:
    """Every one in the module."""
    is_by_hand = is_program(module)
    for call in module.nodes(ast.Call):
        function = index.enclosing(module, call)
        owner = function.qualname if function is not None else "the module"
        by_hand = function is not None and is_by_hand and not index.on_request_path(module, call)
        given = next((keyword for keyword in call.keywords if keyword.arg == "timeout"), None)
        is_none = given is not None and is_endless(index, module, given.value)
        if any(keyword.arg is None for keyword in call.keywords) or (given is not None and not is_none):
            continue
        dotted = index.resolve(module, call.func)
        kind = index.kinds.of(module, call) if dotted is not None else None
        if kind in HTTPX_CLIENTS and dotted == kind:
            if is_none:
                yield Place(call, given, False, owner, by_hand)
            continue
        if dotted in ("aiohttp.ClientSession", "aiohttp.client.ClientSession"):
            limited = each_has_its_own(module) or is_limited_around(index, module, call)
            if given is not None or not limited:
                yield Place(call, given, True, owner, by_hand, _STREAMS.search(module.text) is not None)
            continue
        if dotted == "urllib.request.urlopen" and len(call.args) < _WITH_TIMEOUT:
            yield Place(call, given, False, owner, by_hand)
            continue
        request = http_call(index, module, call)
        if request is None:
            continue
        limited = request.library == "requests" and call.func is not None and not _is_send(call)
        if (
            limited
            and not is_none
            and request.owner is not None
            and has_patient_adapter(index, module, request.owner)
        ):
            continue
        if is_none or limited:
            if request.library == "aiohttp":
                continue
            yield Place(call, given, False, owner, by_hand)
    for wait in waits(index, module):
        function = index.enclosing(module, wait.call)
        owner = function.qualname if function is not None else "the module"
        by_hand = function is not None and is_program(module) and not index.on_request_path(module, wait.call)
        yield Place(wait.call, wait.given, False, owner, by_hand, keyword=wait.keyword, whole=wait.whole,
                     spread=wait.spread)  # fmt: skip


def _is_send(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "send"
