"""The rule text-signature-compare."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence

from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module, parameters
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.security.signatures.digests import (
    form_of,
    from_request,
    is_shared_secret,
    is_signature,
    may_be_none,
)
from swarm.rules.writing.splices import is_atom

# what else catches the error that `encode` raises
_CAUGHT = ("TypeError", "UnicodeError", "UnicodeEncodeError", "ValueError")
_COMPARING = ("hmac.compare_digest", "secrets.compare_digest")


class TextSignatureCompare(Rule):
    """A signature is compared with `compare_digest` as text, which raises TypeError where a sent one is not ASCII:
    anybody can make the service answer 500 by one letter in a header.

    The mend compares bytes. What matched before matches still; a header that is not ASCII, and one that was not
    sent, is refused like any other wrong signature.
    """

    id = "text-signature-compare"
    category = "security"
    severity = "low"
    cwe = ("CWE-248",)
    title = "A signature that is not ASCII breaks the check"
    sources = ("docs.python.org: hmac.compare_digest",)
    bad = (
        Example(
            "import hashlib\nimport hmac\n\nfrom flask import request\n\n\ndef is_good(secret: bytes) -> bool:\n"
            '    expected = "sha256=" + hmac.new(secret, request.get_data(), hashlib.sha256).hexdigest()\n'
            '    return hmac.compare_digest(expected, request.headers.get("X-Sig"))\n',
            "import hashlib\nimport hmac\n\nfrom flask import request\n\n\ndef is_good(secret: bytes) -> bool:\n"
            '    expected = "sha256=" + hmac.new(secret, request.get_data(), hashlib.sha256).hexdigest()\n'
            '    return hmac.compare_digest(expected.encode(), (request.headers.get("X-Sig") or "").encode())\n',
            "flask",
        ),
        Example(
            "import hmac\n\n\ndef is_good(key: bytes, body: bytes, sent: str) -> bool:\n"
            '    return hmac.compare_digest("v1=" + hmac.new(key, body, "sha256").hexdigest(), sent)\n',
            "import hmac\n\n\ndef is_good(key: bytes, body: bytes, sent: str) -> bool:\n"
            '    return hmac.compare_digest(\n        ("v1=" + hmac.new(key, body, "sha256").hexdigest()).encode(), '
            "sent.encode()\n    )\n",
        ),
    )
    good = (
        "import hmac\n\n\ndef is_good(key: bytes, body: bytes, sent: str) -> bool:\n"
        '    return hmac.compare_digest(hmac.new(key, body, "sha256").hexdigest().encode(), sent.encode())\n',
        "import hmac\n\n\ndef is_good(key: bytes, body: bytes, sent: bytes) -> bool:\n"
        "    return hmac.compare_digest(hmac.digest(key, body, 'sha256'), sent)\n",
        "import hmac\n\n\ndef same(one: str, other: str) -> bool:\n    return hmac.compare_digest(one, other)\n",
        "import hmac\n\n\ndef is_good(key: bytes, body: bytes, sent: str) -> bool:\n    try:\n"
        '        return hmac.compare_digest(hmac.new(key, body, "sha256").hexdigest(), sent)\n'
        "    except TypeError:\n        return False\n",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every compare_digest of a text that was sent with one that is made here."""
        for module in index.tree.modules.values():
            for call in _calls(index, module):
                text = " ".join(module.segment(call).split())
                yield self.finding(
                    module,
                    call,
                    evidence=f"`{text}` raises TypeError for text that is not ASCII",
                    recommendation="Compare bytes: .encode() on both sides.",
                    anchor=text,
                    mendable=True,
                )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """`.encode()` on both sides."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        edits = [
            Edit(*module.span(side), _as_bytes(index, module, side))
            for call in _calls(index, module)
            if call.lineno in lines
            for side in call.args
        ]
        if not edits:
            return None
        return Mend(
            "Compare signatures as bytes",
            "hmac.compare_digest raises TypeError on text outside ASCII, which any sender can put into a header; "
            "bytes are compared without an error, and a wrong signature is refused.",
            (edited(module, edits),),
        )


def _calls(index: Index, module: Module) -> Iterator[ast.Call]:
    for call in module.nodes(ast.Call):
        if module.resolve(call.func) not in _COMPARING or len(call.args) != 2 or _is_caught(module, call):
            continue
        if any(_is_ascii_alone(module, side) for side in call.args):
            yield call
            continue
        made = [is_signature(index, module, side) for side in call.args]
        kept = [is_shared_secret(module, side) for side in call.args]
        forms = {form_of(index, module, side) for side in call.args} - {"unknown"}
        is_sent = [from_request(module, side) for side in call.args]
        is_check = (any(made) and not all(made)) or kept == [not sent for sent in is_sent]
        if is_check and forms == {"text"}:
            yield call


def _is_ascii_alone(module: Module, side: ast.expr) -> bool:
    """`sent.encode("ascii")`: it raises UnicodeEncodeError for what compare_digest would only refuse."""
    if not isinstance(side, ast.Call) or not isinstance(side.func, ast.Attribute) or side.func.attr != "encode":
        return False
    if (
        len(side.args) != 1
        or side.keywords
        or unparsed(side.args[0]).strip("'\"").lower() not in ("ascii", "us-ascii")
    ):
        return False
    sent = side.func.value
    function = module.enclosing_function(side)
    is_given = isinstance(sent, ast.Name) and function is not None and any(
        argument.arg == sent.id for argument in parameters(function)
    )  # fmt: skip
    return is_given or from_request(module, sent)


def _is_caught(module: Module, call: ast.Call) -> bool:
    """Whether a `try` of the function catches what it raises."""
    for around in module.ancestors(call):
        if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef):
            return False
        if isinstance(around, ast.Try):
            caught = [unparsed(handler.type) if handler.type else "Exception" for handler in around.handlers]
            if any(name.endswith("Exception") or any(c in name for c in _CAUGHT) for name in caught):
                return True
    return False


def _as_bytes(index: Index, module: Module, side: ast.expr) -> str:
    text = module.segment(side)
    if form_of(index, module, side) == "bytes":
        if _is_ascii_alone(module, side) and isinstance(side, ast.Call):
            return module.segment(side.func) + "()"
        return text
    if text.endswith(".decode()"):
        return text.removesuffix(".decode()")
    optional = may_be_none(module, side) and not is_signature(index, module, side)
    if optional and not is_shared_secret(module, side):
        return f'({text} or "").encode()'
    return f"{text}.encode()" if is_atom(module, side) else f"({text}).encode()"
