"""The rule trust-boundary."""

from __future__ import annotations

import re
from collections.abc import Iterator

from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.rules.rule import Example
from swarm.rules.security.injection.data_flow import FlowRule, Hit

_WHO = re.compile(r"user|account|role|admin|tenant|permission|scope|owner|auth|email|uid|group|staff", re.IGNORECASE)
_OF_KEYS = (
    "Refuse keys that are not in a fixed set, or keep all that a sender may choose below one key of its own "
    "(`session['preferences'] = {key: value}`), which nothing else reads."
)
_OF_VALUES = (
    "Set it from what the service looked up itself after a check, such as the row of the user whose password or "
    "token was right, never from the request; for a change of role, ask the one who may grant it."
)
_CHECKS = re.compile(r"verif|check|authenticat|login|compare_digest|validat|authoriz|password|signature|decode", re.I)


class TrustBoundary(FlowRule):
    """A request writes who it is, or any key that it likes, into the session, which later code trusts.

    Keys that a request chooses, and values of keys that say who somebody is or what he may do. Handlers that check
    something before (a password, a signature) are left alone: their session tells what was checked.
    """

    id = "trust-boundary"
    category = "security"
    severity = "medium"
    cwe = ("CWE-501",)
    title = "A request writes unchecked into the session"
    sources = ("OWASP ASVS 5.0 2.2.2", "CWE-501")
    harm = "is written into the session unchecked"
    recommendation = "Write what the service itself knows after a check; choose keys from a fixed list."
    bad = (
        Example(
            "from flask import Flask, request, session\n\napp = Flask(__name__)\n\n\n@app.post('/as')\n"
            "def become():\n"
            "    session['role'] = request.form['role']\n    return {}\n",
            None,
            "flask",
        ),
        Example(
            "from starlette.applications import Starlette\nfrom starlette.responses import JSONResponse\n"
            "from starlette.routing import Route\n\n\nasync def keep(request):\n    data = await request.json()\n"
            "    request.session[data['key']] = 1\n    return JSONResponse({})\n\n\n"
            "app = Starlette(routes=[Route('/keep', keep, methods=['POST'])])\n",
            None,
            "starlette",
        ),
    )
    good = (
        "from flask import Flask, abort, request, session\nfrom werkzeug.security import check_password_hash\n\n"
        "app = Flask(__name__)\nHASHES = {}\n\n\n@app.post('/login')\ndef login():\n    name = request.form['name']\n"
        "    if not check_password_hash(HASHES.get(name, ''), request.form['password']):\n        abort(401)\n"
        "    session['user'] = name\n    return {}\n",
        "from flask import Flask, request, session\n\napp = Flask(__name__)\n\n\n@app.post('/theme')\ndef theme():\n"
        "    session['theme'] = request.form['theme']\n    return {}\n",
    )

    def hits(self, seen: Seen, index: Index) -> Iterator[Hit]:
        """Writes into the session."""
        if seen.what != "store" or seen.receiver.kind != "session" or _is_checked(seen, index):
            return
        yield Hit(seen.argument(0), title="A request chooses a key of the session", recommendation=_OF_KEYS)
        if _WHO.search(str(seen.argument(0).constant)):
            yield Hit(seen.argument(1), recommendation=_OF_VALUES)


def _is_checked(seen: Seen, index: Index) -> bool:
    if seen.function is None:
        return False
    return any(_CHECKS.search(unparsed(call.func)) for call in index.calls(seen.function))
