"""The rule personal-data-in-logs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.reading.parsing import parse_expression
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.core.patches import FileChange
from swarm.rules.compliance.shown_objects import is_settings, shows_person
from swarm.rules.compliance.written_words import is_correspondent, is_written_words
from swarm.rules.distinct import distinct
from swarm.rules.facts.in_use import runs_with
from swarm.rules.facts.logging_calls import is_log_call, is_print
from swarm.rules.facts.personal_columns import PERSONAL_NAME
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.security.signatures.digests import assigned, last_name
from swarm.rules.writing.placing import bound_names, free_file, import_edit, main_app
from swarm.rules.writing.reaching import import_of

# a full name of these is no person's
_THINGS = re.compile(
    r"(^|[^a-z])(repo|repository|project|pull|pr|prid|issue|branch|package|module)([^a-z]|$)", re.IGNORECASE
)
_PAYLOAD_CALLS = re.compile(
    r"(\.get_json|\brequest\.json|\.get_data|\.body|\brequest\.form|\.model_dump|\bjson\.loads|\borjson\.loads)\("
)
_PAYLOAD_PLACES = re.compile(r"^(flask\.)?request\.(json|data|form|values)$")
_PERSON = re.compile(r"contact|customer|lead|person|patient|guest|applicant|subscriber|attendee", re.IGNORECASE)
# where a person lives; the address of anything else is none of a person's
_HOME = re.compile(
    r"(shipping_?|billing_?|postal_?)?address(_?line_?\d)?|street|post_?code|zip(_?code)?", re.IGNORECASE
)
_COVERED = re.compile(r"mask|redact|hash|anonym|pseudonym|scrub|len|bool|outline|digest|sha|type|keys", re.IGNORECASE)
_MODULE = "log_privacy"

_TEXT = '''"""What may stand in a log of personal data: enough to recognise a case, too little to know the person."""

from __future__ import annotations

from typing import Any


def masked(value: Any) -> str:
    """`a***@example.com` for an e-mail, `***` and the last two digits for a number, else the first letter."""
    text = "" if value is None else str(value)
    name, at, domain = text.partition("@")
    if at:
        return f"{name[:1]}***@{domain}"
    if sum(letter.isdigit() for letter in text) >= 5:
        return f"***{text[-2:]}"
    return f"{text[:1]}***" if text else ""


def outline(payload: Any) -> str:
    """The names of a payload's fields without their values; kind and size of anything else."""
    if isinstance(payload, dict):
        return "fields " + ", ".join(str(key)[:40] for key in list(payload)[:30])
    try:
        return f"{type(payload).__name__} of {len(payload)}"
    except TypeError:
        return type(payload).__name__
