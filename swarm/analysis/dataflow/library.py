"""What functions and methods of libraries do with data: which make it harmless, which mark it, which pass it on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from swarm.analysis.dataflow.values import (
    MOST_CONSTANTS,
    UNKNOWN,
    Value,
    beside_items,
    concatenated,
    container,
    derived,
    literal,
    merged,
    without_taint,
)

if TYPE_CHECKING:
    from swarm.analysis.parts import Function

# the result holds nothing of what went in (drawn numbers stay drawn where only their form changes)
CLEANING = frozenset({
    "any", "all", "bool", "callable", "complex", "hasattr", "hash", "id", "isinstance", "issubclass", "len", "ord",
    "range", "uuid.UUID", "decimal.Decimal", "fractions.Fraction", "datetime.datetime.fromisoformat",
    "datetime.datetime.strptime", "datetime.date.fromisoformat", "datetime.datetime.fromtimestamp",
    "ipaddress.ip_address", "ipaddress.ip_network", "ipaddress.IPv4Address", "hmac.compare_digest",
    "secrets.compare_digest", "hmac.new", "hmac.digest", "hashlib.new", "werkzeug.security.generate_password_hash",
    "werkzeug.security.check_password_hash", "os.getenv", "os.path.exists", "os.path.isfile", "os.path.isdir",
    "os.path.getsize", "os.stat", "os.listdir", "os.remove", "os.unlink", "shutil.which", "zlib.crc32", "open",
    "io.open", "time.time", "logging.getLogger", "subprocess.run", "subprocess.check_output", "subprocess.Popen",
    "subprocess.getoutput", "os.system", "os.popen", "bcrypt.hashpw", "bcrypt.checkpw", "mimetypes.guess_type",
    "imghdr.what", "flask.abort", "asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell",
    "elementpath.select",
})  # fmt: skip
RESHAPING = frozenset({"int", "float", "round", "abs", "hex", "bin", "oct", "chr"})
MARKS: dict[str, tuple[str, ...]] = {
    "html.escape": ("html",),
    "markupsafe.escape": ("html",),
    "markupsafe.escape_silent": ("html",),
    "flask.escape": ("html",),
    "jinja2.escape": ("html",),
    "bleach.clean": ("html",),
    "nh3.clean": ("html",),
    "cgi.escape": ("html",),
    "xml.sax.saxutils.escape": ("html",),
    "xml.sax.saxutils.quoteattr": ("html", "xpath"),
    "shlex.quote": ("shell",),
    "pipes.quote": ("shell",),
    "urllib.parse.quote": ("html", "header", "log", "encoded"),
    "urllib.parse.quote_plus": ("html", "header", "log", "path", "host", "encoded"),
    "urllib.parse.urlencode": ("html", "header", "log", "path", "host", "encoded"),
    "werkzeug.utils.secure_filename": ("path", "html", "header", "log", "shell", "host"),
    "os.path.basename": ("path", "flat"),
    "posixpath.basename": ("path", "flat"),
    "ntpath.basename": ("path", "flat"),
    "werkzeug.security.safe_join": ("path",),
    "flask.safe_join": ("path",),
    "werkzeug.utils.safe_join": ("path",),
    "os.path.realpath": ("resolved",),
    "os.path.abspath": ("resolved",),
    "os.path.normpath": ("resolved",),
    "ldap.filter.escape_filter_chars": ("ldap",),
    "ldap3.utils.conv.escape_filter_chars": ("ldap",),
    "ldap3.utils.dn.escape_rdn": ("ldap",),
    "ldap.dn.escape_dn_chars": ("ldap",),
    "json.dumps": ("log", "header"),
    "repr": ("log", "header"),
    "ascii": ("log", "header"),
    "re.escape": ("pattern",),
    "psycopg.sql.Identifier": ("sql",),
    "psycopg.sql.Literal": ("sql",),
    "psycopg2.sql.Identifier": ("sql",),
    "psycopg2.sql.Literal": ("sql",),
    "sqlalchemy.sql.quoted_name": ("sql",),
    "base64.b64encode": ("html", "header", "log", "sql", "shell", "ldap", "xpath", "encoded"),
    "base64.urlsafe_b64encode": ("html", "header", "log", "sql", "shell", "ldap", "xpath", "path", "encoded"),
    "binascii.hexlify": ("html", "header", "log", "sql", "shell", "ldap", "xpath", "path", "encoded"),
}
# functions of modules that mends bring, by the name by which such a module is known: they give back their first
# argument where it is as it should be, and raise where it is not
VOUCHED: dict[str, tuple[str, tuple[str, ...]]] = {
    "inside_folder": ("STAYS_INSIDE", ("path",)),
    "own_address": ("STAYS_HERE", ("host",)),
    "formula_value": ("COMPUTES_FORMULAS", ("formula",)),
    "load_plain": ("READS_PLAIN_PICKLES", ("plain",)),
}
TEXT_OF_QUERIES = (".text", ".literal_column", ".TextClause", ".quoted_name")
# what passes its arguments on: anything else may have made something else of them
PASSING = frozenset({
    "BytesIO", "StringIO", "bytearray", "bytes", "cast", "center", "chain", "copy", "cycle", "dedent", "enumerate",
    "expanduser", "expandvars", "fill", "filter", "format_map", "from_iterable", "fspath", "indent", "islice",
    "kwargs", "ljust", "load", "loads", "map", "max", "memoryview", "min", "next", "normalize", "parse_qs",
    "parse_qsl", "pop", "removeprefix", "removesuffix", "rjust", "safe_load", "set_default", "splitext", "str",
    "str_", "sub", "subn", "text", "translate", "TextIOWrapper", "urljoin", "wrap", "zfill", "zip", "literal_eval",
    "split", "eval", "vars", "to_thread", "run_in_threadpool", "gather", "wait_for", "shield", "super", "deepcopy",
    "joinpath", "Markup", "Template", "from_string", "render", "unhexlify", "literal_column", "print_exc", "expand",
    "load_all", "unsafe_load", "full_load", "decode",
})  # fmt: skip
DECODING = frozenset({
    "base64.b64decode", "base64.urlsafe_b64decode", "binascii.unhexlify", "urllib.parse.unquote",
    "urllib.parse.unquote_plus", "html.unescape", "bytes.fromhex", "codecs.decode",
})  # fmt: skip
UPSTREAM = ("requests.", "httpx.", "aiohttp.", "urllib.request.urlopen", "urllib3.")
# methods by name, on whatever they are called
CLEAN_METHODS = frozenset({
    "count", "digest", "endswith", "exists", "fileno", "find", "hexdigest", "index", "is_absolute", "is_dir",
    "is_file", "is_relative_to", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "isidentifier", "islower",
    "isnumeric", "isspace", "isupper", "read_bytes", "read_text", "rfind", "rindex", "startswith", "stat",
    "total_seconds", "unlink", "write_bytes", "write_text", "mkdir", "timestamp", "toordinal", "bit_length",
    "execute", "executemany", "executescript", "commit", "rollback", "search_s", "iterdir", "touch", "rmdir", "xpath",
})  # fmt: skip
STORED_METHODS = frozenset({"fetchone", "fetchall", "fetchmany", "fetchrow", "fetchval", "fetch_one", "fetch_all"})
DRAWS = frozenset({
    "random", "choice", "choices", "randint", "randrange", "getrandbits", "randbytes", "sample", "uniform",
    "triangular", "gauss", "normalvariate", "betavariate", "expovariate", "lognormvariate", "vonmisesvariate",
    "gammavariate", "paretovariate", "weibullvariate",
})  # fmt: skip
ABSORBING = frozenset({
    "add", "add_header", "append", "appendleft", "extend", "feed", "insert", "push", "put", "put_nowait", "set",
    "setdefault", "update", "write", "writelines",
})  # fmt: skip
# an environment of Jinja that escapes what goes into its templates, and a template of it
ESCAPING, ESCAPED = "jinja2.Environment that escapes", "jinja2.Template that escapes"
_SAME_TEXT = frozenset({"lower", "upper", "strip", "lstrip", "rstrip", "title", "capitalize", "casefold", "swapcase"})
_QUOTES = ("'", '"')


def vouched(function: Function) -> tuple[str, ...]:
    """The marks that a function of a mend's module earns its first argument; none for any other function."""
    mark, earned = VOUCHED.get(function.name, ("", ()))
    return earned if mark and mark in function.module.globals else ()


