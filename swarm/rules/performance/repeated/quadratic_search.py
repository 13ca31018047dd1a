"""A list that is searched from its beginning for every row of another."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from swarm.analysis.databases.handed_statements import given_for
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import parameters
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.facts.request_code import COMPREHENSIONS, is_spelt_out, loops_around, request_functions
from swarm.rules.rule import Example, Rule


class QuadraticSearch(Rule):
    """A request's loop looks for each of its rows in a list, from the list's beginning.

    Why: the time grows with the product of both lengths; 2,000 rows in 2,000 are four million comparisons, about
    0.2 s during which an event loop stands still. Example: `for order in orders: next(u for u in users if u.id ==
    order.user)`, or `if row in seen` where `seen` is a list that grows.

    What to do: a dict by key (`{user.id: user for user in users}`) or a set before the loop. No patch is written:
    whether keys can be hashed and are unique, the code does not show.
    """

    id = "quadratic-search"
    category = "performance"
    severity = "low"
    title = "A list is searched once for every row of another"
    sources = ("https://wiki.python.org/moin/TimeComplexity",)
    bad = (
        Example(
            """from fastapi import FastAPI

app = FastAPI()


@app.post("/join")
async def join(orders: list[dict], users: list[dict]):
    found = []
    for order in orders:
        for user in users:
            if user["id"] == order["user"]:
                found.append((order, user))
    return found
""",
            None,
            "fastapi",
        ),
        Example(
            """from flask import Flask, request

app = Flask(__name__)


@app.post("/new")
def new():
    seen = []
    for row in request.get_json():
        if row["id"] not in seen:
            seen.append(row["id"])
    return seen
""",
            None,
            "flask",
        ),
        Example(
            """from flask import Flask, request

app = Flask(__name__)


@app.post("/hook")
def hook():
    body = request.get_json()
    known = [row["id"] for row in body["known"]]
    return [row for row in body["rows"] if row["id"] not in known]
""",
            None,
            "flask",
        ),
    )
    good = (
        """from fastapi import FastAPI

app = FastAPI()


@app.post("/join")
async def join(orders: list[dict], users: list[dict]):
    by_id = {user["id"]: user for user in users}
    seen = set()
    for order in orders:
        seen.add(order["user"])
        for line in order["lines"]:
            if line["kind"] == order["kind"]:
                seen.add(line["sku"])
        for state in ("open", "paid"):
            if state == order["state"]:
                seen.add(state)
        if order["kind"] in ["a", "b"]:
            continue
    return [by_id[order["user"]] for order in orders if order["user"] in by_id]
""",
        """import enum

from flask import Flask, request

app = Flask(__name__)


class Kind(enum.Enum):
    ORDER = "order"
    REFUND = "refund"


@app.post("/hook")
def hook():
    kinds = [kind.value for kind in Kind]
    return [row for row in request.get_json() if row["kind"] in kinds]
""",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Inner loops and generators that compare with the outer row, and `in` on a list that the loop grows."""
        for function in request_functions(index):
            for node, what in [
                *_inner_loops(index, function), *_memberships(index, function), *_scans(index, function),
                *_by_others(index, function),
            ]:  # fmt: skip
                yield self.finding(
                    function.module, node,
                    evidence=f"{function.qualname} searches {what} from its beginning in each turn of a loop",
                    recommendation="Make a dict by key, or a set, before the loop",
                    anchor=f"{function.qualname}:{what}",
                    mendable=False,
                )  # fmt: skip


def _inner_loops(index: Index, function: Function) -> Iterator[tuple[ast.AST, str]]:
    module = function.module
    for node in index.own_of(function, ast.For, *COMPREHENSIONS):
        if isinstance(node, ast.For):
            target, over = node.target, node.iter
            first = node.body[0] if len(node.body) == 1 else None
            tests = [first.test] if isinstance(first, ast.If) and not first.orelse else []
        elif isinstance(node, COMPREHENSIONS) and len(node.generators) == 1:
            target, over = node.generators[0].target, node.generators[0].iter
            tests = list(node.generators[0].ifs)
        else:
            continue
        around = next(iter(loops_around(module, node)), None)
        outer = _targets(around)
        plain = over.value if isinstance(over, ast.Subscript) and isinstance(over.slice, ast.Constant) else over
        if not outer or not isinstance(plain, ast.Name | ast.Attribute) or _names(over) & outer:
            continue
        if _over_is_fixed(over):
            continue
        if any(_joins(test, _bound(target), outer) for test in tests):
            yield node, unparsed(over)


def _over_is_fixed(over: ast.expr) -> bool:
    """Whether what is searched is a constant of the module, written in capitals: those are short."""
    return unparsed(over).rsplit(".", 1)[-1].isupper()


def _joins(test: ast.expr, inner: set[str], outer: set[str]) -> bool:
    """Whether a test holds `inner… == outer…`."""
    for part in walk(test):
        if isinstance(part, ast.Compare) and len(part.ops) == 1 and isinstance(part.ops[0], ast.Eq):
            sides = _names(part.left), _names(part.comparators[0])
            if any(one & inner and other & outer and not other & inner for one, other in (sides, sides[::-1])):
                return True
    return False


