"""The rule swallowed-exception."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence

from swarm.analysis.added_modules import is_added
from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.monitoring.dropped_errors import dropped, suppressed
from swarm.rules.monitoring.unheard_errors import returns_in_finally, unseen_results
from swarm.rules.rule import Example, Mend, Rule
from swarm.rules.writing.placing import module_logger, on_own_line, spliced

_MEANT = re.compile(
    r"silently|best[\s\-\u2010]effort|\bignor(?:e|es|ed|ing) (?:\w+ ){0,3}(?:errors?|failures?|exceptions?)\b"
    r"|\b(?:errors?|failures?|exceptions?) (?:\w+ ){0,2}ignored\b",
    re.IGNORECASE,
)
_LOGS = ("debug", "info", "warning", "error", "exception", "critical", "log", "print")
_OPENERS = ("AsyncClient", "Client", "ClientSession", "Session", "nullcontext")  # what is done with them fails


class SwallowedException(Rule):
    """Any error at all is caught here and dropped without a word: what fails, fails unseen.

    It is dropped where the handler neither raises, logs nor prints, nor keeps or answers anything that speaks of a
    failure: it passes, continues, or goes on with a default (`return None`, `status = "pending"`, "not found" for
    whatever a query raised). All that a client may raise (`requests.RequestException`, `httpx.HTTPError`) around a
    call of it is any error too.

    The mend logs it with its traceback, at the module's own logger (made where there is none), and goes on exactly as
    before. It never raises, never narrows what is caught. `suppress(Exception)`, results of
    `gather(…, return_exceptions=True)` that nobody looks at and a `return` in a `finally` are only told of. Left
    alone: narrow exceptions (`except KeyError`), values that cannot be converted and get a default, clean-up such as
    `close()`, optional imports, attempts (`return one_way()`, then another), another way taken in the handler,
    questions (`is_up()`) whose answer the error is, and places that a comment calls deliberate.
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
            "import httpx\n\n\nclass Crm:\n    def __init__(self):\n        self.http = httpx.Client()\n\n"
            "    def state(self, key):\n        try:\n"
            '            state = self.http.get(f"https://crm.example/{key}").json()["state"]\n'
            '        except httpx.HTTPError:\n            state = "pending"\n        return state\n',
            "import logging\n\nimport httpx\n\nlogger = logging.getLogger(__name__)\n\n\n"
            "class Crm:\n    def __init__(self):\n        self.http = httpx.Client()\n\n"
            "    def state(self, key):\n        try:\n"
            '            state = self.http.get(f"https://crm.example/{key}").json()["state"]\n'
            "        except httpx.HTTPError:\n"
            '            logger.warning("self.http.get failed, going on without it", exc_info=True)\n'
            '            state = "pending"\n        return state\n',
        ),
        Example(
            "import asyncio\n\n\nasync def tell(mailer, people):\n"
            "    await asyncio.gather(*[mailer.send(person) for person in people], return_exceptions=True)\n",
            None,
        ),
        Example(
            "def read(path):\n    try:\n        return open(path).read()\n    finally:\n        return ''\n", None
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
        "import sqlite3\n\n\ndef empty(path):\n    try:\n"
        '        busy = sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]\n'
        "    except sqlite3.Error:\n        busy = 1\n    return not busy\n",
        "from fastapi import HTTPException\n\n\nasync def one(session, key):\n    try:\n"
        "        row = await session.get(key)\n    except Exception as error:\n"
        '        raise HTTPException(500, "no") from error\n    return row\n\n\n'
        "async def send(client, failed, one):\n    try:\n        await client.send(one)\n"
        "    except Exception:\n        failed.append(one)\n",
        "from datetime import datetime\n\n\ndef when(text):\n    try:\n        at = datetime.fromisoformat(text)\n"
        "    except Exception:\n        at = None\n    return at\n\n\ndef price(text, default=0):\n"
        "    try:\n        default = int(text)\n    except Exception:\n        pass\n    return default\n",
        "import asyncio\n\n\nasync def stop(tasks):\n    for task in tasks:\n        task.cancel()\n"
        "    await asyncio.gather(*tasks, return_exceptions=True)\n",
        "async def read(cache, database, key):\n    try:\n        return await cache.read(key)\n"
        "    except Exception:\n        return await database.read(key)\n",
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
        """Every handler that drops what it catches, and what drops errors without one."""
        for module in (one for one in index.tree.modules.values() if not is_added(one)):
            for handler, tried in dropped(index, module):
                words = f"`{module.segment(handler).split(':')[0]}` drops every error of"
                said = _says_why(module, handler)
                yield self._finding(index, module, handler, tried, words, "", mendable=True, deliberate=said)
            for block, call in suppressed(index, module):
                yield self._finding(index, module, block, block, f"`{module.segment(call)}` drops every error of",
                                    "suppressed ")  # fmt: skip
            for call in unseen_results(index, module):
                yield self._finding(index, module, call, module.statement(call), "nobody looks at what was raised in",
                                    "gathered ")  # fmt: skip
            for node, tried in returns_in_finally(module):
                yield self._finding(index, module, node, tried, "a `return` in a `finally` drops every error of",
                                    "finally ")  # fmt: skip

    def _finding(
        self, index: Index, module: Module, node: ast.AST, tried: ast.stmt, words: str, kind: str, *,
        mendable: bool = False, deliberate: bool = False,
    ) -> Finding:  # fmt: skip
        function = index.enclosing(module, node)
        what = _what_failed(index, module, tried)
        return self.finding(
            module,
            node,
            evidence=f"{words} {what}",
            recommendation="Log it with its traceback; catch only what is expected.",
            anchor=f"{function.qualname if function else 'module level'}: {kind}{what}",
            mendable=mendable,
            deliberate=deliberate,
            severity=self.severity if index.on_request_path(module, node) else "low",
        )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A log line in each handler."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        logger = module_logger(module)
        edits = list(logger.edits)
        count = 0
        for handler, tried in dropped(index, module):
            if handler.lineno not in lines:
                continue
            count += 1
            what = _what_failed(index, module, tried)
            call = f'{logger.name}.warning("{what} failed, going on without it", exc_info=True)'
            edits.append(_log_edit(module, handler, call))
        if not count:
            return None
        return Mend(
            "Log errors that were swallowed",
            "What was dropped without a word is logged with its traceback; the flow of control is as before.",
            (spliced(module, edits),),
        )


def _says_why(module: Module, handler: ast.ExceptHandler) -> bool:
    """Whether a comment in the handler says that it is meant to be silent: a log line would make it untrue."""
    lines = range(handler.lineno, (handler.end_lineno or handler.lineno) + 1)
    return any(_MEANT.search(module.line(line).partition("#")[2]) for line in lines)


def _log_edit(module: Module, handler: ast.ExceptHandler, call: str) -> Edit:
    first = handler.body[0]
    start, end = module.span(first)
    nothing = isinstance(first, ast.Pass) or (isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant))
    if nothing and len(handler.body) == 1:
        return Edit(start, end, call)
    if not on_own_line(module, first):  # `except Exception: continue`
        return Edit(start, start, f"{call}; ")
    return Edit(start, start, f"{call}\n{module.indent(first)}")


def _is_brought(index: Index, module: Module, called: ast.expr) -> bool:
    """Whether a call is of a module that an earlier mend added around the call that was there."""
    home, _ = index.tree.split(index.resolve(module, called) or "", module)
    return home is not None and is_added(home)


def _what_failed(index: Index, module: Module, tried: ast.stmt) -> str:
    """The first call that is tried, as the code names it; one that logs or opens a client if need be."""
    names: list[str] = []
    for statement in getattr(tried, "body", [tried]):
        for node in walk(statement):
            if isinstance(node, ast.Call) and not _is_brought(index, module, node.func):
                name = " ".join(module.segment(node.func).split())
                if len(name) <= 60 and all(letter.isalnum() or letter in "._" for letter in name):
                    names.append(name)
    if names:
        return next((name for name in names if name.rpartition(".")[2] not in (*_LOGS, *_OPENERS)), names[0])
    function = module.enclosing_function(tried)
    return function.name if function is not None else "this"
