"""The rule swallowed-exception."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence

from swarm.analysis.edits import Edit
from swarm.analysis.effects import http_call, sql_call
from swarm.analysis.index import Index
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.logging_calls import tells_of_it
from swarm.rules.placing import module_logger, on_own_line, spliced
from swarm.rules.rule import Example, Mend, Rule

_BROAD = ("Exception", "BaseException")
_PREDICATE = re.compile(
    r"(^|_)(is|has|can|may|try|maybe|optional|or_none|exists?|valid\w*|verif\w*|check\w*|match\w*|ping|alive|health\w*|ready)(_|$)"
)
_CLEANUP = ("close", "aclose", "disconnect", "unlink", "shutdown", "terminate", "kill", "cancel", "rollback", "stop",
            "rmtree", "remove", "flush", "release", "quit")  # fmt: skip


class SwallowedException(Rule):
    """Any error at all is caught here and dropped without a word: what fails, fails unseen.

    The mend logs it with its traceback, at the module's own logger (made where there is none), and goes on exactly as
    before. It never raises, never narrows what is caught. An empty answer (`return None`, `return []`) in place of
    what another system should have given drops it too; `suppress(Exception)` is only told of. Left alone: narrow
    exceptions (`except KeyError`), clean-up such as `close()`, optional imports, attempts (`return one_way()`, then
    another), questions (`is_up()`) whose answer the error is, and places that a comment calls deliberate.
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
            "import requests\n\n\ndef profile(key):\n    try:\n"
            '        return requests.get(f"https://people.example/{key}", timeout=2).json()\n'
            "    except Exception:\n        return None\n",
            "import logging\n\nimport requests\n\nlogger = logging.getLogger(__name__)\n\n\n"
            "def profile(key):\n    try:\n"
            '        return requests.get(f"https://people.example/{key}", timeout=2).json()\n'
            "    except Exception:\n"
            '        logger.warning("requests.get failed, going on without it", exc_info=True)\n'
            "        return None\n",
        ),
        Example(
            "import httpx\nfrom contextlib import suppress\n\n\nasync def tell(client: httpx.AsyncClient):\n"
            '    with suppress(Exception):\n        await client.post("https://mail.example")\n',
            None,
        ),
        Example(
            "def note(mailer):\n    try:\n        mailer.send()\n    except Exception: pass\n",
            "import logging\n\nlogger = logging.getLogger(__name__)\n\n\ndef note(mailer):\n    try:\n"
            "        mailer.send()\n"
            '    except Exception: logger.warning("mailer.send failed, going on without it", exc_info=True)\n',
        ),
    )
    good = (
        "import requests\n\n\ndef is_up(url):\n    try:\n        return requests.get(url, timeout=1).ok\n"
        "    except Exception:\n        return False\n\n\ndef number(text):\n    try:\n        return int(text)\n"
        "    except Exception:\n        return None\n",
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
            for handler, tried in _silent_handlers(index, module):
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
            for block, call in _suppressed(index, module):
                function = index.enclosing(module, block)
                what = _what_failed(module, block)
                yield self.finding(
                    module,
                    block,
                    evidence=f"`{module.segment(call)}` drops every error of {what}",
                    recommendation="Log it with its traceback; catch only what is expected.",
                    anchor=f"{function.qualname if function else 'module level'}: suppressed {what}",
                    mendable=False,
                    severity=self.severity if index.on_request_path(module, block) else "low",
                )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A log line in each handler."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        logger = module_logger(module)
        edits = list(logger.edits)
        count = 0
        for handler, tried in _silent_handlers(index, module):
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


def _silent_handlers(index: Index, module: Module) -> Iterator[tuple[ast.ExceptHandler, ast.Try]]:
    for tried in module.nodes(ast.Try):
        for handler in tried.handlers:
            if not _is_broad(handler):
                continue
            if _gives_nothing(handler):
                if _asks_others(index, module, tried) and not _is_question(module, tried):
                    yield handler, tried
            elif _is_silent(handler) and not _is_excused(module, tried):
                yield handler, tried


def _suppressed(index: Index, module: Module) -> Iterator[tuple[ast.With | ast.AsyncWith, ast.Call]]:
    """`with suppress(Exception):` around more than clean-up."""
    blocks: list[ast.With | ast.AsyncWith] = [*module.nodes(ast.With), *module.nodes(ast.AsyncWith)]
    for block in blocks:
        for item in block.items:
            call = item.context_expr
            if isinstance(call, ast.Call) and index.resolve(module, call.func) == "contextlib.suppress":
                broad = any(isinstance(kind, ast.Name) and kind.id in _BROAD for kind in call.args)
                if broad and _asks_others(index, module, block) and not all(map(_is_cleanup, block.body)):
                    yield block, call


def _gives_nothing(handler: ast.ExceptHandler) -> bool:
    """Whether all that a handler does is to give back an empty value."""
    match handler.body:
        case [ast.Return(value=None)]:
            return True
        case [ast.Return(value=ast.Constant(value=value))]:
            return not value
        case [ast.Return(value=ast.List(elts=[]) | ast.Dict(keys=[]) | ast.Tuple(elts=[]))]:
            return True
    return False


def _asks_others(index: Index, module: Module, tried: ast.Try | ast.With | ast.AsyncWith) -> bool:
    """Whether another system is asked right there: what errors of the target's own functions mean is theirs."""
    for node in (part for statement in tried.body for part in ast.walk(statement)):
        if isinstance(node, ast.Call) and (http_call(index, module, node) or sql_call(index, module, node)):
            return True
    return False


def _is_question(module: Module, tried: ast.Try) -> bool:
    """Whether the function asks whether something is so: then that it failed is the answer."""
    function = module.enclosing_function(tried)
    return function is not None and _PREDICATE.search(function.name) is not None


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


def _what_failed(module: Module, tried: ast.Try | ast.With | ast.AsyncWith) -> str:
    """The first call that is tried, as the code names it."""
    for statement in tried.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Call):
                name = " ".join(module.segment(node.func).split())
                if len(name) <= 60 and all(letter.isalnum() or letter in "._" for letter in name):
                    return name
    function = module.enclosing_function(tried)
    return function.name if function is not None else "this"
