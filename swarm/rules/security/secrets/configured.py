"""What of a service's configuration is secret: the environment, variables read from it, objects with settings."""

from __future__ import annotations

import ast
import re

from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.parts import ClassInfo
from swarm.analysis.settings_classes import is_settings_class
from swarm.analysis.source import Module
from swarm.rules.security.secrets.secret_words import is_secret_name
from swarm.rules.security.signatures.digests import assigned, last_name
from swarm.rules.security.signatures.handed_keys import variable_read

_ADDRESS = re.compile(
    r"(^|_)(database|db|postgres(ql)?|mysql|mongo(db)?|redis|amqp|rabbit(mq)?|broker|celery_broker|sqlalchemy_database)"
    r"_(url|uri|dsn)$|(^|_)conn(ection)?_?(str|string)$|^(db_|pg_)?dsn$",
    re.IGNORECASE,
)
_SHOWN_HEADER = re.compile(r"^((proxy-)?authorization|x-[\w-]*(token|secret|api-?key))$", re.IGNORECASE)
_SHOWN_FIELD = re.compile(
    r"(^|_)(secret|password|passwd|api_?key|access_?token|auth_?token|private_?key|secret_?key)$", re.IGNORECASE
)
_DUMPS = frozenset({"model_dump", "dict", "model_dump_json", "json", "_asdict", "copy", "items", "to_dict"})
_FRAMEWORKS = ("flask.Flask", "quart.Quart", "sanic.Sanic")


def environment(module: Module, value: ast.expr) -> bool:
    """Whether a value is the whole environment: `os.environ`, `os.environ.copy()`, a value in a loop over it."""
    func = value.func if isinstance(value, ast.Call) else None
    inner = func.value if isinstance(func, ast.Attribute) and func.attr in _DUMPS else value
    if module.resolve(inner) == "os.environ":
        return True
    if not isinstance(value, ast.Name):
        return False
    loops = (around for around in module.ancestors(value) if isinstance(around, ast.For))
    return any(
        isinstance(loop.target, ast.Tuple) and unparsed(loop.target.elts[-1]) == value.id
        and isinstance(loop.iter, ast.Call) and module.resolve(loop.iter.func) == "os.environ.items"
        for loop in loops
    )  # fmt: skip


def secret_of_object(index: Index, module: Module, value: ast.expr) -> str:
    """The secret that is written out with a whole object of settings: `settings`, `settings.model_dump()`,
    `vars(settings)`, Flask's `app.config`; "" for none."""
    if isinstance(value, ast.Call):
        func = value.func
        if isinstance(func, ast.Attribute) and func.attr in _DUMPS and not value.args:
            if any(keyword.arg in ("exclude", "include") for keyword in value.keywords):
                return ""  # what is left out, somebody has thought of
            return secret_of_object(index, module, func.value)
        if (index.resolve(module, func) or "") in ("vars", "builtins.vars", "dataclasses.asdict") and value.args:
            return secret_of_object(index, module, value.args[0])
    if isinstance(value, ast.Attribute) and value.attr == "__dict__":
        value = value.value
    if isinstance(value, ast.Attribute) and value.attr == "config":
        of_app = index.kinds.of(module, value.value) or index.resolve(module, value.value) or ""
        if of_app in (*_FRAMEWORKS, "flask.current_app", "quart.current_app"):
            return "SECRET_KEY"
    if not isinstance(value, ast.Name | ast.Attribute | ast.Call):
        return ""
    info = index.classes.get(index.kinds.of(module, value) or "")
    return _secret_field(index, info) if info is not None else ""


