"""The rule missing-freshness."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from swarm.analysis.edits import Edit
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.reading.keyed import keyed_read
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.security.signatures.digests import assigned
from swarm.rules.security.signatures.signature_of_parsed_body import handed_in
from swarm.rules.writing.placing import bound_names

_KEYED = ("hmac.new", "hmac.digest", "hmac.HMAC")
_STAMP = re.compile(r"^(t|ts|x[-_].*timestamp|.*timestamp.*|.*[-_]ts|webhook[-_]timestamp)$", re.IGNORECASE)
_CLOCK = re.compile(
    r"\b(time\.time(_ns)?|datetime\.now|datetime\.utcnow|datetime\.datetime\.now|utcnow|now_s?|timezone\.now)\("
)
_DEPTH = 3
_MOMENT = re.compile(r"stamp|time|when|sent|\bts\b|\bt\b", re.IGNORECASE)
_AGE = re.compile(r"tolerance|max_age|too_old|fresh|stale|expired|age_s|drift|skew", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Stamped:
    function: Function
    stamp: ast.expr
    source: str
    verdict: ast.Return | None


class MissingFreshness(Rule):
    """The sender signs a timestamp, and nobody looks how old it is: who once saw a request can send it for ever.

    The mend refuses a timestamp more than `SIGNATURE_TOLERANCE_S` seconds away from now (default 300, as Stripe, Svix
    and Standard Webhooks have it; 0 turns the check off), old or ahead, with the same answer as a wrong signature. It
    takes Unix seconds or milliseconds. It is written only where the check's function gives a verdict;
    elsewhere there is
    a recommendation.
    """

    id = "missing-freshness"
    category = "security"
    severity = "medium"
    cwe = ("CWE-294",)
    title = "The age of a signed timestamp is not checked"
    sources = ("Standard Webhooks: timestamps", "docs.stripe.com: replay attacks, tolerance of 300 s")
    bad = (
        Example(
            "import hashlib\nimport hmac\n\n\ndef is_valid(secret, header, body):\n"
            '    parts = dict(part.split("=", 1) for part in header.split(","))\n'
            '    signed = parts.get("t", "").encode() + b"." + body\n'
            "    digest = hmac.new(secret, signed, hashlib.sha256).hexdigest()\n"
            '    return hmac.compare_digest(digest, parts.get("v1", ""))\n',
            "import hashlib\nimport hmac\nimport os\nimport time\n\n"
            "# seconds that a signed timestamp may be away from now; 0 turns the check off\n"
            'SIGNATURE_TOLERANCE_S = float(os.getenv("SIGNATURE_TOLERANCE_S", "300"))\n\n\n'
            "def timestamp_is_fresh(timestamp):\n    if SIGNATURE_TOLERANCE_S <= 0:\n        return True\n    try:\n"
            "        sent_s = float(timestamp)\n    except (TypeError, ValueError):\n        return False\n"
            "    if sent_s > 1e11:  # milliseconds\n        sent_s /= 1000\n"
            "    return abs(time.time() - sent_s) <= SIGNATURE_TOLERANCE_S\n\n\n"
            "def is_valid(secret, header, body):\n"
            '    parts = dict(part.split("=", 1) for part in header.split(","))\n'
            '    signed = parts.get("t", "").encode() + b"." + body\n'
            "    digest = hmac.new(secret, signed, hashlib.sha256).hexdigest()\n"
            '    if not timestamp_is_fresh(parts.get("t", "")):\n        return False\n'
            '    return hmac.compare_digest(digest, parts.get("v1", ""))\n',
        ),
        # the function gives no verdict but raises in its own way: a recommendation only
        Example(
            "import hmac\n\n\ndef check(key, request, body):\n"
            "    signed = f\"{request.headers['X-Timestamp']}.{body}\".encode()\n"
            '    if not hmac.compare_digest(hmac.new(key, signed, "sha256").hexdigest(), request.headers["X-Sig"]):\n'
            '        raise PermissionError("signature")\n',
            None,
        ),
    )
    good = (
        "import hmac\nimport time\n\n\ndef is_valid(key, timestamp, body, sent):\n"
        "    if abs(time.time() - int(timestamp)) > 300:\n        return False\n"
        '    digest = hmac.new(key, timestamp.encode() + b"." + body, "sha256").hexdigest()\n'
        "    return hmac.compare_digest(digest, sent)\n",
        "import hmac\n\n\ndef is_valid(key, body, sent):\n"
        '    return hmac.compare_digest(hmac.new(key, body, "sha256").hexdigest(), sent)\n',
        # signs outgoing requests: the time is made here
        "import hmac\nimport time\n\n\ndef headers(key, body):\n    timestamp = str(int(time.time()))\n"
        '    digest = hmac.new(key, timestamp.encode() + body, "sha256").hexdigest()\n'
        '    return {"X-Sig": digest, "X-Timestamp": timestamp}\n',
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every signature check over a timestamp that nothing compares with the clock."""
        for module in index.tree.modules.values():
            for found in _unchecked(index, module):
                yield self.finding(
                    module,
                    found.stamp,
                    evidence=f"{found.function.qualname} signs `{found.source}` and compares it with no clock",
                    recommendation="Refuse a signed timestamp more than five minutes away from now.",
                    anchor=found.function.qualname,
                    mendable=found.verdict is not None,
                )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A check before the verdict."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        found = [f for f in _unchecked(index, module) if f.stamp.lineno in lines and f.verdict is not None]
        names = {"timestamp_is_fresh", "SIGNATURE_TOLERANCE_S"}
        if not found or names & bound_names(module):
            return None
        edits: list[Edit] = []
        for one in found:
            if one.verdict is not None:
                at, indent = module.span(one.verdict)[0], module.indent(one.verdict)
                check = f"if not timestamp_is_fresh({one.source}):\n{indent}    return False\n{indent}"
                edits.append(Edit(at, at, check))
        first = min(found, key=lambda one: one.function.node.lineno).function
        edits += _helper(module, first)
        for name in ("os", "time"):
            imported = module.insert_import(f"import {name}")
            if module.imports.get(name) != name and imported.text:
                edits.append(imported)
        return Mend(
            "Refuse signed timestamps that are not fresh",
            "A signed request is taken within SIGNATURE_TOLERANCE_S seconds of its timestamp (default 300; "
            "0 turns the "
            "check off); outside of that it is refused as a wrong signature is.",
            (edited(module, edits),),
        )


