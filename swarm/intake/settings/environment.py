"""Which settings the code reads from its environment, which of them it cannot do without, and harmless values."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from swarm.analysis.constants import text_of
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.parts import ClassInfo
from swarm.analysis.settings_classes import is_required_field, is_settings_class, variable_alias, variable_prefix
from swarm.analysis.source import Module
from swarm.intake.settings.composed import names_composed, prefixed
from swarm.intake.settings.private_keys import private_key

_GETTERS = frozenset({"os.getenv", "os.environ.get", "os.environ.pop"})
_CONFIGS = frozenset({"decouple.config", "decouple.Config"})
_CONFIG_OBJECTS = frozenset({
    "starlette.config.Config", "environs.Env", "environs.FileAwareEnv", "environ.Env", "environs.env",
})  # fmt: skip
_LIBRARIES = {
    "slack_bolt": ("SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET"),
    "openai": ("OPENAI_API_KEY",),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "boto3": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
}
_VARIABLE = re.compile(r"(?!REQUEST_METHOD$|PATH_INFO$|HTTP_)[A-Za-z_][A-Za-z0-9_]*")  # those are WSGI's
_SECRET = re.compile(r"SECRET|TOKEN|PASSWORD|PASSWD|SIGNING|API_?KEY|ACCESS_?KEY|_KEY$|_SID$|CREDENTIAL|_PAT$")
_PRIVATE_KEY = re.compile(r"PRIVATE_?(KEY|PEM)(_?(PEM|B64|BASE64))?$|_PEM$")
_HARMLESS = re.compile(r"_IDS?$|USER|USERNAME|ACCOUNT|CHANNEL|EMAIL|_NAME$|NUMBER|PHONE|ORG$|REPO$")
_SWITCHES = re.compile(
    r"^SLACK_APP_TOKEN$|DSN|PROXY|SENTRY|OTEL|NEW_?RELIC|DATADOG|^DD_|PATH$|FILE$|DIR$|LEVEL$|WORKERS"
)


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable. `required` where the code fails without it; `default` as far as it is a constant.

    `kind` is the type that it is read as: "str", "int", "float", "bool", "list", "url"; "pem" is a private key,
    "pem64" one in base64, and "file" the path of a file that must be there.
    """

    name: str
    required: bool
    default: str | None
    kind: str
    place: str

    @property
    def is_secret(self) -> bool:
        """Whether its name says that its value is one."""
        return bool(_SECRET.search(self.name.upper()))

    @property
    def wants_value(self) -> bool:
        """Whether a run goes better with a value: it must be there, or it is empty and names a secret or an id."""
        if self.required or self.kind in ("list", "dict"):
            return self.required
        empty = self.default in (None, "")
        name = self.name.upper()
        return empty and not _SWITCHES.search(name) and bool(_SECRET.search(name) or _HARMLESS.search(name))


def find_settings(index: Index) -> tuple[Setting, ...]:
    """Every variable that is read by a constant name, each once, the strictest reading first told."""
    found: dict[str, Setting] = {}
    wrappers = _wrappers(index)
    for module in index.tree.modules.values():
        for setting in [*_subscripts(index, module), *_calls(index, module, wrappers), *_composed(index, module)]:
            _keep(found, setting)
    for info in index.classes.values():
        if is_settings_class(index, info):
            for setting in _fields(index, info):
                _keep(found, setting)
    for setting in _implied(index):
        _keep(found, setting)
    return tuple(_as_key(index, setting) for setting in found.values())


def _as_key(index: Index, setting: Setting) -> Setting:
    """The setting as a private key, where its name says that it holds one and not the path of one."""
    if setting.kind != "str" or not _PRIVATE_KEY.search(setting.name.upper()):
        return setting
    decoded = re.compile(rf"b64decode\([^()]*(\([^()]*)?{re.escape(setting.name)}", re.IGNORECASE)
    in_base64 = any(decoded.search(module.text) for module in index.tree.modules.values())
    return replace(setting, kind="pem64" if in_base64 else "pem")


def _implied(index: Index) -> Iterator[Setting]:
    """Variables that libraries read themselves."""
    imported = {origin.split(".")[0] for module in index.tree.modules.values() for origin in module.imports.values()}
    for library, names in _LIBRARIES.items():
        if library in imported:
            yield from (Setting(name, False, None, "str", library) for name in names)


def _keep(found: dict[str, Setting], setting: Setting) -> None:
    known = found.get(setting.name)
    if known is None:
        found[setting.name] = setting
        return
    kind = known.kind if known.kind != "str" else setting.kind
    default = known.default if known.default is not None else setting.default
    found[setting.name] = replace(known, required=known.required or setting.required, default=default, kind=kind)