def kept_draws(*values: Value) -> Value:
    """What stays of values whose text went: numbers that were drawn are still drawn."""
    return Value(taints=merged(t for v in values for t in v.taints if t.kind == "random"))


def decoded(*values: Value) -> Value:
    """What decoding gives: marks that an encoding earned are gone."""
    taints = merged(t for v in values for t in v.taints)
    return Value(taints=tuple(replace(t, marks=frozenset()) if "encoded" in t.marks else t for t in taints))


def called(dotted: str, arguments: Sequence[Value], keywords: Mapping[str, Value]) -> Value | None:
    """The result of a library's function; None where nothing is known of it."""
    every = (*arguments, *keywords.values())
    if dotted in RESHAPING:
        folded = _folded(dotted, arguments)
        return folded if folded is not None else kept_draws(*every)
    if dotted == "len" and arguments:
        return _length(arguments[0])
    if dotted in CLEANING or dotted.startswith(("hashlib.", "secrets.", "os.environ", "time.", "math.")):
        return UNKNOWN
    if dotted in MARKS:
        return _marked(dotted, derived(*every), keywords)
    if dotted in DECODING:
        return decoded(*every)
    if dotted == "str" and arguments:
        return arguments[0]._replace(shape="", items=None, fields=None, kind="") if not arguments[0].constants \
            else concatenated(arguments[:1])  # fmt: skip
    if dotted in ("list", "tuple", "set", "frozenset", "sorted", "reversed", "iter", "dict", "copy.copy",
                  "copy.deepcopy") and len(arguments) == 1 and not keywords:  # fmt: skip
        return arguments[0]
    if dotted == "dict":
        given = arguments[0] if arguments else UNKNOWN
        named: dict[object, Value] = {**(given.items or {})}
        named.update(keywords)
        return container("dict", named, given)
    if dotted == "os.path.join" and arguments:
        return _path_joined(arguments)
    if dotted in ("pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath"):
        return (_path_joined(arguments) if arguments else UNKNOWN)._replace(kind="pathlib.Path")
    if dotted in ("urllib.parse.urlparse", "urllib.parse.urlsplit") and arguments:
        return Value(arguments[0].taints, kind="urlparse", about=frozenset(t.key for t in arguments[0].taints))
    if dotted.startswith(("sqlalchemy.", "sqlmodel.", "peewee.", "tortoise.")) and not dotted.endswith(
        TEXT_OF_QUERIES
    ):
        return Value(kind="query")  # built of expressions: their values are bound
    if dotted == "xml.sax.make_parser":
        return Value(kind="xml.sax.parser")
    if dotted == "lxml.etree.XMLParser":
        switch = keywords.get("resolve_entities")
        state = "default" if switch is None else "external" if switch.constant is True else "safe"
        return Value(kind=f"lxml.parser:{state}")
    if dotted in ("tarfile.open", "tarfile.TarFile", "tarfile.TarFile.open"):
        return derived(*every)._replace(kind="tarfile.TarFile")
    if dotted == "jinja2.select_autoescape":
        return Value(kind=dotted)
    if dotted in ("jinja2.Environment", "jinja2.sandbox.SandboxedEnvironment"):
        switch = keywords.get("autoescape", UNKNOWN)
        is_on = switch.constant is True or switch.kind == "jinja2.select_autoescape"
        return Value(kind=ESCAPING if is_on else dotted)
    if dotted in ("configparser.ConfigParser", "configparser.RawConfigParser"):
        return Value(kind="configparser")
    return None


