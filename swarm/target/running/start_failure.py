"""Reads a server's log and says in one line why it did not start, with the mend where it is known."""

from __future__ import annotations

import re

ADDRESS_IN_USE = re.compile(
    r"address already in use|EADDRINUSE|\[Errno 98\]|\[Errno 48\]|port \d+ is in use", re.IGNORECASE
)
_MISSING_MODULE = re.compile(r"(?:ModuleNotFoundError|ImportError): No module named '([^']+)'")
_MISSING_NAME = re.compile(r"^ImportError: (cannot import name .+)$", re.MULTILINE)
_MISSING_KEY = re.compile(r"^KeyError: '([A-Z][A-Z0-9_]{2,})'$", re.MULTILINE)
_SETTINGS = re.compile(r"validation errors? for (\w+)\n((?:.*\n?)*)")
_FIELD_REQUIRED = re.compile(r"^(\w[\w.]*)\n\s+Field required", re.MULTILINE)
_FIELD_NONE = re.compile(
    r"^(\w[\w.]*)\n\s+(?:Input should be|none is not).*(?:input_value=None|type_error\.none)", re.MULTILINE
)
_REFUSED_EGRESS = re.compile(r"swarm: no network but loopback: ([^\s]+)")
_UVICORN = re.compile(r"Error loading ASGI app\. (.+)$", re.MULTILINE)
_FLASK = re.compile(r"^(?:Usage: flask.*\n(?:.*\n)*?)?Error: (.+)$", re.MULTILINE)
_EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit|Warning|Interrupt)\b.*$", re.MULTILINE)
_ASKS = re.compile(r"^EOFError(: EOF when reading a line)?$", re.MULTILINE)
_NO_FILE = re.compile(r"^FileNotFoundError: \[Errno 2\] .*?: '([^']+)'$", re.MULTILINE)


def describe_start_failure(log: str) -> str:
    """One line on why a server failed; "" where its log is empty."""
    if not log.strip():
        return ""
    if missing := _last(_MISSING_MODULE, log):
        return (
            f"it cannot import {missing!r}: set the target's `python` to the interpreter that has its "
            "dependencies, or `cwd` to the folder that its imports count from"
        )
    if ADDRESS_IN_USE.search(log):
        return "its port is taken: let `start` use {port}, the free port that swarm gives"
    if found := _SETTINGS.search(log):
        names = [*_FIELD_REQUIRED.findall(found[2]), *_FIELD_NONE.findall(found[2])]
        if names:
            return f"settings are missing: put {', '.join(n.upper() for n in names)} into the target's `env`"
        return f"its settings ({found[1]}) do not validate: {_first_line(found[2])}"
    if key := _last(_MISSING_KEY, log):
        return f"a setting is missing: put {key} into the target's `env`"
    if host := _last(_REFUSED_EGRESS, log):
        return f"it calls {host} as it starts, and nothing leaves this machine: play it under `upstreams`"
    if _ASKS.search(log):
        return "it asks for input as it starts, and nobody is there to type: give it by `env` or a file"
    if file := _last(_NO_FILE, log):
        return f"the file {file!r} is missing in the copy (git-ignored files are not copied)"
    for pattern in (_MISSING_NAME, _UVICORN, _FLASK):
        if text := _last(pattern, log):
            return text
    found_lines = _EXCEPTION.findall(log)
    return str(found_lines[-1]).strip() if found_lines else log.strip().splitlines()[-1].strip()


def describe_answer_failure(log: str) -> str:
    """The same for what a server says while it answers: a model that does not validate is the payload's then."""
    if found := _SETTINGS.search(log):
        names = _FIELD_REQUIRED.findall(found[2])
        wanted = f"it wants {', '.join(names)}" if names else _first_line(found[2])
        return f"ValidationError: the payload is no {found[1]}: {wanted}"
    return describe_start_failure(log)


def last_lines(log: str, count: int = 8) -> str:
    """The log's last lines, indented."""
    return "\n".join(f"  {line}" for line in log.strip().splitlines()[-count:])


def _last(pattern: re.Pattern[str], log: str) -> str:
    found = pattern.findall(log)
    return str(found[-1]) if found else ""


def _first_line(text: str) -> str:
    return " ".join(text.strip().splitlines()[:2]).strip()