def _helper(module: Module, before: Function) -> list[Edit]:
    """The tolerance after the imports and the check before the function that asks it."""
    typed = before.node.returns is not None
    head = "def timestamp_is_fresh(timestamp: str) -> bool:" if typed else "def timestamp_is_fresh(timestamp):"
    lines = [
        "# seconds that a signed timestamp may be away from now; 0 turns the check off",
        'SIGNATURE_TOLERANCE_S = float(os.getenv("SIGNATURE_TOLERANCE_S", "300"))',
        "",
        "",
        head,
        "    if SIGNATURE_TOLERANCE_S <= 0:",
        "        return True",
        "    try:",
        "        sent_s = float(timestamp)",
        "    except (TypeError, ValueError):",
        "        return False",
        "    if sent_s > 1e11:  # milliseconds",
        "        sent_s /= 1000",
        "    return abs(time.time() - sent_s) <= SIGNATURE_TOLERANCE_S",
        "",
        "",
    ]
    outer: ast.AST = before.node
    for around in module.ancestors(before.node):
        if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            outer = around
    decorators = getattr(outer, "decorator_list", [])
    line = min([getattr(outer, "lineno", 1), *(decorator.lineno for decorator in decorators)])
    at = module.line_start(line)
    while line > 1 and module.line(line - 1).startswith("#"):
        line -= 1
        at = module.line_start(line)
    # a constant keeps one blank line from imports and two from code
    text = module.text[:at]
    gap = len(text) - len(text.rstrip("\n")) - 1
    previous = [node for node in module.tree.body if (node.end_lineno or 0) < line]
    after_import = bool(previous) and isinstance(previous[-1], ast.Import | ast.ImportFrom)
    if after_import and gap == 2:
        return [Edit(at - 1, at, "\n".join(lines) + "\n")]
    return [Edit(at, at, "\n".join(lines) + "\n")]


