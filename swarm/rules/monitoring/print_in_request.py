"""The rule print-in-request."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Sequence

from swarm.analysis.added_modules import is_added
from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.reading.mentions import holds
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.facts.in_use import loaded_beside
from swarm.rules.facts.logging_calls import is_print
from swarm.rules.rule import Example, Mend, Rule
from swarm.rules.writing.placing import module_logger, spliced

_SPEAKS_OF_ERRORS = re.compile(r"error|fail|exception|traceback|could ?n[o']t|cannot", re.IGNORECASE)
_CONFIGURED = (  # for all loggers: a handler of one class's own logger shows nobody else's lines
    r"basicConfig\(|dictConfig\(|fileConfig\(|getLogger\(\)\.(?:setLevel|addHandler)\(|\broot\w*\.(?:setLevel|addHandler)\("
    r"|structlog\.configure|coloredlogs|logging_config|setup_logging|configure_logging|init_logging"
)


class PrintInRequest(Rule):
    """A print() on a request's path has no level, no time and no request, cannot be turned off, and blocks on a pipe.

    The mend hands the same text to the module's logger at level info, where the service sets logging up (elsewhere
    an info line would be lost: then there is a recommendation only). It never changes the text. Prints to a
    file, with
    `sep` or `end`, and those of command line code are left alone.
    """

    id = "print-in-request"
    category = "monitoring"
    severity = "low"
    title = "print() in a request"
    sources = ("12factor.net: logs", "OWASP ASVS 5.0 16.2.2")
    bad = (
        Example(
            "import logging\n\nfrom fastapi import FastAPI\n\nlogging.basicConfig(level=logging.INFO)\n"
            "app = FastAPI()\n\n\n"
            '@app.post("/orders/{number}")\nasync def take(number: int):\n    print(f"order {number} taken")\n'
            '    print("total", number)\n    return {}\n',
            "import logging\n\nfrom fastapi import FastAPI\n\nlogger = logging.getLogger(__name__)\n\n"
            "logging.basicConfig(level=logging.INFO)\napp = FastAPI()\n\n\n"
            '@app.post("/orders/{number}")\nasync def take(number: int):\n    logger.info("order %s taken", number)\n'
            '    logger.info("total %s", number)\n    return {}\n',
            "fastapi",
        ),
        Example(
            'from flask import Flask\n\napp = Flask(__name__)\n\n\n@app.post("/orders")\ndef take():\n'
            '    print("taken")\n    return {}\n',
            None,
            "flask",
        ),
    )
    good = (
        "from flask import Flask\n\napp = Flask(__name__)\n\n\n@app.post('/orders')\ndef take():\n    return {}\n\n\n"
        "def main():\n    print('serving')\n    app.run()\n",
        "from flask import Flask, request\n\napp = Flask(__name__)\n\n\ndef print_long(text):\n"
        "    print(text[:4000])\n\n\n@app.post('/orders')\ndef take():\n    if app.debug:\n"
        "        print_long(request.get_data(as_text=True))\n    return {}\n",
        "def report(rows):\n    for row in rows:\n        print(row)\n\n\nreport([1])\n",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every print on a request's path."""
        if not index.routes:
            return
        for module in index.tree.modules.values():
            for call in _prints(module):
                function = index.enclosing(module, call)
                if function is None or not index.on_request_path(module, call):
                    continue
                if "print" in function.name.lower():
                    continue  # to print is what it is there for
                yield self.finding(
                    module,
                    call,
                    evidence=f"`{_short(module.segment(call))}` runs with every request of {function.qualname}",
                    recommendation="Use the module's logger.",
                    anchor=f"{function.qualname}: {_short(module.segment(call))}",
                    mendable=_is_plain(call) and _is_set_up(index, module),
                )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """The same text by the module's logger."""
        module = index.tree.modules[findings[0].file]
        if not _is_set_up(index, module):
            return None
        lines = {finding.line for finding in findings}
        logger = module_logger(module)
        calls = [call for call in _prints(module) if call.lineno in lines and _is_plain(call)]
        if not calls:
            return None
        edits = [
            *logger.edits,
            *(Edit(*module.span(call), _as_log(module, call, logger.name)) for call in calls),
        ]
        return Mend(
            "Log instead of printing",
            "The same text goes to the module's logger, with a level and a time.",
            (spliced(module, edits),),
        )


def _is_set_up(index: Index, module: Module) -> bool:
    """Whether logging is set up in a process that runs the module: another service of the tree does not help."""
    return any(holds(other.text, _CONFIGURED) for other in loaded_beside(index, module) if not is_added(other))


def _prints(module: Module) -> Iterator[ast.Call]:
    calls = module.nodes(ast.Call) if "print" in module.text else []
    return (call for call in calls if is_print(module, call))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 80 else text[:77] + "..."


def _is_plain(call: ast.Call) -> bool:
    flush_only = all(keyword.arg == "flush" for keyword in call.keywords)
    return flush_only and bool(call.args) and not any(isinstance(a, ast.Starred) for a in call.args)


def _as_log(module: Module, call: ast.Call, logger: str) -> str:
    return f"{logger}.{_level(module, call)}({_as_message(module, call)})"


def _as_message(module: Module, call: ast.Call) -> str:
    first, *rest = call.args
    if rest:
        return _joined(module, call.args)
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        return module.segment(first)
    if isinstance(first, ast.JoinedStr):
        return _lazy(module, first) or module.segment(first)
    return f'"%s", {module.segment(first)}'


def _level(module: Module, call: ast.Call) -> str:
    """`error` for what an error's handler prints of it, else `info`, at which all that was printed is seen."""
    caught = any(isinstance(around, ast.ExceptHandler) for around in module.ancestors(call))
    return "error" if caught and _SPEAKS_OF_ERRORS.search(module.segment(call)) else "info"


def _joined(module: Module, values: list[ast.expr]) -> str:
    """`"cancelled %s", email` for what print writes side by side: texts stand in the message itself."""
    words, others = [], []
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value.isprintable():
            words.append(value.value.replace("%", "%%"))
        else:
            words.append("%s")
            others.append(module.segment(value))
    if not others:  # nothing is filled in, so that no sign is one of a place
        words = [word.replace("%%", "%") for word in words]
    message = json.dumps(" ".join(words), ensure_ascii=False)
    return ", ".join([message, *others])


def _lazy(module: Module, text: ast.JoinedStr) -> str:
    """`"order %s", number` for a one-line f-string whose values have no format of their own; "" otherwise."""
    words, values = [], []
    for part in text.values:
        if isinstance(part, ast.Constant):
            words.append(str(part.value).replace("%", "%%"))
        elif isinstance(part, ast.FormattedValue) and part.conversion == -1 and part.format_spec is None:
            words.append("%s")
            values.append(unparsed(part.value))
        else:
            return ""
    literal = "".join(words)
    if not literal.isprintable() or '"' in literal or "\\" in literal:
        return ""
    if not values:  # an f-string that fills nothing in
        return '"' + literal.replace("%%", "%") + '"'
    if any(value not in module.segment(text) for value in values):
        return ""  # written otherwise than ast would: keep the author's text
    return f'"{literal}", {", ".join(values)}'
