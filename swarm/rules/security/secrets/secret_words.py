"""What names a secret, and which texts are one: by form, by chance, or because a service works with any."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from functools import lru_cache

_SECRET = re.compile(
    r"(^|_)(secret|secrets|token|api_?key|apikey|password|passwd|pwd|pass|passphrase|private_?key|signing_?key"
    r"|access_?key|auth_?key|encryption_?key|hmac_?key|webhook_?key|admin_?key|master_?key|credential|jwt|bearer)s?($|_)"
    r"|[a-z](password|passwd|secret|apikey|secretkey|authkey|accesskey|authtoken|bottoken)s?($|_)",
    re.IGNORECASE,
)
_ABOUT_ONE = re.compile(
    r"_(url|uri|header|name|path|file|dir|type|kind|prefix|suffix|ttl|expir\w*|length|len|size|field|count|limit|id|env|var"
    r"|algorithm|alg|scheme|format|param|regex|pattern|hash|endpoint|host|lifetime|seconds|minutes|days|version|issuer"
    r"|backend|provider|source|store|storage|engine|driver|mode|enabled|required|manager|service|class|module|hasher|policy"
    r"|label|message|text|title|help|hint|error|status|key_id|mask|state|audience|placeholder|description|scope|role"
    r"|location|usage|model|budget|cost|route|topic|queue|column|table|action|event|reason|info|lexer|parser|start|begin|end|marker"
    r"|delimiter|pair|variant|reset|changed?|strength)s?$|^((?!api|access|auth|valid|bearer|admin|allowed|bot).)*tokens$",
    re.IGNORECASE,
)
_WORD_LIST = re.compile(
    r"passwords$|common|weak|banned|forbidden|disallowed|blocked|invalid|wrong|bad_", re.IGNORECASE
)
# what the service itself signs, seals or lets in by: it works with any text, so the one in the code opens it
_OWN_KEY = re.compile(
    r"(^|_)((app|flask|django|jwt|session|token|cookie|csrf|auth|signing|webhook|hmac|encryption)_?secret(_?key)?"
    r"|(jwt|signing|hmac|encryption)_?key"
    r"|(\w+_)?secret_?key(_\w+)?|secret|admin_?(password|token|secret|key))$",
    re.IGNORECASE,
)
KNOWN_FORMS = re.compile(
    r"^(AKIA[0-9A-Z]{16}|sk-[A-Za-z0-9_-]{20,}|(?!pk)[a-z]{2,3}_live_\w{16,}|gh[pousr]_\w{30,}|github_pat_\w{30,}"
    r"|xox[abprs]-[\w-]{20,}|whsec_\w{20,}|AIza[\w-]{30,}|glpat-[\w-]{18,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----\s+\S{16}|\d{8,10}:AA[\w-]{30,}|SG\.[\w-]{16,}\.[\w-]{16,}"
    r"|hf_[A-Za-z]{30,}|gsk_\w{40,}|shp(at|ss|ca)_[0-9a-f]{32}"
    r"|npm_\w{36}|dop_v1_[0-9a-f]{60,}|EAA[A-Za-z0-9]{80,}|https://hooks\.slack\.com/services/T\w+/B\w+/\w{16,}"
    r"|https://(ptb\.|canary\.)?discord(app)?\.com/api/webhooks/\d{15,}/[\w-]{40,})"
)
_PLACEHOLDER = re.compile(
    r"^(<.*>|\[.*\]|\.\.\.|\*+|x+|your[-_ ].*|none|null|todo|tbd|unset|placeholder|not[-_ ]set|n/?a"
    r"|\$\{.*\}|\{.*\}|%\(.*)$",
    re.IGNORECASE,
)
# no text that anybody would take for a key: nothing was set, or it says of what type the value is
_NOTHING = re.compile(
    r"^(<.*>|\[.*\]|\.+|\*+|x+|-+|none|null|nil|todo|tbd|unset|undefined|not[-_ ](set|configured)|n/?a"
    r"|\$\{.*\}|\{.*\}|%.*|str(ing)?|text|hidden|password|required|optional|masked|redacted|unknown|default|true|false|env|auto|jwt|bearer|missing"
    r"|\d+/(second|minute|hour|day)s?)$",
    re.IGNORECASE,
)
# somebody's key, where the value is nothing but chance: hexadecimal, or letters of both cases with digits
_ANY_KEY = re.compile(r"(^|_)\w*[a-z]_?key$", re.IGNORECASE)
_NO_SECRET_KEY = re.compile(
    r"public|cache|primary|foreign|partition|sort|row|site|idempotency|dedup|object|s3_key|storage", re.IGNORECASE
)
_RANDOM = re.compile(r"(\w{2,8}[-_])?([0-9a-f]{24,}|(?=.*\d.*\d.*\d)(?=.*[a-z])(?=.*[A-Z])[A-Za-z0-9+/_=-]{24,})")
_MADE_UP = re.compile(
    r"xxx|\.\.\.|example|your|placeholder|dummy|fake|sample|redacted|1234567890|abcdefgh", re.IGNORECASE
)
MOST_NAMES = 4096  # whose kind is remembered: code says the same ones again and again
_NO_KEY_BEGINS_SO = ("/", "./", "~", "$", "{", "[", "(", "^", "%", ".", "--")
_FILE = re.compile(
    r"[\w./\\-]+\.(pem|key|crt|cer|der|p8|p12|pfx|jks|pub|asc|json|ya?ml|toml|ini|cfg|conf|env|txt|db)", re.IGNORECASE
)
_APP_PASSWORD = re.compile(r"[a-z]{4}( [a-z]{4}){3}")  # as a large mail provider hands them out


@lru_cache(MOST_NAMES)
def is_secret_name(name: str) -> bool:
    """Whether a variable of this name holds a secret, not a thing about one (its URL, header, lifetime)."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.replace("-", "_"))  # a header's, a script's
    return bool(_SECRET.search(name)) and not _ABOUT_ONE.search(name) and not _WORD_LIST.search(name)