def _marked(dotted: str, value: Value, keywords: Mapping[str, Value]) -> Value:
    marks = MARKS[dotted]
    if dotted == "html.escape" and keywords.get("quote", UNKNOWN).constant is not False:
        marks = (*marks, "xpath")
    if dotted == "urllib.parse.quote" and keywords.get("safe", UNKNOWN).constant == "":
        marks = (*marks, "path", "host")
    return derived(value, marks=marks)._replace(text=value.text if dotted.startswith("os.path") else None)


def _path_joined(parts: Sequence[Value]) -> Value:
    """`os.path.join` and `/` of paths: an absolute part throws away what stands before it."""
    taints = [taint for part in parts for taint in part.taints]
    return Value(taints=merged(taints))


def _length(value: Value) -> Value:
    if value.constants is not None and all(isinstance(c, str | bytes) for c in value.constants):
        return Value(constants=tuple(dict.fromkeys(len(c) for c in value.constants if isinstance(c, str | bytes))))
    return UNKNOWN


def _folded(dotted: str, arguments: Sequence[Value]) -> Value | None:
    functions: dict[str, Callable[..., object]] = {"int": int, "float": float, "abs": abs, "chr": chr}
    if dotted not in functions or len(arguments) != 1 or arguments[0].constant is None:
        return None
    try:
        return literal(functions[dotted](arguments[0].constant))
    except (TypeError, ValueError, OverflowError):
        return None