def _unchecked(index: Index, module: Module) -> Iterator[_Stamped]:
    # keyed digests, as `_KEYED` has them, are made in no other module
    for function in index.functions_of(module) if "hmac" in module.text else ():
        stamp = _stamp(index, module, function)
        if stamp is None:
            continue
        around = [function, *index.callers(function), *index.callees(function)]
        if any(_looks_at_age(other) for other in around):
            continue
        is_verdict = all(
            _is_verdict(node.value) for node in index.own_nodes(function) if isinstance(node, ast.Return)
        )
        verdict = function.node.body[-1]
        is_last = isinstance(verdict, ast.Return) and isinstance(verdict.value, ast.Compare | ast.Call)
        yield _Stamped(function, stamp, module.segment(stamp),
                       verdict if isinstance(verdict, ast.Return) and is_verdict and is_last else None)  # fmt: skip


def _looks_at_age(function: Function) -> bool:
    if _AGE.search(unparsed(function.node)):
        return True
    clocks = {target.id for node in walk(function.node) if isinstance(node, ast.Assign) and _reads_clock(node.value)
              for target in node.targets if isinstance(target, ast.Name)}  # fmt: skip
    for node in walk(function.node):
        if isinstance(node, ast.Compare) and _is_of_now(node, clocks):
            return True  # in a difference or not
        if isinstance(node, ast.Call):
            given: list[ast.AST] = [*node.args, *(keyword.value for keyword in node.keywords)]
            others = [part for part in given if not _is_of_now(part, clocks)]
            if len(others) < len(given) and any(_MOMENT.search(unparsed(part)) for part in others):
                return True  # `is_fresh(stamp, now)`
        if _is_age(node, clocks):
            return True
    return False


def _is_age(node: ast.AST, clocks: set[str]) -> bool:
    """Whether a time is taken from that of now; one of now from one of now is how long something took."""
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Sub):
        return False
    return [_is_of_now(side, clocks) for side in (node.left, node.right)].count(True) == 1


def _reads_clock(node: ast.AST) -> bool:
    return _CLOCK.search(unparsed(node)) is not None


def _is_of_now(node: ast.AST, clocks: set[str]) -> bool:
    """Whether the time of now stands in an expression."""
    return _reads_clock(node) or any(isinstance(part, ast.Name) and part.id in clocks for part in walk(node))


def _is_verdict(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Constant):
        return isinstance(value.value, bool)
    if isinstance(value, ast.Compare):
        return True
    return isinstance(value, ast.Call) and unparsed(value.func).endswith("compare_digest")


def _stamp(index: Index, module: Module, function: Function) -> ast.expr | None:
    """The timestamp in what is signed, where a signature that was sent is checked there; None where there is none."""
    if not any(
        isinstance(node, ast.Compare)
        or (isinstance(node, ast.Call) and unparsed(node.func).endswith("compare_digest"))
        for node in walk(function.node)
    ):
        return None
    for node in walk(function.node):
        if not isinstance(node, ast.Call) or (module.resolve(node.func) or "") not in _KEYED or len(node.args) < 2:
            continue
        found = _stamp_in(index, function, assigned(node.args[1], function.node), 0)
        if found is not None:
            return found
    return None


def _stamp_in(index: Index, function: Function, message: ast.expr, depth: int) -> ast.expr | None:
    """The timestamp in a message, or the name that holds it, by way of names that stand for parts of the message."""
    for inner in walk(message):
        named = _stamp_of(inner)
        if named is not None:
            return named
        if not isinstance(inner, ast.Name):
            continue
        value = assigned(inner, function.node)
        if value is not inner:
            if any(_stamp_of(part) is not None for part in walk(value)):
                return inner
            found = _stamp_in(index, function, value, depth + 1) if depth < _DEPTH else None
            if found is not None:
                return found
        given = [value for _, value in handed_in(index, function, inner.id)]
        if any(_stamp_of(part) for value in given for part in walk(value)):
            return inner
    return None


def _stamp_of(node: ast.AST) -> ast.expr | None:
    """`timestamp`, `parts["t"]`, `parts.get("t", "")`, `request.headers["X-Timestamp"]`."""
    if isinstance(node, ast.Name) and _STAMP.match(node.id) and len(node.id) > 1:
        return node
    _, key = keyed_read(node) or (None, None)
    if isinstance(key, ast.Constant) and isinstance(key.value, str) and _STAMP.match(key.value):
        return node if isinstance(node, ast.expr) else None
    return None