def _memberships(index: Index, function: Function) -> Iterator[tuple[ast.AST, str]]:
    asked = [one for one in index.own_of(function, ast.Compare) if isinstance(one.ops[0], ast.In | ast.NotIn)]
    if not asked:
        return
    lists = {
        node.targets[0].id for node in index.own_of(function, ast.Assign)
        if isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.List)
    }  # fmt: skip
    made = _made_lists(index, function)
    for node in asked:
        name = node.comparators[0]
        if not isinstance(name, ast.Name) or name.id not in lists | made:
            continue
        turn = {part for loop in loops_around(function.module, node) for part in _targets(loop)}
        if name.id in made and name.id not in turn and _names(node.left) & turn:
            yield node, name.id
            continue
        for loop in loops_around(function.module, node):
            if any(_begins(part, name.id) for part in walk(loop)):
                break  # a new list in each turn
            if any(_grows(part, name.id) for part in walk(loop)):
                if not is_spelt_out(index, function, loop):
                    yield node, name.id
                break


def _made_lists(index: Index, function: Function) -> set[str]:
    """Names that stand, once and outside of loops, for a list made of something that the code does not spell out."""
    found: set[str] = set()
    for name, values in index.kinds.bindings(function.node).items():
        made = values[0] if len(values) == 1 else None
        match made:
            case ast.ListComp(generators=[first, *_]):
                over = first.iter
            case ast.Call(func=ast.Name(id="list"), args=[ast.Call(func=ast.Name(id="map"), args=[_, over])]):
                pass
            case _:
                continue
        if any(loops_around(function.module, made)):
            continue
        spelt_out = isinstance(over, ast.List | ast.Tuple | ast.Constant) or _over_is_fixed(over)
        if not spelt_out and not _is_class(index, function, over):
            found.add(name)
    return found


def _is_class(index: Index, function: Function, over: ast.expr) -> bool:
    """Whether what is gone through is a class, an enumeration: its members are few."""
    dotted = index.resolve(function.module, over) or ""
    return dotted in index.classes or dotted.rpartition(".")[2][:1].isupper()


def _scans(index: Index, function: Function) -> Iterator[tuple[ast.AST, str]]:
    """`names.count(name)`, `names.index(name)` in a loop, of a list that the function made before it."""
    lists = _made_lists(index, function)
    for call in index.calls(function):
        match call:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="count" | "index"), args=[asked]):
                loop = next(iter(loops_around(function.module, call)), None)
                turn = _targets(loop)
                if loop is not None and _goes_through(loop) == name and unparsed(asked) in turn:
                    yield call, name  # for each of its own items
                elif name in lists and _names(asked) & turn and name not in turn:
                    yield call, name


def _by_others(index: Index, function: Function) -> Iterator[tuple[ast.AST, str]]:
    """Calls in a loop whose function looks through the list that it is given for what the turn is about."""
    module = function.module
    in_loops = bool(index.own_of(function, ast.For, ast.AsyncFor, *COMPREHENSIONS))
    for call in index.calls(function) if in_loops else ():
        loop = next(iter(loops_around(module, call)), None)
        turn = _targets(loop)
        callee = index.resolve_call(module, call) if loop is not None and turn else None
        searched = _searched(index, callee) if callee is not None else ""
        over = given_for(callee, call, searched) if callee is not None and searched else None
        plain = over.value if isinstance(over, ast.Subscript) and isinstance(over.slice, ast.Constant) else over
        if over is None or not isinstance(plain, ast.Name | ast.Attribute) or _names(over) & turn:
            continue
        asks = any(_names(value) & turn for value in [*call.args, *(word.value for word in call.keywords)])
        looked_through = ast.For(ast.Name("_", ast.Store()), over, [], [])
        if asks and not _over_is_fixed(over) and not is_spelt_out(index, function, looked_through):
            yield call, unparsed(over)


def _searched(index: Index, function: Function) -> str:
    """The parameter whose items a function compares with another parameter until one fits: `next(… for … if …)`."""
    own = {argument.arg for argument in parameters(function.node)} - {"self", "cls"}
    for node in index.own_of(function, ast.For, *COMPREHENSIONS):
        if any(loops_around(function.module, node)):
            continue
        if isinstance(node, ast.For):
            first = node.body[0]
            tests = [first.test] if isinstance(first, ast.If) and isinstance(first.body[-1], ast.Return) else []
            target, over = node.target, node.iter
        else:
            made = node.generators[0]  # type: ignore[attr-defined]
            target, over, tests = made.target, made.iter, made.ifs
        if isinstance(over, ast.Name) and over.id in own \
                and any(_joins(test, _bound(target), own - {over.id}) for test in tests):  # fmt: skip
            return over.id
    return ""


def _goes_through(loop: ast.AST) -> str:
    """The name of what a loop goes through, in whole."""
    over = loop.iter if isinstance(loop, ast.For) else None
    if isinstance(loop, COMPREHENSIONS) and len(loop.generators) == 1:
        over = loop.generators[0].iter
    return over.id if isinstance(over, ast.Name) else ""


def _grows(node: ast.AST, name: str) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr="append" | "extend" | "insert")):
            return owner == name
        case ast.AugAssign(target=ast.Name(id=owner), op=ast.Add()):
            return owner == name
    return False


def _begins(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)


def _targets(loop: ast.AST | None) -> set[str]:
    if isinstance(loop, ast.For | ast.AsyncFor):
        return _bound(loop.target)
    if isinstance(loop, COMPREHENSIONS):
        return {name for generator in loop.generators for name in _bound(generator.target)}
    return set()


def _bound(target: ast.expr) -> set[str]:
    return {part.id for part in walk(target) if isinstance(part, ast.Name)}


def _names(expression: ast.AST) -> set[str]:
    return {part.id for part in walk(expression) if isinstance(part, ast.Name)}