def method(name: str, receiver: Value, arguments: Sequence[Value], keywords: Mapping[str, Value]) -> Value | None:
    """The result of a method; None where nothing is known of it."""
    if receiver.constants is not None and not receiver.taints:
        folded = _folded_method(name, receiver, arguments)
        if folded is not None:
            return folded
    if receiver.kind == "configparser" and name == "get" and len(arguments) > 1:
        found = (receiver.items or {}).get((arguments[0].constant, arguments[1].constant))
        return found if found is not None else derived(receiver)
    if receiver.kind == ESCAPING and name == "from_string" and arguments:
        as_it_is = re.search(r"\|\s*safe\b|autoescape\s+false", arguments[0].text or "")
        return arguments[0] if as_it_is else derived(arguments[0])._replace(kind=ESCAPED)
    if receiver.kind == ESCAPED and name in ("render", "render_async"):
        return derived(receiver, derived(*arguments, *keywords.values(), marks=("html",)))
    if name == "hex" and not arguments:
        return derived(receiver, marks=MARKS["binascii.hexlify"])
    if name in CLEAN_METHODS:
        return UNKNOWN
    if name == "get" and receiver.shape == "dict" and receiver.items is not None and arguments:
        found = receiver.items.get(arguments[0].constant)
        if found is not None:
            return found
        if arguments[0].constant is not None:
            return derived(beside_items(receiver), *arguments[1:2])
    if name == "get" and receiver.taints:
        return derived(receiver, *arguments[1:2], keywords.get("default", UNKNOWN))
    if name == "get" and not receiver.taints:
        # a look-up in what is clean: the key chooses, but what comes out is not its text
        return derived(*arguments[1:2], keywords.get("default", UNKNOWN))
    if name == "format":
        return _formatted(receiver, arguments, keywords)
    if name == "join" and len(arguments) == 1:
        return _joined(receiver, arguments[0])
    if name == "replace" and len(arguments) >= 2:
        return _replaced(receiver, arguments)
    if name in ("encode", "decode"):
        return receiver
    if name in _SAME_TEXT:
        return receiver._replace(text=None, constants=None)
    if name in ("split", "rsplit", "splitlines", "partition", "rpartition"):
        return derived(receiver)._replace(shape="list")
    if name == "resolve" and receiver.kind == "pathlib.Path":
        return derived(receiver, marks=("resolved",))._replace(kind="pathlib.Path")
    if name in ("joinpath", "with_name", "with_suffix") and receiver.kind == "pathlib.Path":
        return _path_joined((receiver, *arguments))._replace(kind="pathlib.Path")
    if name in ("items", "values", "keys", "copy", "getvalue", "getlist", "get_all"):
        return _viewed(name, receiver)
    return None


