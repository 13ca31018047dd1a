"""Things that cost much to make and do not change, made on every request."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module, parameters
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.facts.lasting import is_set_later, lasts
from swarm.rules.facts.request_code import is_kept_by_hand, request_functions
from swarm.rules.rule import Example, Rule

# what each of them costs, by its dotted name
COSTLY = {
    "jinja2.Environment": "it compiles its templates anew",
    "jinja2.Template": "it compiles the template anew",
    "mako.template.Template": "it compiles the template anew",
    "boto3.client": "it reads its service's description, some 100 ms",
    "boto3.resource": "it reads its service's description, some 100 ms",
    "boto3.Session": "it reads the configuration from disk",
    "boto3.session.Session": "it reads the configuration from disk",
    "anthropic.Anthropic": "it opens a connection pool of its own",
    "anthropic.AsyncAnthropic": "it opens a connection pool of its own",
    "openai.OpenAI": "it opens a connection pool of its own",
    "openai.AsyncOpenAI": "it opens a connection pool of its own",
    "ssl.create_default_context": "it reads the bundle of certificates, 30 to 60 ms",
    "concurrent.futures.ThreadPoolExecutor": "it starts threads that end with the request",
    "concurrent.futures.ProcessPoolExecutor": "it starts processes that end with the request",
    "joblib.load": "it reads a model from disk",
    "torch.load": "it reads a model from disk",
    "spacy.load": "it reads a model from disk",
    "transformers.pipeline": "it loads a model",
    "sentence_transformers.SentenceTransformer": "it loads a model",
    "tiktoken.get_encoding": "it builds an encoding's tables",
    "tiktoken.encoding_for_model": "it builds an encoding's tables",
    "jsonschema.Draft7Validator": "it prepares the schema anew",
    "jsonschema.Draft202012Validator": "it prepares the schema anew",
    "pydantic.TypeAdapter": "it builds a validator, milliseconds each time",
    "pydantic.create_model": "it builds a class and its validator, milliseconds each time",
    "googleapiclient.discovery.build": "it fetches the API's description",
    "geoip2.database.Reader": "it opens its database anew",
}
PARSERS = ("json.loads", "orjson.loads", "yaml.safe_load", "yaml.load", "toml.loads", "tomllib.loads")
READERS = ("json.load", "yaml.safe_load", "yaml.load", "toml.load", "tomllib.load", "pickle.load", "csv.DictReader")


class BuiltPerRequest(Rule):
    """A function on a request's path makes something that costs much and is the same for every request.

    Why: a template is parsed, a model or a settings file read from disk, a bundle of certificates loaded, a pool of
    threads started, again and again, mostly while the event loop waits. Example: `jinja2.Template(TEXT)` or
    `yaml.safe_load(open("rules.yaml"))` inside a handler.

    What to do: make it once, at the top of the module, at the application's start, or in a function with
    `functools.lru_cache`. No patch is written: when it may be made, and whether a change on disk must be seen, only
    the service's owner knows.
    """

    id = "built-per-request"
    category = "performance"
    severity = "low"
    title = "Something costly is made on every request"
    sources = ("https://docs.python.org/3/library/functools.html#functools.lru_cache",)
    bad = (
        Example(
            """import jinja2
from fastapi import FastAPI

app = FastAPI()
TEXT = "Hello {{ name }}"


@app.get("/mail/{name}")
async def mail(name: str):
    return {"text": jinja2.Template(TEXT).render(name=name)}
""",
            None,
            "fastapi",
        ),
        Example(
            """import yaml
from flask import Flask

app = Flask(__name__)


def rules():
    with open("rules.yaml") as file:
        return yaml.safe_load(file)


@app.post("/hook")
def hook():
    return rules()["default"]
""",
            None,
            "flask",
        ),
    )
    good = (
        """import functools

import jinja2
import yaml
from flask import Flask

app = Flask(__name__)
TEMPLATE = jinja2.Template("Hello {{ name }}")
_model = None


@functools.lru_cache(maxsize=1)
def rules():
    with open("rules.yaml") as file:
        return yaml.safe_load(file)


def model():
    global _model
    if _model is None:
        import joblib

        _model = joblib.load("model.bin")
    return _model


@app.post("/hook/<name>")
def hook(name):
    with open(f"/data/{name}.json") as file:
        return yaml.safe_load(file) | rules() | {"score": model()(TEMPLATE.render(name=name))}