def _subscripts(index: Index, module: Module) -> Iterator[Setting]:
    for node in module.nodes(ast.Subscript):
        if isinstance(node.ctx, ast.Load) and _is_environment(index, module, node.value):
            name = text_of(index, module, node.slice)
            if name and _VARIABLE.fullmatch(name) and not _is_guarded(module, node):
                yield Setting(name, True, None, _cast(module, node), f"{module.path}:{node.lineno}")


def _is_environment(index: Index, module: Module, node: ast.expr) -> bool:
    """`os.environ`, or what a class or function was handed for it and calls so."""
    if index.resolve(module, node) == "os.environ":
        return True
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.lower().lstrip("_") == "environ"


def _is_guarded(module: Module, node: ast.AST) -> bool:
    """Whether the reading stands under a `try` or an `if` that looks for it first."""
    for around in module.ancestors(node):
        if isinstance(around, ast.Try) and around.handlers:
            return True
        if isinstance(around, ast.If | ast.IfExp) and "environ" in unparsed(around.test):
            return True
    return False


def _calls(index: Index, module: Module, wrappers: dict[str, bool]) -> Iterator[Setting]:
    for call in module.nodes(ast.Call):
        named = index.resolve(module, call.func) or ""
        strict: bool | None = None
        if named in _GETTERS:
            strict = False
        elif named in _CONFIGS:
            strict = True
        elif named in wrappers:
            strict = wrappers[named]
        elif isinstance(call.func, ast.Attribute) and call.func.attr in ("get", "pop") \
                and _is_environment(index, module, call.func.value):  # fmt: skip
            strict = False
        else:
            owner = call.func.value if isinstance(call.func, ast.Attribute) else call.func
            if _is_config_object(index, module, owner):
                strict = True
        if strict is None or not call.args:
            continue
        name = text_of(index, module, call.args[0])
        if not name or not _VARIABLE.fullmatch(name):
            continue
        given = _default(call)
        default = text_of(index, module, given) if given is not None else None
        method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        kind = {"int": "int", "float": "float", "bool": "bool", "list": "list", "url": "url"}.get(method, "")
        yield Setting(
            name, strict and given is None, default, kind or _cast(module, call), f"{module.path}:{call.lineno}"
        )


def _composed(index: Index, module: Module) -> Iterator[Setting]:
    """Variables whose names are put together, in a loop over fields or by Flask: each may stay unset."""
    for name, of, line in prefixed(index, module):
        if _VARIABLE.fullmatch(name):
            yield Setting(name, False, of.default, _annotated(of.annotation), f"{module.path}:{line}")
    for node in [*module.nodes(ast.Call), *module.nodes(ast.Subscript)]:
        given: ast.expr | None = None
        if isinstance(node, ast.Call) and node.args and (
            (index.resolve(module, node.func) or "") in _GETTERS
            or (isinstance(node.func, ast.Attribute) and node.func.attr in ("get", "pop")
                and _is_environment(index, module, node.func.value))
        ):  # fmt: skip
            given = node.args[0]
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) \
                and _is_environment(index, module, node.value):  # fmt: skip
            given = node.slice
        for name, of in names_composed(index, module, given) if given is not None else ():
            if _VARIABLE.fullmatch(name):
                yield Setting(name, False, of.default, _annotated(of.annotation), f"{module.path}:{node.lineno}")


def _is_config_object(index: Index, module: Module, node: ast.expr) -> bool:
    dotted = index.resolve(module, node)
    home, name = index.tree.split(dotted, module) if dotted else (None, "")
    value = getattr(home.globals.get(name), "value", None) if home is not None else None
    if home is not None and isinstance(value, ast.Call):
        return (index.resolve(home, value.func) or "") in _CONFIG_OBJECTS
    return dotted in _CONFIG_OBJECTS


def _default(call: ast.Call) -> ast.expr | None:
    if len(call.args) > 1:
        return call.args[1]
    return next((keyword.value for keyword in call.keywords if keyword.arg == "default"), None)


def _cast(module: Module, node: ast.AST) -> str:
    if isinstance(node, ast.Call):
        for keyword in node.keywords:
            if keyword.arg == "cast":
                return {"int": "int", "float": "float", "bool": "bool", "Csv()": "list"}.get(
                    unparsed(keyword.value), "str"
                )
    parent = module.parent(node)
    if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.args and parent.args[0] is node:
        return parent.func.id if parent.func.id in ("int", "float", "bool") else "str"
    return "str"


