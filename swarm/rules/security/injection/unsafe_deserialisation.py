"""The rule unsafe-deserialisation."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.source import Module
from swarm.core.patches import FileChange
from swarm.rules.rule import Example
from swarm.rules.security.injection.data_flow import Hit, MendingFlowRule, Reached, calls
from swarm.rules.security.injection.kept_modules import KeptModule
from swarm.rules.security.injection.texts.plain_uses import is_used_as_plain

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
_PICKLES = ("pickle.loads", "pickle.load", "_pickle.loads", "_pickle.load")
_PLAIN = KeptModule("plain_pickle", "load_plain", "READS_PLAIN_PICKLES", 400)
_SAFE = ("SafeLoader", "CSafeLoader", "BaseLoader", "CBaseLoader")


class UnsafeDeserialisation(MendingFlowRule):
    """Data of a request is turned into objects by a format that can name any function: reading it runs the sender's.

    pickle and its kin, marshal, jsonpickle, and YAML with a loader that makes objects. The mend reads YAML with
    `safe_load`. Pickles it reads with a module of the standard library that knows plain values alone (lists,
    mappings, texts, numbers, sets, dates) and refuses what names any other class or function, where the code asks
    nothing of what it gets but what plain values have; `PICKLED_CLASSES` names classes that may come as well.
    Elsewhere objects may be meant: the recommendation is JSON.
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
            "import base64\nimport pickle\n\nfrom fastapi import Cookie, FastAPI\n\n"
            "from plain_pickle import load_plain\n\napp = FastAPI()\n\n\n@app.get('/cart')\n"
            "async def cart(cart: str = Cookie('')):\n    return {'items': load_plain(base64.b64decode(cart))}\n",
            "fastapi",
        ),
        # an object's methods are asked: plain values have none such
        Example(
            "import pickle\n\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n"
            "@app.post('/score')\ndef score():\n    model = pickle.loads(request.get_data())\n"
            "    return {'score': model.predict([1])}\n",
            None,
            "flask",
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

    mend_title = "Read what requests bring as plain data"
    mend_reason = (
        "YAML is read by its safe loader, pickles by one that makes plain values alone: texts, numbers, lists, "
        "mappings, sets and dates come as before, and nothing of the sender's runs. PICKLED_CLASSES names classes "
        "that may come in pickles as well; PLAIN_PICKLES=0 turns that off."
    )

    def edits(self, index: Index, place: Reached) -> list[Edit]:
        """`safe_load`, where the loader is named here; for pickles the module that reads plain values."""
        return _safe_load(place) or _plain_pickle(index, place)

    def added_files(self, index: Index, module: Module) -> tuple[FileChange, ...]:
        """The module that reads plain pickles, where the file has such a place."""
        places = [place for group in self.groups(index) for place in group if place.seen.module is module]
        needs = any(not _safe_load(place) and _plain_pickle(index, place) for place in places)
        return _PLAIN.added(index, module) if needs else ()


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


def _plain_pickle(index: Index, place: Reached) -> list[Edit]:
    """The reader of plain values in place of pickle's, where nothing else is asked of what comes."""
    call, module = place.seen.node, place.seen.module
    if not isinstance(call, ast.Call) or place.seen.name not in _PICKLES or place.taint.kind != "request":
        return []
    if len(call.args) != 1 or call.keywords or isinstance(call.args[0], ast.Starred):
        return []
    if not is_used_as_plain(index, module, call):
        return []
    return [Edit(*module.span(call.func), _PLAIN.function), _PLAIN.import_edit(index, module)]