def _secret_field(index: Index, info: ClassInfo) -> str:
    """The first secret that an object of the class shows of itself."""
    is_data = any(re.search(r"\bdataclass\b", unparsed(one)) for one in info.node.decorator_list)
    if not (is_data or is_settings_class(index, info)) or {"__repr__", "__str__"} & info.methods.keys():
        return ""
    for field in info.node.body:
        if isinstance(field, ast.AnnAssign) and is_secret_name(unparsed(field.target)):
            is_masked = "Secret" in unparsed(field.annotation) or (
                field.value is not None and "repr=False" in unparsed(field.value)
            )
            if not is_masked:
                return unparsed(field.target)
    return ""


def secret_of_table(index: Index, module: Module, value: ast.expr) -> str:
    """The header or entry of a table of the code that holds a secret: `{"Authorization": f"Bearer {token}"}`."""
    kept: ast.expr | None = assigned(value, module.enclosing_function(value))
    if kept is value and isinstance(value, ast.Name):
        kept = getattr(module.globals.get(value.id), "value", None)
    if isinstance(value, ast.Attribute) and unparsed(value.value) == "self":
        owner = module.enclosing_class(value)
        info = next((one for one in index.classes.values() if one.node is owner), None)
        kept = info.attributes.get(value.attr) if info is not None else None
    if not isinstance(kept, ast.Dict) or not isinstance(value, ast.Name | ast.Attribute):
        return ""
    for key, given in zip(kept.keys, kept.values, strict=True):
        name = key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else ""
        if name and not isinstance(given, ast.Constant) and (_SHOWN_HEADER.match(name) or _SHOWN_FIELD.search(name)):
            return name
    return ""


def configured_secret(index: Index, module: Module, value: ast.expr) -> str:
    """The name of a secret that the environment or settings hold: `os.environ["BOT_TOKEN"]`, a constant that was read
    so, `settings.bot_token`; "" for anything else."""
    read = variable_read(module, value) or _read_into(index, module, value)
    if read:
        return read if is_secret_name(read) else ""
    name = last_name(value)
    if not name or not is_secret_name(name):
        return ""
    return name if _is_configured(index, module, value) else ""


def _read_into(index: Index, module: Module, value: ast.expr) -> str:
    """The variable of the environment that a name was assigned, whatever it is called."""
    if not isinstance(value, ast.Name):
        return ""
    local = assigned(value, module.enclosing_function(value))
    if local is not value:
        return variable_read(module, local)
    home, name = index.tree.split(index.resolve(module, value) or "", module)
    kept = getattr(home.globals.get(name), "value", None) if home is not None else None
    return variable_read(home, kept) if home is not None and isinstance(kept, ast.expr) else ""


def address_with_password(index: Index, module: Module, value: ast.expr) -> str:
    """The name of a database's address of the configuration, in which its password stands; "" for anything else."""
    name = variable_read(module, value) or last_name(value)
    return name if name and _ADDRESS.search(name) and _is_configured(index, module, value) else ""


def _is_configured(index: Index, module: Module, value: ast.expr) -> bool:
    if variable_read(module, value) or _read_into(index, module, value):
        return True
    if isinstance(value, ast.Name):
        local = assigned(value, module.enclosing_function(value))
        if local is not value:
            return _is_field(index, module, local)
    home, name = index.tree.split(index.resolve(module, value) or "", module)
    kept = getattr(home.globals.get(name), "value", None) if home is not None else None
    if home is not None and kept is not None:
        return _is_field(index, home, kept)
    return _is_field(index, module, value)


def _is_field(index: Index, module: Module, value: ast.expr) -> bool:
    """`settings.bot_token`, where the field shows itself; an entry of Flask's configuration."""
    if isinstance(value, ast.Subscript):
        return isinstance(value.value, ast.Attribute) and value.value.attr == "config"
    if not isinstance(value, ast.Attribute):
        return False
    info = index.classes.get(index.kinds.of(module, value.value) or "")
    if info is None or not is_settings_class(index, info):
        return False
    fields = (one for one in info.node.body if isinstance(one, ast.AnnAssign) and unparsed(one.target) == value.attr)
    return any("Secret" not in unparsed(field.annotation) for field in fields)