""",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every call of a costly maker whose arguments are the same on every request."""
        for function in request_functions(index):
            for call in index.calls(function):
                cost = self._cost(index, function, call)
                if cost and not is_kept_by_hand(function.module, call, function):
                    yield self.finding(
                        function.module, call,
                        evidence=f"{function.qualname} calls `{_shown(call)}` on every request: {cost}",
                        recommendation="Make it once: at the module's top, at the start, or under lru_cache",
                        anchor=f"{function.qualname}:{_shown(call)}",
                        mendable=False,
                    )  # fmt: skip

    def _cost(self, index: Index, function: Function, call: ast.Call) -> str:
        module = function.module
        dotted = index.resolve(module, call.func) or ""
        given = [*call.args, *(keyword.value for keyword in call.keywords)]
        if dotted in COSTLY and _is_steady(index, function, given):
            return COSTLY[dotted]
        if dotted in READERS and call.args and _fixed_file(index, function, call.args[0]):
            return "it reads and parses the same file"
        if dotted in PARSERS and call.args and _is_read_whole(index, module, function, call.args[0]):
            return "it reads and parses the same file"
        return ""


def _is_steady(index: Index, function: Function, values: Iterable[ast.expr], depth: int = 0) -> bool:
    """Whether nothing of the request is in these values: constants, what modules hold, what an object began with."""
    module = function.module
    own = module.local_names(function.node)
    bound = index.kinds.bindings(function.node)
    owner = function.dotted.rpartition(".")[0] if function.class_name else ""
    for part in (part for value in values for part in walk(value)):
        if not isinstance(part, ast.Name) or part.id not in own:
            continue
        around = module.parent(part)
        if part.id == "self" and isinstance(around, ast.Attribute):
            if not lasts(index, owner) or is_set_later(index, owner, around.attr):
                return False
            continue
        made = bound.get(part.id, [])
        maker = _of_library(index, module, made[0]) if len(made) == 1 and not _is_given(function, part.id) else None
        if maker is None or depth > 2 or not _is_steady(index, function, [maker], depth + 1):
            return False
    return True


def _of_library(index: Index, module: Module, value: ast.AST) -> ast.Call | None:
    """The expression where it makes an object of a library's class, `FileSystemLoader("pages")`, and asks nobody."""
    dotted = index.resolve(module, value.func) if isinstance(value, ast.Call) else None
    known = dotted is not None and dotted not in index.classes and dotted.rpartition(".")[2][:1].isupper()
    return value if known and isinstance(value, ast.Call) else None


def _is_given(function: Function, name: str) -> bool:
    return name in {argument.arg for argument in parameters(function.node)}


def _fixed_file(index: Index, function: Function, value: ast.expr) -> bool:
    """Whether a file is opened by a name that is the same on every request, in place or around."""
    module = function.module
    if isinstance(value, ast.Call):
        return unparsed(value.func) in ("open", "io.open") and _is_steady(index, function, value.args[:1])
    if not isinstance(value, ast.Name):
        return False
    for around in module.ancestors(value):
        for item in around.items if isinstance(around, ast.With) else ():
            named = item.optional_vars
            if isinstance(named, ast.Name) and named.id == value.id and isinstance(item.context_expr, ast.Call):
                opened = item.context_expr
                is_open = unparsed(opened.func) == "open" or unparsed(opened.func).endswith(".open")
                reads = not any(isinstance(a, ast.Constant) and a.value in ("w", "a", "wb") for a in opened.args[1:])
                return is_open and reads and _is_steady(index, function, [opened.func, *opened.args[:1]])
    return False


def _is_read_whole(index: Index, module: Module, function: Function, value: ast.expr) -> bool:
    """Whether it is the text of a file that is the same on every request: `Path("rules.yaml").read_text()`."""
    match value:
        case ast.Call(func=ast.Attribute(value=path, attr="read_text" | "read_bytes")):
            makes = [part for part in walk(path) if isinstance(part, ast.Call)]
            known = all((index.resolve(module, part.func) or "").startswith("pathlib.") for part in makes)
            return bool(makes) and known and _is_steady(index, function, [path])
    return False


def _shown(call: ast.Call) -> str:
    return " ".join(unparsed(call).split())[:80]