'''


@dataclass(frozen=True, slots=True)
class _Shown:
    call: ast.Call
    value: ast.expr
    kind: Literal["masked", "outline"]
    what: str


class PersonalDataInLogs(Rule):
    """E-mail addresses, phone numbers, names, messages that persons wrote, or whole payloads are written to the log,
    where they stay longer, are read by more people, and are deleted by nobody.

    The mend masks a value (`a***@example.com`) and names the fields of a payload without their values, by a
    small module
    of the standard library beside the code. The log line stays, with its ids. It never touches what is stored,
    sent or
    answered. Left alone: values that are masked or hashed already, lengths, and flags.
    """

    id = "personal-data-in-logs"
    category = "compliance"
    severity = "medium"
    cwe = ("CWE-532", "CWE-359")
    title = "Personal data goes to the log"
    sources = ("GDPR 5(1)(c)(f)", "OWASP ASVS 5.0 16.2.5")
    bad = (
        Example(
            "import logging\n\nfrom fastapi import FastAPI\n\nlogger = logging.getLogger(__name__)\n"
            "app = FastAPI()\n\n\n"
            '@app.post("/leads")\nasync def take(lead: dict) -> dict:\n'
            '    logger.info("lead %s %s", lead["id"], lead["email"])\n'
            "    print(f\"lead {lead['id']} {lead['phone']}\")\n    return {}\n",
            "import logging\n\nfrom fastapi import FastAPI\n\nfrom log_privacy import masked\n\n"
            "logger = logging.getLogger(__name__)\napp = FastAPI()\n\n\n"
            '@app.post("/leads")\nasync def take(lead: dict) -> dict:\n'
            '    logger.info("lead %s %s", lead["id"], masked(lead["email"]))\n'
            "    print(f\"lead {lead['id']} {masked(lead['phone'])}\")\n    return {}\n",
            "fastapi",
        ),
        Example(
            "import logging\n\nfrom flask import Flask, request\n\nlog = logging.getLogger(__name__)\n"
            "app = Flask(__name__)\n\n\n"
            '@app.post("/hook")\ndef hook():\n    event = request.get_json(force=True)\n'
            '    log.info("event %s", event)\n    return {}\n',
            "import logging\n\nfrom flask import Flask, request\n\nfrom log_privacy import outline\n\n"
            "log = logging.getLogger(__name__)\napp = Flask(__name__)\n\n\n"
            '@app.post("/hook")\ndef hook():\n    event = request.get_json(force=True)\n'
            '    log.info("event %s", outline(event))\n    return {}\n',
            "flask",
        ),
    )
    good = (
        "import logging\n\nlog = logging.getLogger(__name__)\n\n\ndef note(lead):\n"
        '    log.info("lead %s has an email: %s", lead.id, bool(lead.email))\n'
        '    log.info("%s mails, file %s, %s", len(lead.email), lead.filename, lead.email_sent)\n'
        '    log.info("lead %s", mask(lead.email))\n\n\ndef mask(text):\n    return text[:1]\n',
        "import json\nimport logging\n\nlog = logging.getLogger(__name__)\n\n\ndef note(text):\n"
        "    event = json.loads(text)\n"
        '    log.info("event %s of kind %s", event["id"], event.get("type"))\n',
        "import logging\n\nlog = logging.getLogger(__name__)\n\n\ndef note(event, repo):\n"
        "    log.info(f\"push to {event['repository']['full_name']}, {repo.full_name}\")\n",
        'def store(db, lead):\n    db.execute("INSERT INTO leads VALUES (?)", (lead.email,))\n',
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every log line that shows a personal value or a whole payload."""
        for module in index.tree.modules.values():
            for shown in _shown(index, module):
                function = index.enclosing(module, shown.call)
                where = function.qualname if function else "module level"
                source = " ".join(module.segment(shown.value).split()) if shown.value is not shown.call else ""
                source = source or unparsed(shown.value)
                yield self.finding(
                    module,
                    shown.call,
                    evidence=f"{where} logs `{source}`, {shown.what}",
                    recommendation="Log an id; leave the value out, or mask it.",
                    anchor=f"{where}: {source}",
                    mendable=_editable(module, shown),
                )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Masks around the values."""
        module, tree = index.tree.modules[findings[0].file], index.tree
        lines = {finding.line for finding in findings}
        chosen = [s for s in _shown(index, module) if s.call.lineno in lines and _editable(module, s)]
        kinds = sorted({shown.kind for shown in chosen})
        own = {name for name in bound_names(module) if name in kinds and _MODULE not in module.imports.get(name, "")}
        if not chosen or own:
            return None
        app = main_app(index)
        beside = app.module if app is not None and runs_with(index, module, app.module) else module
        changes: list[FileChange] = []
        there = _there(index, module)
        if there is None:
            path = free_file(tree, beside.path.rpartition("/")[0], _MODULE)
            changes.append(FileChange(path, None, _TEXT))
        else:
            path = there.path
        stem = path.rpartition("/")[2].removesuffix(".py")
        edits = [edit for shown in chosen for edit in _edits(module, shown)]
        wanted = [kind for kind in kinds if kind not in module.imports]
        if wanted:
            edits.append(import_edit(tree, module, import_of(tree, module, there or beside, stem, ", ".join(wanted))))
        return Mend(
            "Keep personal data out of the log",
            "Values are masked and payloads named by their fields; ids and the line itself stay.",
            (edited(module, edits), *changes),
        )


def _there(index: Index, module: Module) -> Module | None:
    """The module that an earlier mend put somewhere in the same service."""
    return next((
        other for other in index.tree.modules.values()
        if other.path.rpartition("/")[2].startswith(_MODULE) and {"masked", "outline"} <= set(other.globals)
        and runs_with(index, module, other)
    ), None)  # fmt: skip


def _shown(index: Index, module: Module) -> Iterator[_Shown]:
    for call in module.nodes(ast.Call):
        if not is_log_call(module, call) and not is_print(module, call):
            continue
        keywords = [
            k.value for k in call.keywords if k.arg not in ("exc_info", "stack_info", "file", "flush", "sep", "end")
        ]
        for argument in (*call.args, *keywords):
            for value in _values(argument):
                if is_correspondent(value):
                    yield _Shown(call, value, "masked", "who wrote or to whom")
                elif is_written_words(index, module, value):
                    yield _Shown(call, value, "outline", "what a person wrote")
                elif shows_person(index, module, value):
                    yield _Shown(call, value, "outline", "an object that shows all of a person")
                elif _is_part_about_person(module, _written_out(value)):
                    yield _Shown(call, _written_out(value), "outline", "all that was sent of a person")
                elif (kind := _kind(index, module, value)) is not None:
                    what = "the whole payload" if kind == "outline" else "a personal value"
                    yield _Shown(call, value, kind, what)


def _written_out(value: ast.expr) -> ast.expr:
    """`contact` of `json.dumps(contact)`."""
    is_written = isinstance(value, ast.Call) and unparsed(value.func) in ("json.dumps", "dict") and value.args
    return value.args[0] if isinstance(value, ast.Call) and is_written else value


def _is_part_about_person(module: Module, value: ast.expr) -> bool:
    """`contact` of `contact = event["contact"]`, which is asked for its fields: the whole of a person's record."""
    function = module.enclosing_function(value)
    if not isinstance(value, ast.Name) or function is None or not _PERSON.fullmatch(value.id):
        return False
    origin = assigned(value, function)
    if not isinstance(origin, ast.Subscript | ast.Call) or value.id not in unparsed(origin):
        return False
    return any(isinstance(part, ast.Subscript) and getattr(part.value, "id", "") == value.id
               and isinstance(part.slice, ast.Constant) for part in walk(function))  # fmt: skip


def _values(node: ast.expr) -> Iterator[ast.expr]:
    """What is rendered into the line, seen through f-strings, `%`, `+`, format() and dictionaries."""
    if isinstance(node, ast.JoinedStr):
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                yield from _values(part.value)
    elif isinstance(node, ast.BinOp):
        yield from _values(node.left)
        yield from _values(node.right)
    elif isinstance(node, ast.Tuple | ast.List):
        for item in node.elts:
            yield from _values(item)
    elif isinstance(node, ast.Dict | ast.BoolOp):
        for item in node.values:
            yield from _values(item)
    elif isinstance(node, ast.Call):
        name = unparsed(node.func)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            for item in (*node.args, *(keyword.value for keyword in node.keywords)):
                yield from _values(item)
        elif name in ("str", "repr") and node.args:
            yield from _values(node.args[0])
        elif not _COVERED.search(name):
            yield node
    else:
        yield node


def _kind(index: Index, module: Module, value: ast.expr) -> Literal["masked", "outline"] | None:
    name = last_name(value)
    if (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and value.func.attr == "get"
        and value.args
    ):
        key = value.args[0]
        name = key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else ""
    if name and PERSONAL_NAME.match(name) and not _is_of_a_thing(value, name):
        return "masked"
    if name and _HOME.fullmatch(name) and _is_of_a_person(value):
        return "masked"
    if isinstance(value, ast.Name | ast.Attribute | ast.Call):
        function = module.enclosing_function(value)
        origin = assigned(value, function)
        source = unparsed(origin)
        if isinstance(origin, ast.Await):
            source = unparsed(origin.value)
        is_call = isinstance(origin, ast.Call | ast.Await)
        is_payload = (is_call and _PAYLOAD_CALLS.search(source)) or _PAYLOAD_PLACES.match(source)
        outer = origin.value if isinstance(origin, ast.Await) else origin
        if is_payload and index.on_request_path(module, value) and not is_settings(index, module, outer):
            attribute = outer.func if isinstance(outer, ast.Call) else outer
            # `request.get_json()["id"]` or `.get("id")` is one value of it, not the whole
            last = attribute.attr if isinstance(attribute, ast.Attribute) else ""
            if last in (
                "get_json",
                "json",
                "get_data",
                "body",
                "form",
                "loads",
                "data",
                "values",
                "model_dump",
            ):
                return "outline"
    return None


def _is_of_a_person(value: ast.expr) -> bool:
    """`customer["address"]`, `order.customer.address`, `customer.get("address")`."""
    held = value.func.value if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) else value
    owner = getattr(held, "value", None) if held is value else held
    return isinstance(owner, ast.expr) and _PERSON.search(last_name(owner) or "") is not None


def _is_of_a_thing(value: ast.expr, name: str) -> bool:
    """`repository.full_name`, `event["repository"]["full_name"]`."""
    owner = value.func if isinstance(value, ast.Call) else value
    if not isinstance(owner, ast.Attribute | ast.Subscript):
        return False
    return name.lower().replace("_", "") == "fullname" and _THINGS.search(unparsed(owner.value)) is not None


def _editable(module: Module, shown: _Shown) -> bool:
    try:
        return bool(_edits(module, shown))
    except ValueError:
        return False


def _edits(module: Module, shown: _Shown) -> list[Edit]:
    """The value in its wrapper. Inside of an f-string places are not always told: there the text "
    "itself is searched."""
    around = next((a for a in module.ancestors(shown.value) if isinstance(a, ast.JoinedStr)), None)
    if around is None:
        start, end = module.span(shown.value)
        return [Edit(start, end, f"{shown.kind}({module.segment(shown.value)})")]
    start, end = module.span(around)
    text = module.text[start:end]
    wanted = unparsed(shown.value)
    edits = []
    for match in re.finditer(r"\{([^{}!:=]+)(?=[}!:])", text):
        try:
            same = unparsed(parse_expression(match[1].strip())) == wanted
        except SyntaxError:
            continue
        if same:
            edits.append(Edit(start + match.start(1), start + match.end(1), f"{shown.kind}({match[1].strip()})"))
    return edits
