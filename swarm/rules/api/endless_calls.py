"""Outgoing calls of a module that no timeout ends, with what may be given to each."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

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
    owner: str = "the module"
    by_hand: bool = False  # in a program that a person runs: no request waits for it
    streams: bool = False  # a session that may be meant to read on and on
    keyword: str = "timeout"  # what limits it; "": nothing can be given to it
    whole: bool = False  # in whole seconds
    spread: ast.keyword | None = None  # the `**options` that the limit goes into, where a wrapper hands them on


def places(index: Index, module: Module) -> Iterator[Place]:
    """Every one in the module."""
    is_by_hand = is_program(module)
    for place in (*_calls(index, module), *_waits(index, module)):
        function = index.enclosing(module, place.call)
        if function is None:
            yield place
        else:
            by_hand = is_by_hand and not index.on_request_path(module, place.call)
            yield replace(place, owner=function.qualname, by_hand=by_hand)


def _calls(index: Index, module: Module) -> Iterator[Place]:
    for call in module.nodes(ast.Call):
        given, is_none = None, False
        if call.keywords:
            given = next((keyword for keyword in call.keywords if keyword.arg == "timeout"), None)
            is_none = given is not None and is_endless(index, module, given.value)
            if any(keyword.arg is None for keyword in call.keywords) or (given is not None and not is_none):
                continue
        dotted = index.resolve(module, call.func)
        if dotted in HTTPX_CLIENTS and index.kinds.of(module, call) == dotted:
            if is_none:
                yield Place(call, given, False)
            continue
        if dotted in ("aiohttp.ClientSession", "aiohttp.client.ClientSession"):
            limited = each_has_its_own(module) or is_limited_around(index, module, call)
            if given is not None or not limited:
                yield Place(call, given, True, streams=_STREAMS.search(module.text) is not None)
            continue
        if dotted == "urllib.request.urlopen" and len(call.args) < _WITH_TIMEOUT:
            yield Place(call, given, False)
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
            yield Place(call, given, False)


def _waits(index: Index, module: Module) -> Iterator[Place]:
    for wait in waits(index, module):
        yield Place(wait.call, wait.given, False, keyword=wait.keyword, whole=wait.whole, spread=wait.spread)


def _is_send(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "send"
