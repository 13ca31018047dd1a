"""Fields of pydantic settings that hold a signing key and may be empty: unset, or set to nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Set
from dataclasses import dataclass

from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.parts import ClassInfo
from swarm.analysis.settings_classes import is_required_field, is_settings_class
from swarm.analysis.source import Module
from swarm.rules.security.secrets.secret_words import is_secret_name
from swarm.rules.writing.splices import add_keyword, import_from

_TEXTS = ("str", "SecretStr")  # what is said of others (`constr`, an alias, `Annotated`) may hold a length
_BOUNDS = frozenset({"min_length", "pattern", "regex", "max_digits", "discriminator"})


@dataclass(frozen=True, slots=True)
class EmptyField:
    """A field that takes an empty text: `is_required` where it has no default, so that only a variable that is set to
    nothing makes it empty; `is_old` where the class is one of pydantic 1."""

    module: Module
    statement: ast.AnnAssign
    name: str
    is_required: bool
    is_old: bool
    is_mendable: bool

    @property
    def node(self) -> ast.expr:
        """Where it is told: the default, else the name."""
        return self.statement.value or self.statement.target


def empty_fields(index: Index, signing: Set[str], keys: Set[str], asked: Set[str]) -> Iterator[EmptyField]:
    """Fields by the names of keys that digests are made with (`signing`), those of all that is compared (`keys`), and
    those that some test asks for."""
    for info in index.classes.values():
        is_pydantic = is_settings_class(index, info)
        if not is_pydantic and not any("Settings" in unparsed(base) for base in info.node.bases):
            continue
        for statement in info.node.body:
            if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
                continue
            name, is_empty = statement.target.id, _is_empty(statement.value)
            is_required = not is_empty and (statement.value is None or is_required_field(statement.value))
            is_key = name in signing or (is_empty and name in keys and is_secret_name(name))
            if not is_key or name in asked or not (is_empty or is_required) or _is_checked(info, statement, name):
                continue
            is_text = unparsed(statement.annotation).rsplit(".", 1)[-1] in _TEXTS
            if is_required and not (is_text and is_pydantic and _takes_nothing(info)):
                continue
            is_old = _is_of_pydantic_1(index, info)
            # pydantic 1 validates defaults too, and takes no SecretStr for one with a length
            fits = not (is_old and is_empty and unparsed(statement.annotation).endswith("SecretStr"))
            yield EmptyField(info.module, statement, name, is_required, is_old, is_text and is_pydantic and fits)


def _is_empty(value: ast.expr | None) -> bool:
    """`""`, `SecretStr("")`, `Field("")`, `Field(default="")`."""
    if isinstance(value, ast.Constant):
        return value.value == ""
    return isinstance(value, ast.Call) and any(_is_empty(given) for given in _defaults(value))


def _defaults(call: ast.Call) -> list[ast.expr]:
    if unparsed(call.func).rsplit(".", 1)[-1] not in ("Field", "SecretStr"):
        return []
    return [*call.args[:1], *(keyword.value for keyword in call.keywords if keyword.arg == "default")]


def _is_checked(info: ClassInfo, statement: ast.AnnAssign, name: str) -> bool:
    """Whether the field says how long it is, or a validator of the class looks at it."""
    given = statement.value
    if isinstance(given, ast.Call) and any(keyword.arg in _BOUNDS for keyword in given.keywords):
        return True
    for method in info.methods.values():
        for decorator in method.node.decorator_list:
            text = unparsed(decorator)
            if re.search(r"(model|root)_validator", text) or (
                "validator(" in text and re.search(rf"['\"]({name}|\*)['\"]", text)
            ):
                return True
    return False


def _takes_nothing(info: ClassInfo) -> bool:
    """Whether a variable that is set to nothing is taken as it is."""
    return re.search(r"env_ignore_empty\s*=\s*True|str_min_length|min_anystr_length", unparsed(info.node)) is None


def _is_of_pydantic_1(index: Index, info: ClassInfo, depth: int = 0) -> bool:
    for base in info.node.bases:
        dotted = index.resolve(info.module, base) or ""
        if dotted in ("pydantic.BaseSettings", "pydantic.env_settings.BaseSettings"):
            return True
        if depth < 4 and dotted in index.classes and _is_of_pydantic_1(index, index.classes[dotted], depth + 1):
            return True
    return False


def field_edits(field: EmptyField, random: str) -> list[Edit]:
    """The edits that let a field hold no empty text: a random one where it had a default, else a length."""
    module, value = field.module, field.statement.value
    named, imported = import_from(module, "pydantic", "Field")
    edits = [_beside(module, imported)] if imported is not None else []
    is_masked = unparsed(field.statement.annotation).endswith("SecretStr")
    factory = f"default_factory=lambda: {f'SecretStr({random})' if is_masked else random}"
    is_field = isinstance(value, ast.Call) and unparsed(value.func).rsplit(".", 1)[-1] == "Field"
    if isinstance(value, ast.Call) and is_field:
        edits = []
        for given in _defaults(value) if not field.is_required else ():
            around = module.parent(given)
            edits.append(Edit(*module.span(around if isinstance(around, ast.keyword) else given), factory))
        return [*edits, add_keyword(module, value, "min_length=1")]
    if not field.is_required and value is not None:
        return [*edits, Edit(*module.span(value), f"{named}({factory}, min_length=1)")]
    start = module.span(field.statement.annotation)[1]
    end = module.span(field.statement)[1]
    lead = "..., " if field.is_old or value is not None else ""
    return [*edits, Edit(start, end, f" = {named}({lead}min_length=1)")]


def _beside(module: Module, imported: Edit) -> Edit:
    """The import of `Field` where it belongs: with what is imported from pydantic, else before pydantic_settings."""
    for node in module.head_imports:
        if isinstance(node, ast.ImportFrom) and node.module == "pydantic" and node.names and not node.level:
            end = module.span(node)[1]
            if node.lineno == node.end_lineno and module.text[end - 1] != ")":
                names = sorted(
                    {f"{one.name} as {one.asname}" if one.asname else one.name for one in node.names} | {"Field"}
                )
                return Edit(*module.span(node), f"from pydantic import {', '.join(names)}")
    for node in module.head_imports:
        if isinstance(node, ast.ImportFrom) and node.module == "pydantic_settings":
            return Edit(*(2 * (module.line_start(node.lineno),)), imported.text)
    return imported
