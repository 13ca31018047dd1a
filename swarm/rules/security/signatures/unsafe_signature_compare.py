"""The rule unsafe-signature-compare."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence

from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module, parameters
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.security.signatures.digests import (
    assigned,
    form_of,
    from_request,
    is_condition_of_query,
    is_shared_secret,
    is_signature,
    may_be_none,
    may_be_unset,
)
from swarm.rules.security.signatures.signature_of_parsed_body import handed_in
from swarm.rules.writing.splices import before_definitions, free_name, is_atom

_HELPER = "_is_valid_secret"
_HELPER_TEXT = '''def {name}(sent, secret):
    """Whether a secret that was sent is the right one; the time that it takes tells nothing of how much is right."""
    return sent is not None and secret is not None and hmac.compare_digest(sent.encode(), secret.encode())
'''
_SEALS = re.compile(r"sig|mac\b|digest|expected|sent|candidate", re.IGNORECASE)
_LONGEST = 110  # columns that a comparison written out may reach
_NEEDS_NO_BRACKETS = (
    ast.If,
    ast.While,
    ast.BoolOp,
    ast.Return,
    ast.Assign,
    ast.Assert,
    ast.keyword,
    ast.Call,
)


class UnsafeSignatureCompare(Rule):
    """A signature or shared secret is compared with `==`: it stops at the first wrong character, and the time that
    takes tells an attacker how much of a guess is right.

    The mend compares with `hmac.compare_digest`, both sides as bytes, since text outside ASCII (any sender can put it
    into a header) would raise there. What was refused before is refused still: a missing header is no match. It never
    changes what is signed, nor the answer. Checksums of files, ETags and the like are left alone. A plain secret or
    token is a medium finding: it takes very many guesses over a network. Where it may not be set, or the line would
    grow long, a small function compares; an unset secret matches nothing.
    """

    id = "unsafe-signature-compare"
    category = "security"
    severity = "high"
    cwe = ("CWE-208",)
    title = "A signature is compared with =="
    sources = (
        "docs.python.org: hmac.compare_digest",
        "OWASP ASVS 5.0 11.2.4",
        "Standard Webhooks: verifying",
    )
    bad = (
        Example(
            "import hashlib\nimport hmac\n\n\ndef sign(body: bytes) -> str:\n"
            '    return hmac.new(b"k", body, hashlib.sha256).hexdigest()\n\n\n'
            "def is_good(body: bytes, signature: str | None) -> bool:\n    if not signature:\n        return False\n"
            "    expected = sign(body)\n    return signature == expected\n",
            "import hashlib\nimport hmac\n\n\ndef sign(body: bytes) -> str:\n"
            '    return hmac.new(b"k", body, hashlib.sha256).hexdigest()\n\n\n'
            "def is_good(body: bytes, signature: str | None) -> bool:\n    if not signature:\n        return False\n"
            "    expected = sign(body)\n    return hmac.compare_digest(signature.encode(), expected.encode())\n",
        ),
        Example(
            "import hashlib\nfrom hmac import new\n\nfrom flask import abort, request\n\n\ndef check(secret):\n"
            "    digest = new(secret, request.get_data(), hashlib.sha1).hexdigest()\n"
            '    if request.headers.get("X-Sig") != "sha1=" + digest:\n        abort(401)\n',
            "import hashlib\nimport hmac\nfrom hmac import new\n\nfrom flask import abort, request\n\n\n"
            "def check(secret):\n"
            "    digest = new(secret, request.get_data(), hashlib.sha1).hexdigest()\n"
            '    if not hmac.compare_digest(\n        (request.headers.get("X-Sig") or "").encode(), '
            '("sha1=" + digest).encode()\n    ):\n'
            "        abort(401)\n",
            "flask",
        ),
        Example(
            "import base64\nimport hmac\n\n\ndef good(key: bytes, body: bytes, sent: str) -> bool:\n"
            '    return base64.b64decode(sent) == hmac.new(key, body, "sha256").digest()\n',
            "import base64\nimport hmac\n\n\ndef good(key: bytes, body: bytes, sent: str) -> bool:\n"
            '    return hmac.compare_digest(base64.b64decode(sent), hmac.new(key, body, "sha256").digest())\n',
        ),
        Example(
            "import os\n\nfrom fastapi import FastAPI, HTTPException, Request\n\n"
            'HOOK_TOKEN = os.environ["HOOK_TOKEN"]\napp = FastAPI()\n\n\n@app.post("/hook")\n'
            'async def hook(request: Request):\n    token = request.headers.get("X-Token")\n'
            "    if token != HOOK_TOKEN:\n        raise HTTPException(401)\n    return {}\n",
            "import hmac\nimport os\n\nfrom fastapi import FastAPI, HTTPException, Request\n\n"
            'HOOK_TOKEN = os.environ["HOOK_TOKEN"]\napp = FastAPI()\n\n\n@app.post("/hook")\n'
            'async def hook(request: Request):\n    token = request.headers.get("X-Token")\n'
            "    if token is None or not hmac.compare_digest(token.encode(), HOOK_TOKEN.encode()):\n"
            "        raise HTTPException(401)\n    return {}\n",
            "fastapi",
        ),
    )
    good = (
        "import hashlib\n\n\ndef unchanged(data: bytes, checksum: str) -> bool:\n"
        "    return hashlib.sha256(data).hexdigest() == checksum\n",
        "import hmac\n\n\ndef good(key: bytes, body: bytes, sent: str) -> bool:\n"
        '    return hmac.compare_digest(sent, hmac.new(key, body, "sha256").hexdigest())\n',
        "import hmac\n\n\ndef sign(key: bytes, body: bytes) -> str:\n"
        '    return hmac.new(key, body, "sha256").hexdigest()\n\n\n'
        'def is_set(key: bytes) -> bool:\n    return sign(key, b"") != ""\n',
        "import hmac\n\nfrom sqlalchemy import select\n"
        "from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column\n"
        "\n\nclass Base(DeclarativeBase):\n    pass\n\n\nclass Lead(Base):\n    __tablename__ = 'leads'\n\n"
        "    id: Mapped[int] = mapped_column(primary_key=True)\n    email_digest: Mapped[str]\n\n\n"
        "def digest(key: bytes, email: str) -> str:\n"
        "    return hmac.new(key, email.encode(), 'sha256').hexdigest()\n\n\n"
        "def by_email(key: bytes, email: str):\n"
        "    return select(Lead).where(Lead.email_digest == digest(key, email))\n\n\n"
        "def of(rows, key: bytes, email: str):\n    return rows.filter(rows.c.email == digest(key, email))\n",
        'TOKEN_TYPE = "bearer"\n\n\ndef is_bearer(kind: str) -> bool:\n    return kind == TOKEN_TYPE\n',
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every comparison of a keyed digest, or of a sent value with a shared secret."""
        for module in index.tree.modules.values():
            for compare in _looked_up(index, module):
                function = index.enclosing(module, compare)
                text = " ".join(module.segment(compare).split())
                yield self.finding(
                    module,
                    compare,
                    title="A signature is looked up among several",
                    evidence=f"`{text}` takes longer the more of a signature is right",
                    recommendation="Compare with each by hmac.compare_digest, both sides as bytes.",
                    anchor=f"{function.qualname if function else 'module level'}: {text}",
                    mendable=False,
                )
            for compare in _comparisons(index, module):
                function = index.enclosing(module, compare)
                where = function.qualname if function else "module level"
                text = module.segment(compare)
                is_signed = any(is_signature(index, module, side) for side in _sides(compare))
                what = "signature" if is_signed else "secret"
                yield self.finding(
                    module,
                    compare,
                    title=f"A {what} is compared with {'!=' if isinstance(compare.ops[0], ast.NotEq) else '=='}",
                    severity=None if is_signed else "medium",
                    evidence=f"`{' '.join(text.split())}` takes longer the more of the {what} is right",
                    recommendation="Compare with hmac.compare_digest, both sides as bytes.",
                    anchor=f"{where}: {' '.join(text.split())}",
                    mendable=_replacement(index, module, compare) is not None,
                )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """hmac.compare_digest in each place."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        edits: list[Edit] = []
        helper = _HELPER if _HELPER in module.globals else free_name(module, _HELPER)
        needs_helper = False
        for compare in _comparisons(index, module):
            text = _replacement(index, module, compare) if compare.lineno in lines else None
            if text is None:
                continue
            if _wants_helper(index, module, compare, text):
                needs_helper = True
                text = _by_helper(module, compare, helper)
            edits.append(Edit(*module.span(compare), text))
        if not edits:
            return None
        if needs_helper and helper not in module.globals:
            edits.append(before_definitions(module, _HELPER_TEXT.format(name=helper)))
        imported = module.insert_import("import hmac")
        if module.imports.get("hmac") != "hmac" and imported.text:
            edits.append(imported)
        return Mend(
            "Compare signatures in constant time",
            "hmac.compare_digest takes the same time for every wrong signature. Both sides are bytes, since text "
            "outside ASCII would raise; a missing one is refused as before.",
            (edited(module, edits),),
        )


def _comparisons(index: Index, module: Module) -> Iterator[ast.Compare]:
    for compare in module.nodes(ast.Compare):
        if len(compare.ops) != 1 or not isinstance(compare.ops[0], ast.Eq | ast.NotEq):
            continue
        sides = _sides(compare)
        if any(isinstance(side, ast.Constant) for side in sides) or any(_is_number(side) for side in sides):
            continue
        is_check = any(is_signature(index, module, side) for side in sides) or _is_secret_check(index, module, sides)
        is_check = is_check or _is_handed_one(index, module, sides)
        if is_check and not is_condition_of_query(index, module, compare):
            yield compare


def _is_handed_one(index: Index, module: Module, sides: list[ast.expr]) -> bool:
    """`def same(ours, theirs): return ours == theirs`, where callers hand in a signature that they made."""
    function = index.enclosing(module, sides[0])
    if function is None or not all(isinstance(side, ast.Name) for side in sides):
        return False
    names = [side.id for side in sides if isinstance(side, ast.Name)]
    for loop in (part for part in walk(function.node) if isinstance(part, ast.comprehension | ast.For)):
        # `for a, b in zip(ours, theirs)`: letter by letter
        pairs = loop.iter.args if isinstance(loop.iter, ast.Call) and unparsed(loop.iter.func) == "zip" else []
        if isinstance(loop.target, ast.Tuple) and {getattr(one, "id", "") for one in loop.target.elts} == set(names):
            names = [given.id for given in pairs if isinstance(given, ast.Name)] or names
    if not set(names) <= {argument.arg for argument in parameters(function.node)}:
        return False
    return any(is_signature(index, caller.module, given) for name in names
               for caller, given in handed_in(index, function, name))  # fmt: skip


def _looked_up(index: Index, module: Module) -> Iterator[ast.Compare]:
    """`sent not in (made_with_new, made_with_old)`, `sent in list(candidates(body))`."""
    for compare in module.nodes(ast.Compare):
        if len(compare.ops) != 1 or not isinstance(compare.ops[0], ast.In | ast.NotIn):
            continue
        if not _SEALS.search(module.segment(compare)) and not from_request(module, compare.left):
            continue
        several = assigned(compare.comparators[0], module.enclosing_function(compare))
        made = several.elts if isinstance(several, ast.Tuple | ast.List | ast.Set) else [several]
        is_made = isinstance(several, ast.Tuple | ast.List | ast.Set | ast.Call | ast.ListComp | ast.SetComp)
        if not is_made or not any(is_signature(index, module, one) for one in made):
            continue
        if not is_signature(index, module, compare.left) and not is_condition_of_query(index, module, compare):
            yield compare


def _sides(compare: ast.Compare) -> list[ast.expr]:
    return [compare.left, compare.comparators[0]]


def _wants_helper(index: Index, module: Module, compare: ast.Compare, text: str) -> bool:
    """Whether plain secrets are compared, of which one may not be set, or the line would become long."""
    sides = _sides(compare)
    if any(is_signature(index, module, side) or form_of(index, module, side) == "bytes" for side in sides):
        return False
    if any(is_shared_secret(module, side) and may_be_unset(index, module, side) for side in sides):
        return True
    if any(_was_sent(index, module, side) and not from_request(module, side) for side in sides):
        return True  # what another function reads may be None
    start, end = module.span(compare)
    return len(module.line(compare.lineno)) - (end - start) + len(text) > _LONGEST


def _by_helper(module: Module, compare: ast.Compare, helper: str) -> str:
    sent, secret = (
        module.segment(side) for side in sorted(_sides(compare), key=lambda s: is_shared_secret(module, s))
    )
    call = f"{helper}({sent}, {secret})"
    return f"not {call}" if isinstance(compare.ops[0], ast.NotEq) else call


def _is_number(side: ast.expr) -> bool:
    return isinstance(side, ast.Call) and isinstance(side.func, ast.Name) and side.func.id in ("len", "int", "type")


def _is_secret_check(index: Index, module: Module, sides: list[ast.expr]) -> bool:
    one, other = sides
    return (is_shared_secret(module, one) and _was_sent(index, module, other)) or (
        is_shared_secret(module, other) and _was_sent(index, module, one)
    )


def _was_sent(index: Index, module: Module, side: ast.expr) -> bool:
    """Whether the value was sent, or a function of the target's own reads it from the request."""
    if from_request(module, side):
        return True
    value = assigned(side, module.enclosing_function(side))
    called = index.resolve_call(module, value) if isinstance(value, ast.Call) else None
    if called is None:
        return False
    returned = [node.value for node in index.own_of(called, ast.Return) if node.value]
    return any(from_request(called.module, value) for value in returned)


