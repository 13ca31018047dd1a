"""What shows that a check does not concern a tree: the thing that it asks about is nowhere in the code.

Absence is shown only where it is exhaustive: every file was parsed, and no call, import or setting of the kind is in
any of them. Where that cannot be said, nothing is said, and the check counts.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase

from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module

_RUNNING = (
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.exec*", "os.spawn*",
    "os.posix_spawn*", "subprocess.*", "pickle.*", "cPickle.*", "dill.*", "cloudpickle.*", "marshal.*",
    "shelve.*", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "jsonpickle.*", "pty.*", "code.*", "runpy.*",
    "asyncio.create_subprocess*", "importlib.import_module", "jinja2.Template", "jinja2.Environment",
    "flask.render_template_string", "joblib.load", "torch.load", "pandas.read_pickle",
)  # fmt: skip
_BROKEN_DIGESTS = ("hashlib.md5", "hashlib.sha1", "hashlib.md4", "Crypto.*", "Cryptodome.*", "passlib.*")
_BROKEN_NAMES = ("md5", "sha1", "sha-1", "md4")
_TLS_WORDS = ("verify", "check_hostname", "verify_mode", "verify_ssl", "ssl")
_TLS_NAMES = ("CERT_NONE", "_create_unverified_context", "create_default_context", "disable_warnings")
_SWITCHES = ("debug", "DEBUG", "FLASK_DEBUG", "use_debugger")
_HARMLESS_DRAWS = ("delay", "pause", "jitter", "wait", "sleep", "backoff", "spread", "rate")


def shown_inapplicable(index: Index) -> dict[str, str]:
    """By check, the words that show it not to apply. Nothing where a file could not be parsed."""
    if index.tree.unparsed or not index.tree.modules:
        return {}
    files = f"{len(index.tree.modules)} files"
    shown: dict[str, str] = {}
    if all(_names_a_module(call) for call in _calls(index, _RUNNING)):
        shown["S04"] = f"no code, command, template or pickle is run or loaded anywhere in {files}"
    if not any(_calls(index, _BROKEN_DIGESTS)) and not _texts(index, _BROKEN_NAMES):
        shown["S06"] = f"no MD5 or SHA-1 anywhere in {files}"
    if not _keywords(index, _TLS_WORDS) and not _names(index, _TLS_NAMES):
        shown["S03"] = f"nothing in {files} touches how certificates are checked, so libraries check them as they do"
    if not _keywords(index, _SWITCHES) and not _set(index, _SWITCHES) and not _texts(index, ("flask_debug",)):
        shown["S07"] = f"no switch for a debug mode anywhere in {files}"
    draws = list(_draws(index))
    if all(_is_pause(module, call) for module, call in draws):
        words = f"{len(draws)} draws of random on a request's path, all of them pauses" if draws else "none drawn"
        shown["S05"] = f"no chance that anybody must not guess comes from the module random ({words}; {files})"
    return shown


def _calls(index: Index, wanted: tuple[str, ...]) -> Iterator[ast.Call]:
    for module in index.tree.modules.values():
        for call in module.nodes(ast.Call):
            dotted = index.resolve(module, call.func) or ""
            if any(fnmatchcase(dotted, name) for name in wanted):
                yield call


def _names_a_module(call: ast.Call) -> bool:
    """`import_module("redis")`, also `import_module("a" if … else "b")`: what is loaded stands in the code."""
    if unparsed(call.func).rpartition(".")[2] not in ("import_module", "__import__") or not call.args:
        return False
    name = call.args[0]
    return all(isinstance(part, ast.Constant) for part in (
        (name.body, name.orelse) if isinstance(name, ast.IfExp) else (name,)
    ))  # fmt: skip


def _keywords(index: Index, wanted: tuple[str, ...]) -> bool:
    return any(
        keyword.arg in wanted for module in index.tree.modules.values() for keyword in module.nodes(ast.keyword)
    )


def _names(index: Index, wanted: tuple[str, ...]) -> bool:
    for module in index.tree.modules.values():
        if any(node.attr in wanted for node in module.nodes(ast.Attribute)):
            return True
        if any(node.id in wanted for node in module.nodes(ast.Name)):
            return True
    return False


def _set(index: Index, wanted: tuple[str, ...]) -> bool:
    """Whether an attribute or key of such a name is assigned anywhere: `app.debug = …`, `config["DEBUG"] = …`."""
    for module in index.tree.modules.values():
        for node in module.nodes(ast.Attribute):
            if node.attr in wanted and isinstance(node.ctx, ast.Store):
                return True
        for place in module.nodes(ast.Subscript):
            if (
                isinstance(place.ctx, ast.Store)
                and isinstance(place.slice, ast.Constant)
                and place.slice.value in wanted
            ):
                return True
    return False


def _texts(index: Index, wanted: tuple[str, ...]) -> bool:
    return any(
        isinstance(node.value, str) and node.value.lower() in wanted
        for module in index.tree.modules.values()
        for node in module.nodes(ast.Constant)
    )


def _draws(index: Index) -> Iterator[tuple[Module, ast.Call]]:
    for module in index.tree.modules.values():
        for call in module.nodes(ast.Call):
            dotted = index.resolve(module, call.func) or ""
            if dotted.startswith(("random.", "numpy.random.", "uuid.uuid1")) and index.on_request_path(module, call):
                yield module, call


def _is_pause(module: Module, call: ast.Call) -> bool:
    """Whether the drawn value only says how long to wait."""
    for around in module.ancestors(call):
        if isinstance(around, ast.Call) and any(word in unparsed(around.func).lower() for word in _HARMLESS_DRAWS):
            return True
        if isinstance(around, ast.Assign | ast.AnnAssign | ast.Return):
            targets = around.targets if isinstance(around, ast.Assign) else []
            if isinstance(around, ast.AnnAssign):
                targets = [around.target]
            function = module.enclosing_function(around)
            names = [unparsed(t).lower() for t in targets] or [function.name.lower() if function else ""]
            return all(any(word in name for word in _HARMLESS_DRAWS) for name in names)
        if isinstance(around, ast.stmt):
            return False
    return False
