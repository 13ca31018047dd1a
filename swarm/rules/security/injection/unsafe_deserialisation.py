"""The rule unsafe-deserialisation."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.rules.rule import Example
from swarm.rules.security.injection.data_flow import Hit, MendingFlowRule, Reached, calls

_LOADS = (
    "pickle.loads", "pickle.load", "_pickle.loads", "cPickle.loads", "dill.loads", "dill.load", "cloudpickle.loads",
    "marshal.loads", "marshal.load", "jsonpickle.decode", "shelve.open", "joblib.load", "pandas.read_pickle",
    "yaml.unsafe_load", "yaml.unsafe_load_all", "pickle.Unpickler", "torch.load",
)  # fmt: skip
_YAML = ("yaml.load", "yaml.load_all")
_INSTEAD_OF_PICKLE = (
    "Write it with `json.dumps` where it is made and read it with `json.loads` here; for as long as old values are "
    "about, try JSON first. Where objects must stay, put `hmac.new(key, data, 'sha256').digest()` before the bytes "
    "where they are made, and unpickle only what `hmac.compare_digest` finds unchanged."
)
_SAFE = ("SafeLoader", "CSafeLoader", "BaseLoader", "CBaseLoader")


class UnsafeDeserialisation(MendingFlowRule):
    """Data of a request is turned into objects by a format that can name any function: reading it runs the sender's.

    pickle and its kin, marshal, jsonpickle, and YAML with a loader that makes objects. The mend reads YAML with
    `safe_load`; pickle has no safe form, there the recommendation is JSON.
    """

    id = "unsafe-deserialisation"
    category = "security"
    severity = "critical"
    cwe = ("CWE-502",)
    title = "Data of a request is turned into any objects"
    sources = ("OWASP ASVS 5.0 1.5.2", "docs.python.org: pickle", "bandit B301, B506")
    kinds = ("request", "parameter", "upstream")
    harm = "is turned into objects of any class"
    recommendation = "Read JSON, or YAML with `yaml.safe_load`; check a signature before anything is unpickled."
    bad = (
        Example(
            "import yaml\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.post('/config')\n"
            "def config():\n    return {'keys': list(yaml.load(request.data, Loader=yaml.Loader))}\n",
            "import yaml\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.post('/config')\n"
            "def config():\n    return {'keys': list(yaml.safe_load(request.data))}\n",
            "flask",
        ),
        Example(
            "import base64\nimport pickle\n\nfrom fastapi import Cookie, FastAPI\n\napp = FastAPI()\n\n\n"
            "@app.get('/cart')\n"
            "async def cart(cart: str = Cookie('')):\n    return {'items': pickle.loads(base64.b64decode(cart))}\n",
            None,
            "fastapi",
        ),
    )
    good = (
        "import json\n\nimport yaml\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n"
        "@app.post('/config')\n"
        "def config():\n    one = yaml.load(request.data, Loader=yaml.SafeLoader)\n"
        "    return {'keys': [*one, *json.loads(request.data)]}\n",
    )

    def hits(self, seen: Seen, index: Index) -> Iterator[Hit]:
        """What is read so."""
        if calls(seen, *_LOADS):
            yield Hit(seen.argument(0), recommendation=_INSTEAD_OF_PICKLE)
        elif calls(seen, *_YAML):
            loader = seen.argument(1, "Loader")
            if not loader.dotted.endswith(_SAFE):
                yield Hit(seen.argument(0, "stream"))

    mend_title = "Read YAML of requests as plain data"
    mend_reason = "The safe loader makes texts, numbers, lists and mappings, and no objects."

    def edits(self, index: Index, place: Reached) -> list[Edit]:
        """`safe_load`, where the loader is named here."""
        return _safe_load(place) or []


def _safe_load(place: Reached) -> list[Edit] | None:
    call, module = place.seen.node, place.seen.module
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or place.seen.name not in _YAML:
        return None
    if len(call.args) + len(call.keywords) > 2 or not call.args:
        return None
    if not isinstance(call.func.value, ast.Name):
        return None
    name = "safe_load_all" if place.seen.name.endswith("all") else "safe_load"
    end = module.span(call.func)[1]
    edits = [Edit(end - len(call.func.attr), end, name)]
    last = [*call.args[1:], *(keyword.value for keyword in call.keywords)]
    if last:
        edits.append(Edit(module.span(call.args[0])[1], module.span(last[-1])[1], ""))
    return edits