def is_placeholder(value: str) -> bool:
    """Whether a text only marks the place of a secret."""
    return bool(_PLACEHOLDER.match(value.strip()))


@lru_cache(MOST_NAMES)
def is_file_name(value: str) -> bool:
    """Whether a text says where a key lies, and is none."""
    return _FILE.fullmatch(value.strip()) is not None


@lru_cache(MOST_NAMES)
def is_own_key(name: str) -> bool:
    """Whether the service itself signs, seals or lets in by what has this name."""
    return bool(_OWN_KEY.search(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.replace("-", "_"))))


def opens(name: str, value: str) -> bool:
    """Whether a service works with this text for a key of its own, however much it looks like a word."""
    value = value.strip()
    if not is_own_key(name) or len(value) < 3 or _NOTHING.match(value) or " " in value or "://" in value:
        return False
    if is_file_name(value):
        return False
    if re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+", value) or value.startswith(("/", "./", "X-", "x-")):
        return False
    if len(_letters(value)) > 11 and _letters(value) in _letters(name):
        return False  # called by its name
    return _letters(value) not in (_letters(name), "authorization", "hssha", "rssha")


def has_known_form(value: str) -> bool:
    """Whether a text is of the form that a known issuer gives its keys, and is none made up for readers."""
    return KNOWN_FORMS.match(value) is not None and not _MADE_UP.search(value)


def is_secret(name: str, value: str) -> bool:
    """Whether a text that something of this name gets is a secret."""
    if is_placeholder(value):
        return False
    if _ANY_KEY.search(name) and not _NO_SECRET_KEY.search(name) and _RANDOM.fullmatch(value):
        return looks_secret(name, value)
    return (is_secret_name(name) and looks_secret(name, value)) or has_known_form(value)


def looks_secret(name: str, value: str) -> bool:
    """Whether a constant's value could be one: not a word, a sentence, a header, an address or its own name."""
    if _APP_PASSWORD.fullmatch(value):
        return True
    if len(value) < 8 or len(set(value)) < 4 or " " in value or value.startswith(_NO_KEY_BEGINS_SO):
        return False
    if (
        _FILE.fullmatch(value)
        or value.lower().startswith(("x-", "http", "urn:"))
        or "://" in value
        or re.search(r"[\n{}<>]", value)
    ):
        return False
    variables = re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+(,[A-Z0-9_]+)*", value)
    if variables and sum(letter.isdigit() for letter in value) < 6:
        return False  # names of variables
    words = re.fullmatch(r"[a-zA-Z]+([-_.:/,]([a-zA-Z]+\d{0,2}|v?\d{1,3}))*([-_.:/]?v?\d{1,2})?,?", value)
    if words and not re.search(r"[A-Z]\w*[a-z]\w*\d$", value) and not _changes_case(value):
        return False  # words, at most with a version: the key of a cache, the name of a file
    letters = _letters(value)
    if letters and letters in _letters(name) and not re.search(r"pass\w*\d{3}", value):
        return False
    if any(letter.isdigit() for letter in value):
        return True
    counts = Counter(value)
    entropy = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    return entropy > 3.3 and len(value) >= 12


def _changes_case(value: str) -> bool:
    """Whether letters change their case as nobody's words do."""
    pairs = [(a, b) for a, b in itertools.pairwise(value) if a.isalpha() and b.isalpha()]
    return len(value) >= 16 and sum(a.islower() != b.islower() for a, b in pairs) / len(value) > 0.35


def _letters(text: str) -> str:
    return re.sub(r"[^a-z]", "", text.lower())
