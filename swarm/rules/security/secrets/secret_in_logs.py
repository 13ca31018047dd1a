"""The rule secret-in-logs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from swarm.analysis.added_modules import is_added
from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.reading.keyed import keyed_read
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.facts.logging_calls import calls_that_tell, is_print
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.security.secrets.configured import (
    address_with_password,
    configured_secret,
    environment,
    secret_of_object,
    secret_of_table,
)
from swarm.rules.security.signatures.digests import assigned, is_signature, last_name

_SECRET = re.compile(
    r"(^|_)(secret|secret_?key|api_?key|password|passwd|private_?key|signing_?key|webhook_?key|access_token|auth_token"
    r"|bearer_token|api_token|hook_token|admin_token|webhook_(token|secret)|authorization)$", re.IGNORECASE
)  # fmt: skip
_HEADER = re.compile(
    r"^((proxy-)?authorization|cookie|x-[\w-]*(token|secret|key)|[\w-]*signature[\w-]*)$", re.IGNORECASE
)
_COVERING = re.compile(r"mask|redact|hash|scrub|len|bool|sha|digest|type|fingerprint", re.IGNORECASE)
_STARS = "***"
_PASSWORD = "a password stands"
# what shows a text beside logs and print
_SHOWING = (
    "pprint.pprint",
    "pprint.pp",
    "click.echo",
    "typer.echo",
    "sys.stdout.write",
    "sys.stderr.write",
    "rich.print",
)
_OF_LOGGERS = ("exc_info", "stack_info", "stacklevel")
_COVERED = f'"{_STARS}"'


@dataclass(frozen=True, slots=True)
class _Shown:
    """A secret in a log line; `is_plain` says that it is an argument of its own."""

    call: ast.Call
    value: ast.expr
    what: str
    is_plain: bool


class SecretInLogs(Rule):
    """A secret, the signature that would be right, or what a sender proved himself with is written to the log: more
    people and programs read it than may use the secret, and it stays there.

    At start as on a request's way: the whole environment, settings as one object, and addresses of databases count.

    The mend writes `***` in its place, and of headers their names; the line stays. In texts that are put together
    (f-strings) it is advised only. Left alone: lengths, flags, digests and masked values.
    """

    id = "secret-in-logs"
    category = "security"
    severity = "medium"
    cwe = ("CWE-532",)
    title = "A secret goes to the log"
    sources = ("OWASP ASVS 5.0 16.2.5",)
    bad = (
        Example(
            "import logging\n\nfrom fastapi import FastAPI, Request\n\nlogger = logging.getLogger(__name__)\n"
            "app = FastAPI()\n\n\n@app.post('/hook')\nasync def hook(request: Request):\n"
            "    logger.info('hook with %s', request.headers)\n    return {}\n",
            "import logging\n\nfrom fastapi import FastAPI, Request\n\nlogger = logging.getLogger(__name__)\n"
            "app = FastAPI()\n\n\n@app.post('/hook')\nasync def hook(request: Request):\n"
            "    logger.info('hook with %s', list(request.headers.keys()))\n    return {}\n",
            "fastapi",
        ),
        Example(
            "import hmac\nimport logging\nimport os\n\nfrom flask import Flask, abort, request\n\n"
            "log = logging.getLogger(__name__)\napp = Flask(__name__)\nSECRET = os.environ['HOOK_SECRET']\n\n\n"
            "@app.post('/hook')\ndef hook():\n    sent = request.headers.get('X-Sig', '')\n"
            "    expected = hmac.new(SECRET.encode(), request.data, 'sha256').hexdigest()\n"
            "    if not hmac.compare_digest(sent.encode(), expected.encode()):\n"
            "        log.warning('expected %s with %s', expected, SECRET)\n        abort(401)\n    return {}\n",
            "import hmac\nimport logging\nimport os\n\nfrom flask import Flask, abort, request\n\n"
            "log = logging.getLogger(__name__)\napp = Flask(__name__)\nSECRET = os.environ['HOOK_SECRET']\n\n\n"
            "@app.post('/hook')\ndef hook():\n    sent = request.headers.get('X-Sig', '')\n"
            "    expected = hmac.new(SECRET.encode(), request.data, 'sha256').hexdigest()\n"
            "    if not hmac.compare_digest(sent.encode(), expected.encode()):\n"
            "        log.warning('expected *** with ***')\n        abort(401)\n    return {}\n",
            "flask",
        ),
        Example(
            "import os\n\nfrom fastapi import FastAPI\n\nBOT_TOKEN = os.environ['BOT_TOKEN']\n"
            "print('token', BOT_TOKEN)\n"
            "app = FastAPI()\n",
            "import os\n\nfrom fastapi import FastAPI\n\nBOT_TOKEN = os.environ['BOT_TOKEN']\n"
            "print('token', \"***\")\n"
            "app = FastAPI()\n",
            "fastapi",
        ),
        Example(
            "import logging\n\nfrom starlette.applications import Starlette\n"
            "from starlette.responses import JSONResponse\nfrom starlette.routing import Route\n\n\n"
            "async def hook(request):\n    logging.info(f\"from {request.headers['authorization']}\")\n"
            "    return JSONResponse({})\n\n\napp = Starlette(routes=[Route('/hook', hook, methods=['POST'])])\n",
            None,
            "starlette",
        ),
    )
    good = (
        "import logging\n\nfrom flask import Flask, request\n\nlog = logging.getLogger(__name__)\n"
        "app = Flask(__name__)\n\n\n@app.post('/hook')\ndef hook():\n"
        "    log.info('agent %s, signed: %s', request.headers.get('User-Agent'), bool(request.headers['X-Sig']))\n"
        "    log.info('%d tokens, key id %s', app.usage.total_tokens, app.config['KEY_ID'])\n    return {}\n",
        "import logging\n\nlog = logging.getLogger(__name__)\n\n\ndef tell(api_key: str, token_count: int) -> None:\n"
        "    log.info('key of %d letters, %s, %d tokens', len(api_key), mask(api_key), token_count)\n\n\n"
        "def mask(text: str) -> str:\n    return text[:2] + '***'\n",
        "import logging\nimport os\n\nfrom flask import Flask\n\nlog = logging.getLogger(__name__)\n"
        "BOT_TOKEN = os.environ['BOT_TOKEN']\napp = Flask(__name__)\n"
        "log.info('token %s, %d variables', 'set' if BOT_TOKEN else 'missing', len(os.environ))\n"
        "print(os.environ.get('PORT', '8000'), app.config['DEBUG'], BOT_TOKEN is not None)\n",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every log line that shows a secret."""
        for module in index.tree.modules.values():
            for shown in _shown(index, module):
                function = index.enclosing(module, shown.call)
                where = function.qualname if function else "module level"
                yield self.finding(
                    module,
                    shown.call,
                    evidence=f"{where} logs {shown.what}",
                    recommendation="Leave it out, or log that there was one.",
                    anchor=f"{where}: {module.segment(shown.value)[:60]}",
                    mendable=shown.is_plain,
                    severity="low" if _PASSWORD in shown.what else None,
                )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """`***` in place of each secret, names in place of headers."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        covered: dict[ast.Call, list[ast.expr]] = {}
        for shown in _shown(index, module):
            if shown.is_plain and shown.call.lineno in lines:
                covered.setdefault(shown.call, []).append(shown.value)
        edits = [edit for call, values in covered.items() for edit in _covering(module, call, values)]
        if not edits:
            return None
        return Mend(
            "Keep secrets out of the log",
            "The log line stays and says `***` in place of a secret, and of headers their names alone.",
            (edited(module, edits),),
        )


def _covering(module: Module, call: ast.Call, values: list[ast.expr]) -> Iterator[Edit]:
    """`***` in the message itself where its text stands in one piece, else in place of each value."""
    secret = [value for value in values if value in call.args and not _is_headers(module, value)]
    first = call.args[0]
    start = module.span(first)[0]
    places = list(re.finditer(r"%(?!%)[^a-zA-Z]*[a-zA-Z]", module.segment(first).replace("%%", "__")))
    if is_print(module, call) or len(places) != len(call.args) - 1:
        secret = []
    for place, value in zip(places, call.args[1:], strict=False):
        if value in secret:
            yield Edit(start + place.start(), start + place.end(), _STARS)
            before = call.args[call.args.index(value) - 1]
            yield Edit(module.span(before)[1], module.span(value)[1], "")
    yield from (Edit(*module.span(v), _instead(module, v)) for v in values if v not in secret)


def _instead(module: Module, value: ast.expr) -> str:
    return f"list({module.segment(value)}.keys())" if _is_headers(module, value) else _COVERED


def _shown(index: Index, module: Module) -> Iterator[_Shown]:
    if is_added(module):
        return
    for call in calls_that_tell(index, module):
        for argument in call.args:
            for value in _rendered(module, argument):
                what = _what(index, module, value)
                if what:
                    is_plain = value is argument and (is_print(module, call) or _takes_text(call))
                    yield _Shown(call, value, what, is_plain)
        for keyword in call.keywords if not is_print(module, call) else ():
            if keyword.arg not in _OF_LOGGERS:
                for value in _rendered(module, keyword.value):
                    what = _what(index, module, value)
                    if what:
                        yield _Shown(call, value, what, is_plain=False)
    for home, call in index.calls_to(*_SHOWING):
        shown = (value for argument in call.args if home is module for value in _rendered(module, argument))
        for value, what in ((value, _what(index, module, value)) for value in shown):
            if what:
                yield _Shown(call, value, what, is_plain=False)


def _takes_text(call: ast.Call) -> bool:
    """Whether every place of the message takes text, so that `***` fits in each."""
    message = call.args[0] if call.args else None
    if not isinstance(message, ast.Constant) or not isinstance(message.value, str):
        return False
    places = re.findall(r"%(?!%)[^a-zA-Z]*([a-zA-Z])", message.value.replace("%%", ""))
    return len(places) == len(call.args) - 1 and set(places) <= {"s", "r"}


def _rendered(module: Module, node: ast.expr) -> Iterator[ast.expr]:
    """What is written into the line, seen through f-strings, `%`, `+`, format() and str()."""
    if isinstance(node, ast.JoinedStr):
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                yield from _rendered(module, part.value)
    elif isinstance(node, ast.BinOp):
        yield from _rendered(module, node.left)
        yield from _rendered(module, node.right)
    elif isinstance(node, ast.BoolOp):  # `TOKEN or "none"`
        yield from _rendered(module, node.values[0])
    elif isinstance(node, ast.Dict):
        for item in node.values:
            yield from _rendered(module, item)
    elif isinstance(node, ast.Tuple | ast.List):
        for item in node.elts:
            yield from _rendered(module, item)
    elif isinstance(node, ast.Call) and (
        module.segment(node.func) in ("str", "repr", "dict", "json.dumps") or _is_format(node)
    ):
        for item in (*node.args, *(keyword.value for keyword in node.keywords)):
            yield from _rendered(module, item)
    elif not isinstance(node, ast.Call) or not _COVERING.search(module.segment(node.func)):
        yield node


def _is_format(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "format"


def _what(index: Index, module: Module, value: ast.expr) -> str:
    """What secret a value is; "" for none."""
    if _is_headers(module, value):
        return "all headers of a request, what proves the sender among them"
    if environment(module, value):
        return "the whole environment, secrets among it"
    setting = secret_of_object(index, module, value)
    if setting:
        return f"all settings, {setting} among them"
    entry = secret_of_table(index, module, value)
    if entry:
        return f"`{module.segment(value)}`, {entry} among it"
    setting = configured_secret(index, module, value)
    if setting:
        return f"`{setting}`"
    address = address_with_password(index, module, value)
    if address:
        return f"`{address}`, in which {_PASSWORD}"
    header = _header(value) or _header(assigned(value, module.enclosing_function(value)))
    if _HEADER.match(header):
        return f"the header {header}"
    name = last_name(value)
    if name and _SECRET.search(name):
        return f"`{module.segment(value)[:60]}`"
    if isinstance(value, ast.Name) and is_signature(index, module, value):
        return f"`{value.id}`, the signature that would be right"
    return ""


def _is_headers(module: Module, value: ast.expr) -> bool:
    return (
        isinstance(value, ast.Attribute)
        and value.attr == "headers"
        and module.segment(value.value).endswith("request")
    )


def _header(value: ast.expr) -> str:
    owner, key = keyed_read(value) or (None, None)
    is_header = isinstance(owner, ast.Attribute) and owner.attr == "headers"
    return key.value if is_header and isinstance(key, ast.Constant) and isinstance(key.value, str) else ""