def _replacement(index: Index, module: Module, compare: ast.Compare) -> str | None:
    """The call in place of the comparison, or None where the forms of both sides are not known."""
    sides = [compare.left, compare.comparators[0]]
    forms = [form_of(index, module, side) for side in sides]
    known = set(forms) - {"unknown"}
    if len(known) != 1 and not (not known and _is_secret_check(index, module, sides)):
        return None
    is_text = known != {"bytes"}
    signed = any(is_signature(index, module, side) for side in sides)
    guard = ""
    texts = []
    for side in sides:
        text = module.segment(side)
        optional = may_be_none(module, side) and not is_signature(index, module, side)
        if optional and not is_shared_secret(module, side) and not signed:
            if not isinstance(side, ast.Name):
                return None  # an unset secret would match a header that was not sent
            guard = side.id
            optional = False
        if is_shared_secret(module, side) and not signed:
            optional = False
        empty = '""' if is_text else 'b""'
        if optional:
            text = f"({text} or {empty})"
        elif is_text and not is_atom(module, side):
            text = f"({text})"
        if is_text and text.endswith(".decode()"):
            texts.append(text.removesuffix(".decode()"))
        else:
            texts.append(f"{text}.encode()" if is_text else text)
    is_not = isinstance(compare.ops[0], ast.NotEq)
    call = f"hmac.compare_digest({texts[0]}, {texts[1]})"
    call = f"not {call}" if is_not else call
    parent = module.parent(compare)
    if guard:
        call = f"{guard} is None or {call}" if is_not else f"{guard} is not None and {call}"
        return call if isinstance(parent, ast.If | ast.Return | ast.Assign) else f"({call})"
    if (
        is_not
        and not isinstance(parent, _NEEDS_NO_BRACKETS)
        and not (isinstance(parent, ast.UnaryOp) and isinstance(parent.op, ast.Not))
    ):
        return f"({call})"
    return call
