"""The rule swallowed-exception."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence

from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.logging_calls import tells_of_it
from swarm.rules.placing import module_logger, on_own_line, spliced
from swarm.rules.rule import Example, Mend, Rule

_BROAD = ("Exception", "BaseException")
_CLEANUP = ("close", "aclose", "disconnect", "unlink", "shutdown", "terminate", "kill", "cancel", "rollback", "stop",
            "rmtree", "remove", "flush", "release", "quit")  # fmt: skip


class SwallowedException(Rule):
    """Any error at all is caught here and dropped without a word: what fails, fails unseen.

    The mend logs it with its traceback, at the module's own logger (made where there is none), and goes on exactly as
    before. It never raises, never narrows what is caught. Left alone: narrow exceptions (`except KeyError`), clean-up
    such as `close()`, optional imports, attempts (`return one_way()`, then another), and places that a comment
    calls deliberate.
    """

    id = "swallowed-exception"
    category = "monitoring"
    severity = "medium"
    cwe = ("CWE-390", "CWE-703")
    title = "An error is swallowed"
    sources = ("bandit B110, B112", "OWASP ASVS 5.0 16.5.2")
    bad = (
        Example(
            "import logging\n\nlog = logging.getLogger(__name__)\n\n\ndef tag(client, contact):\n    try:\n"
            "        client.add_tags(contact, [1])\n    except Exception:\n        pass  # nice to have\n",
            "import logging\n\nlog = logging.getLogger(__name__)\n\n\ndef tag(client, contact):\n    try:\n"
            "        client.add_tags(contact, [1])\n    except Exception:\n"
            '        log.warning("client.add_tags failed, going on without it", exc_info=True)  # nice to have\n',
        ),
        Example(
            "import json\n\n\ndef read(lines):\n    found = []\n    for line in lines:\n        try:\n"
            "            found.append(json.loads(line))\n        except:\n            continue\n    return found\n",
            "import json\nimport logging\n\nlogger = logging.getLogger(__name__)\n\n\ndef read(lines):\n"
            "    found = []\n    for line in lines:\n        try:\n"
            "            found.append(json.loads(line))\n        except:\n"
            '            logger.warning("found.append failed, going on without it", exc_info=True)\n'
            "            continue\n    return found\n",
        ),
        Example(
            "def note(mailer):\n    try:\n        mailer.send()\n    except Exception: pass\n",
            "import logging\n\nlogger = logging.getLogger(__name__)\n\n\ndef note(mailer):\n    try:\n"
            "        mailer.send()\n"
            '    except Exception: logger.warning("mailer.send failed, going on without it", exc_info=True)\n',
        ),
    )
    good = (
        "def price(row):\n    try:\n        return int(row['price'])\n    except KeyError:\n        pass\n"
        "    return 0\n",
        "def leave(connection):\n    try:\n        connection.close()\n    except Exception:\n        pass\n",
        "try:\n    import uvloop\nexcept Exception:\n    uvloop = None\n",
        "def send(queue, log):\n    try:\n        queue.put(1)\n    except Exception:\n        log.exception('no')\n",
        "def send(queue):\n    try:\n        queue.put(1)\n    except Exception:\n        queue.clear()\n"
        "        raise\n",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every broad handler that only passes or continues."""
        for module in index.tree.modules.values():
            for handler, tried in _silent_handlers(module):
                function = index.enclosing(module, handler)
                where = function.qualname if function else "module level"
                what = _what_failed(module, tried)
                on_path = index.on_request_path(module, handler)
                yield self.finding(
                    module,
                    handler,
                    evidence=f"`{module.segment(handler).split(':')[0]}` drops every error of {what}",
                    recommendation="Log it with its traceback; catch only what is expected.",
                    anchor=f"{where}: {what}",
                    mendable=True,
                    severity=self.severity if on_path else "low",
                )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A log line in each handler."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        logger = module_logger(module)
        edits = list(logger.edits)
        count = 0
        for handler, tried in _silent_handlers(module):
            if handler.lineno not in lines:
                continue
            count += 1
            what = _what_failed(module, tried)
            call = f'{logger.name}.warning("{what} failed, going on without it", exc_info=True)'
            edits.append(_log_edit(module, handler, call))
        if not count:
            return None
        return Mend(
            "Log errors that were swallowed",
            "What was dropped without a word is logged with its traceback; the flow of control is as before.",
            (spliced(module, edits),),
        )


def _log_edit(module: Module, handler: ast.ExceptHandler, call: str) -> Edit:
    last = handler.body[-1]
    start, end = module.span(last)
    if isinstance(last, ast.Pass | ast.Expr):
        return Edit(start, end, call)
    if not on_own_line(module, last):  # `except Exception: continue`
        return Edit(start, start, f"{call}; ")
    return Edit(start, start, f"{call}\n{module.indent(last)}")


def _silent_handlers(module: Module) -> Iterator[tuple[ast.ExceptHandler, ast.Try]]:
    for tried in module.nodes(ast.Try):
        for handler in tried.handlers:
            if _is_broad(handler) and _is_silent(handler) and not _is_excused(module, tried):
                yield handler, tried


def _is_broad(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in _BROAD) for kind in kinds)


def _is_silent(handler: ast.ExceptHandler) -> bool:
    *before, last = handler.body
    if any(not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant)) for s in before):
        return False
    if isinstance(last, ast.Expr):
        return isinstance(last.value, ast.Constant) and last.value.value is Ellipsis
    return isinstance(last, ast.Pass | ast.Continue)


def _is_excused(module: Module, tried: ast.Try) -> bool:
    if any(isinstance(statement, ast.Import | ast.ImportFrom) for statement in tried.body):
        return True
    if tells_of_it(module, tried.body[:1]) and len(tried.body) == 1:
        return True  # logging and metrics themselves may fail in silence
    if len(tried.body) == 1 and isinstance(tried.body[0], ast.Return) and module.enclosing_function(tried):
        return True  # an attempt, with another way after it
    function = module.enclosing_function(tried)
    if function is not None and function.name in ("__del__", "__exit__", "__aexit__"):
        return True
    return all(_is_cleanup(statement) for statement in tried.body)


def _is_cleanup(statement: ast.stmt) -> bool:
    value = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(value, ast.Await):
        value = value.value
    if not isinstance(value, ast.Call):
        return False
    name = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
    return name in _CLEANUP


def _what_failed(module: Module, tried: ast.Try) -> str:
    """The first call that is tried, as the code names it."""
    for statement in tried.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Call):
                name = " ".join(module.segment(node.func).split())
                if len(name) <= 60 and all(letter.isalnum() or letter in "._" for letter in name):
                    return name
    function = module.enclosing_function(tried)
    return function.name if function is not None else "this"
