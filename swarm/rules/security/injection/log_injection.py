"""The rule log-injection."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import cast

from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.dataflow.values import Taint, derived
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.rules.rule import Example
from swarm.rules.security.injection.data_flow import FlowRule, Hit

_LEVELS = frozenset({"debug", "info", "warning", "warn", "error", "exception", "critical", "log"})
_ESCAPING = ("pythonjsonlogger", "structlog", "json_log_formatter", "loguru")

_FORMATTERS = ("logging.Formatter", "logging.Filter", "logging.LoggerAdapter")


class LogInjection(FlowRule):
    """Text of a request is written into the log as it is: a line break in it forges a line of the log.

    Left alone: `%r` and `!r`, numbers, values without line breaks, and services whose log is written as JSON or by a
    formatter or filter of their own. Where log-forging can mend the whole log, its finding tells of these places.
    """

    id = "log-injection"
    category = "security"
    severity = "low"
    told_by = "log-forging"
    cwe = ("CWE-117",)
    title = "Data of a request is written into the log as it is"
    sources = ("OWASP ASVS 5.0 16.4.1",)
    harm = "is written into the log with its line breaks"
    recommendation = "Log it with `%r`, or let one formatter escape line breaks of every message."
    bad = (
        Example(
            "import logging\n\nfrom flask import Flask, request\n\napp = Flask(__name__)\n"
            "log = logging.getLogger(__name__)"
            "\n\n\n@app.post('/login')\ndef login():\n    log.info('login of %s', request.form['user'])\n"
            "    return {}\n",
            None,
            "flask",
        ),
        Example(
            "import logging\n\nfrom fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get('/find')\n"
            "async def find(text: str):\n    logging.warning(f'nothing for {text}')\n    return []\n",
            None,
            "fastapi",
        ),
    )
    good = (
        "import logging\n\nfrom fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get('/find')\n"
        "async def find(text: str, page: int):\n    logging.warning('nothing for %r on %d', text, page)\n"
        "    return []\n",
    )

    def hits(self, seen: Seen, index: Index) -> Iterator[Hit]:
        """Messages and their values."""
        if seen.what != "call" or not isinstance(seen.node, ast.Call) or not _is_logging(seen, seen.node):
            return
        if _is_escaped(index):
            return
        given = list(seen.arguments)
        message = str(given[0].constant) if given else ""
        places = [piece[:1] for piece in message.replace("%%", "").split("%")[1:]]
        kept = [v for n, v in enumerate(given[1:]) if n >= len(places) or places[n] not in ("r", "d", "i", "f")]
        yield Hit(derived(*given[:1], *kept), ("log", "flat"), _has_one_line)


def _is_logging(seen: Seen, call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in _LEVELS:
        return False
    owner = unparsed(call.func.value).rsplit(".", 1)[-1].lower()
    return seen.name.startswith("logging.") or owner in ("log", "logger", "_log", "_logger", "logging")


def _is_escaped(index: Index) -> bool:
    if "escaped-log" not in index.notes:
        tops = {dotted.split(".")[0] for m in index.tree.modules.values() for dotted in m.imports.values()}
        own = any(
            (index.resolve(info.module, base) or "") in _FORMATTERS
            for info in index.classes.values() for base in info.node.bases
        )  # fmt: skip
        mended = any("keep_records_on_one_line" in module.imports for module in index.tree.modules.values())
        index.notes["escaped-log"] = own or mended or bool(tops & set(_ESCAPING))
    return cast("bool", index.notes["escaped-log"])


def _has_one_line(taint: Taint) -> bool:
    if {"without:\n", "without:\r"} & taint.marks:
        return True
    first = taint.steps[0].text if taint.steps else ""
    return ".headers" in first or ".cookies" in first