def _viewed(name: str, receiver: Value) -> Value:
    if name == "copy":
        return receiver
    if receiver.shape == "dict" and receiver.items is not None:
        if name == "keys":
            return Value(taints=derived(*(k for k in receiver.items if isinstance(k, Value))).taints, shape="list")
        if name == "values":
            return container("list", dict(enumerate(receiver.items.values())), receiver)
        pairs = {number: container("list", {0: literal(key), 1: value})
                 for number, (key, value) in enumerate(receiver.items.items())}  # fmt: skip
        return container("list", pairs, receiver)
    return derived(receiver)._replace(shape="list" if name not in ("getvalue", "items") else "")


def _formatted(receiver: Value, arguments: Sequence[Value], keywords: Mapping[str, Value]) -> Value:
    every = [*arguments, *keywords.values()]
    template = receiver.constant
    if not isinstance(template, str) or receiver.taints:
        return derived(receiver, *every)
    import string

    parts: list[Value] = []
    try:
        for number, (before, name, _, _) in enumerate(string.Formatter().parse(template)):
            parts.append(literal(before))
            if name is None:
                continue
            head = name.split(".")[0].split("[")[0]
            given = arguments[int(head or number)] if not head or head.isdigit() else keywords[head]
            parts.append(given if head == name else derived(given))
    except (ValueError, LookupError):
        return derived(receiver, *every)
    return concatenated(parts)


def _joined(separator: Value, several: Value) -> Value:
    if several.items is not None and several.shape == "list" and set(several.items) == set(range(len(several.items))):
        parts: list[Value] = []
        for number in range(len(several.items)):
            parts += [separator, several.items[number]] if number else [several.items[number]]
        return concatenated(parts)
    return derived(separator, several)


def _replaced(receiver: Value, arguments: Sequence[Value]) -> Value:
    old, new = arguments[0].constant, arguments[1].constant
    template = receiver.constant
    if isinstance(template, str) and not receiver.taints and isinstance(old, str) and old:
        parts: list[Value] = []  # `"https://api.example/{name}".replace("{name}", name)`: a template that is filled
        for piece in template.split(old):
            parts += [literal(piece), arguments[1]]
        return concatenated(parts[:-1])
    result = derived(receiver, *arguments[1:2])
    if isinstance(old, str) and isinstance(new, str) and old:
        gone = old not in new or (old in _QUOTES and new == old * 2)
        if gone:
            return derived(result, marks=(f"without:{old}",))
    return result


def _folded_method(name: str, receiver: Value, arguments: Sequence[Value]) -> Value | None:
    """A string's method on constants."""
    if name not in _SAME_TEXT | {
        "replace",
        "startswith",
        "endswith",
        "split",
        "removeprefix",
        "removesuffix",
        "find",
    }:
        return None
    if receiver.constants is None or any(a.constant is None for a in arguments):
        return None
    results: list[object] = []
    for constant in receiver.constants:
        if not isinstance(constant, str):
            return None
        try:
            results.append(getattr(constant, name)(*(a.constant for a in arguments)))
        except (TypeError, ValueError):
            return None
    if len(results) == 1 and isinstance(results[0], list):
        return container("list", {n: literal(part) for n, part in enumerate(results[0])})
    if any(isinstance(result, list) for result in results) or len(results) > MOST_CONSTANTS:
        return None
    return Value(
        constants=tuple(results), text=results[0] if len(results) == 1 and isinstance(results[0], str) else None
    )


def substituted(arguments: Sequence[Value]) -> Value:
    """`re.sub("[^a-z]", "", x)` leaves the characters that the pattern names."""
    pattern = arguments[0].constant
    if isinstance(pattern, str) and pattern.startswith("[^") and pattern.rstrip("+*")[-1:] == "]":
        kept = pattern[2 : pattern.rindex("]")]
        if not set(kept) & set("'\"<>;&|`$/\\\n ") and "\\s" not in kept and "\\S" not in kept \
                and "\\W" not in kept and "\\D" not in kept:  # fmt: skip
            return without_taint(arguments[2])
    if isinstance(pattern, str) and ("\\r" in pattern or "\\n" in pattern or "\\x00-\\x1f" in pattern):
        return derived(arguments[2], marks=("without:\n", "without:\r"))
    return derived(arguments[2])
