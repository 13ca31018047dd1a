"""The rule log-forging."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from swarm.analysis.added_modules import is_added
from swarm.analysis.edits import Edit, apply_edits
from swarm.analysis.index import Index
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.core.patches import FileChange
from swarm.rules.facts.logging_calls import calls_that_tell, is_log_call
from swarm.rules.rule import Example, Mend, Rule
from swarm.rules.writing.placing import free_file, import_edit, main_app, sibling_import, text_mentions

_CALL = "keep_records_on_one_line"
# a format that escapes by itself, or records that somebody makes already
_KNOWN = (
    r"setLogRecordFactory|structlog|json_?log|JsonFormatter|JSONFormatter|ecs_logging|logstash|google\.cloud\.logging"
    r"|serialize\s*=\s*True|replace\(\s*r?[\"']\\n[\"']\s*,\s*r?[\"'](\\\\n|\s|_)?[\"']\)"
)
_NUMBERS = ("len", "int", "float", "round", "sum", "id", "hash", "ord", "type", "repr", "bool")


class LogForging(Rule):
    """Values go into log lines as they come. Who sends a line end in one of them writes a line of its own, which
    people and programs that read the log take for the service's; terminal codes hide what stands before them.

    The mend adds a small module of the standard library that escapes control characters in the message of every
    record, whatever its logger, and indents tracebacks. Levels, handlers and formatters stay as they are;
    `ONE_LINE_LOG=0` turns it off. Where records are written as JSON nothing is found.
    """

    id = "log-forging"
    category = "security"
    severity = "low"
    cwe = ("CWE-117",)
    title = "A sender can write lines of its own into the log"
    sources = ("OWASP ASVS 5.0 16.4.1",)
    bad = (
        Example(
            "import logging\n\nfrom fastapi import FastAPI\n\nlogger = logging.getLogger(__name__)\n"
            'app = FastAPI()\n\n\n@app.post("/hook")\nasync def hook(event: dict):\n'
            '    logger.info("event %s", event["name"])\n'
            '    return {"ok": True}\n',
            "import logging\n\nfrom fastapi import FastAPI\n\nfrom one_line_log import keep_records_on_one_line\n\n"
            "logger = logging.getLogger(__name__)\nkeep_records_on_one_line()\napp = FastAPI()\n\n\n"
            '@app.post("/hook")\nasync def hook(event: dict):\n    logger.info("event %s", event["name"])\n'
            '    return {"ok": True}\n',
            "fastapi",
        ),
        Example(
            "from flask import Flask, request\n\n# The desk.\napp = Flask(__name__)\n\n\n"
            '@app.post("/hook")\ndef hook():\n    app.logger.warning(f"no stock for {request.json[\'sku\']}")\n'
            "    return {}\n",
            "from flask import Flask, request\n\nfrom one_line_log import keep_records_on_one_line\n\n"
            "keep_records_on_one_line()\n# The desk.\napp = Flask(__name__)\n\n\n"
            '@app.post("/hook")\ndef hook():\n    app.logger.warning(f"no stock for {request.json[\'sku\']}")\n'
            "    return {}\n",
            "flask",
        ),
    )
    good = (
        "import logging\n\nfrom fastapi import FastAPI\nfrom pythonjsonlogger.jsonlogger import JsonFormatter\n\n"
        "handler = logging.StreamHandler()\nhandler.setFormatter(JsonFormatter())\nlogger = logging.getLogger()\n"
        'app = FastAPI()\n\n\n@app.post("/hook")\nasync def hook(event: dict):\n'
        '    logger.info("event %s", event["name"])\n    return {"ok": True}\n',
        # numbers and constants forge nothing
        "import logging\n\nfrom flask import Flask, request\n\nlog = logging.getLogger(__name__)\n"
        'app = Flask(__name__)\n\n\n@app.post("/hook")\ndef hook():\n'
        '    log.info("took %d bytes, %r", len(request.data), request.path)\n'
        "    return {}\n",
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """One finding, at the application, with the first places."""
        app = main_app(index)
        if app is None or text_mentions(index, _KNOWN) or _CALL in app.module.imports:
            return
        places = list(_plain_values(index))
        if not places:
            return
        told = ", ".join(f"{module.path}:{call.lineno}" for module, call in places[:3])
        more = f" and {len(places) - 3} more" if len(places) > 3 else ""
        yield self.finding(
            app.module,
            app.node,
            evidence=f"values go into the log as they come, on a request's path: {told}{more}",
            recommendation="Escape line ends and control characters in what is logged, or log it as JSON.",
            anchor=f"app {app.name}",
            mendable=True,
        )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A module that makes the records, and one call before the application is made."""
        app = main_app(index)
        if app is None or app.module.path != findings[0].file:
            return None
        module, tree = app.module, index.tree
        path = free_file(tree, module.path.rpartition("/")[0], "one_line_log")
        statement = sibling_import(tree, module, path.rpartition("/")[2].removesuffix(".py"), _CALL)
        at = _above(module, app.node)
        call = Edit(at, at, f"{module.indent(app.node)}{_CALL}()\n")
        edits = [edit for edit in (import_edit(tree, module, statement), call) if edit.text]
        text = (Path(__file__).parent / "one_line_log.txt").read_text(encoding="utf-8")
        return Mend(
            "Keep each log record on one line",
            "Control characters in log messages are escaped and tracebacks indented, so that no sender can write a "
            "line of the log. ONE_LINE_LOG=0 turns it off.",
            (
                FileChange(module.path, module.text, apply_edits(module.text, edits)),
                FileChange(path, None, text),
            ),
        )


def _above(module: Module, statement: ast.stmt) -> int:
    """Where the statement begins, comments that belong to it included."""
    line = statement.lineno
    lines = module.text.splitlines()
    while line > 1 and lines[line - 2].lstrip().startswith("#"):
        line -= 1
    return module.line_start(line)


def _plain_values(index: Index) -> Iterator[tuple[Module, ast.Call]]:
    """Log calls on a request's path that write a value which is no number, no constant and not quoted."""
    for module in (one for one in index.tree.modules.values() if not is_added(one)):
        for call in calls_that_tell(index, module):
            if is_log_call(module, call) and index.on_request_path(module, call) and _writes_text(call):
                yield module, call


def _writes_text(call: ast.Call) -> bool:
    arguments = call.args[1:] if isinstance(call.func, ast.Attribute) and call.func.attr == "log" else call.args
    if not arguments:
        return False
    message, values = arguments[0], arguments[1:]
    template = message.value if isinstance(message, ast.Constant) and isinstance(message.value, str) else None
    if template is not None:
        return "%s" in template and any(_is_text(value) for value in values)
    if isinstance(message, ast.JoinedStr):
        return any(
            isinstance(part, ast.FormattedValue) and part.conversion != ord("r") and _is_text(part.value)
            for part in message.values
        )
    return _is_text(message) and not isinstance(message, ast.Constant)


def _is_text(value: ast.expr) -> bool:
    """Whether a value may be a text that somebody else wrote."""
    if isinstance(value, ast.Constant | ast.Compare | ast.BoolOp):
        return False
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in _NUMBERS:
        return False
    if isinstance(value, ast.Attribute) and value.attr in ("__name__", "status_code", "status", "path", "method"):
        return False
    return not (
        isinstance(value, ast.Name) and (value.id.isupper() or value.id.endswith(("_ms", "_s", "count", "number")))
    )