def _wrappers(index: Index) -> dict[str, bool]:
    """Functions of the target's own that read the variable which they are told; True where it must be there."""
    found: dict[str, bool] = {}
    for function in index.functions:
        names = [a.arg for a in function.node.args.args if a.arg not in ("self", "cls")]
        if not names or function.class_name:
            continue
        raises = any(isinstance(node, ast.Raise) for node in index.own_nodes(function))
        for node in index.own_nodes(function):
            first: ast.expr | None = None
            strict = raises
            if isinstance(node, ast.Call) and index.resolve(function.module, node.func) in _GETTERS and node.args:
                first = node.args[0]
            elif isinstance(node, ast.Subscript) and index.resolve(function.module, node.value) == "os.environ":
                first, strict = node.slice, True
            if isinstance(first, ast.Name) and first.id == names[0]:
                found[function.dotted] = found.get(function.dotted, False) or strict
    return found


def _fields(index: Index, info: ClassInfo) -> Iterator[Setting]:
    prefix = variable_prefix(info)
    for statement in info.node.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        name, value = statement.target.id, statement.value
        if name.startswith("_") or name == "model_config" or "ClassVar" in unparsed(statement.annotation):
            continue
        required = value is None or is_required_field(value)
        annotation = unparsed(statement.annotation)
        alias = variable_alias(value)
        default = None if required else text_of(index, info.module, value)
        place = f"{info.module.path}:{statement.lineno}"
        yield Setting(alias or (prefix + name).upper(), required, default, _annotated(annotation), place)


def _annotated(annotation: str) -> str:
    words = annotation.replace("Optional[", "").strip("]")
    for kind in ("int", "float", "bool"):
        if re.match(rf"{kind}\b", words):
            return kind
    if re.search(r"\bFilePath\b", annotation):
        return "file"
    if re.match(r"(list|List|set|Set|tuple|Tuple)\b", words):
        return "list"
    if re.match(r"(dict|Dict|Mapping)\b", words):
        return "dict"
    return "url" if re.search(r"Url\b|Dsn\b", annotation) else "str"


def harmless_value(setting: Setting, example: str | None = None) -> str:
    """A value that nothing outside takes for real: of the right type, long enough for a check of length."""
    name = setting.name.upper()
    if setting.kind in ("pem", "pem64"):
        return private_key(in_base64=setting.kind == "pem64")
    if setting.kind == "int":
        if example and example.isdigit():
            return example
        return "1001" if re.search(r"_IDS?$|CHAT|USER|ACCOUNT", name) else "1"  # whom the examples of events are of
    if setting.kind == "float":
        return "1.0"
    if setting.kind == "bool":
        return "false"
    if setting.kind == "dict":
        return example if example and example.startswith("{") else "{}"
    if setting.kind == "list":
        return example if example and example.startswith("[") else "[]"
    if "EMAIL" in name and not setting.is_secret:
        return "test@example.com"
    if re.search(r"(BOT|TELEGRAM|TG)\w*TOKEN", name) and "SLACK" not in name:
        return "123456789:AAtest-test-test-test-test-test-test1"
    if setting.is_secret:
        return f"test-{setting.name.lower().replace('_', '-')}-0123456789abcdef"
    if "SLACK" in name and (kind := re.search(r"CHANNEL|TEAM|WORKSPACE|USER|ADMIN|OWNER|MAINTAINER", name)):
        return {"CHANNEL": "C1", "TEAM": "T1", "WORKSPACE": "T1"}.get(kind[0], "U1")  # those of the examples, too
    if example and len(example) < 80 and not re.search(r"[<>]|your|change|xxx", example, re.IGNORECASE):
        return example
    if name.endswith("PORT"):
        return setting.default or "9"
    if re.search(r"_IDS?$|NUMBER|PHONE", name):
        return "1001"
    if setting.kind == "url" or re.search(r"URL$|URI$", name):
        return "http://127.0.0.1:9"
    if re.search(r"DEBUG|ENABLE|DISABLE", name):
        return "0"
    return f"test-{setting.name.lower().replace('_', '-')}"


def example_values(texts: list[str]) -> dict[str, str]:
    """The values of `.env.example` and its like; a real `.env` is never read."""
    found: dict[str, str] = {}
    for text in texts:
        for line in text.splitlines():
            if match := re.match(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)$", line):
                value = match[2].split(" #")[0].strip().strip("\"'")
                if value:
                    found.setdefault(match[1], value)
    return found
