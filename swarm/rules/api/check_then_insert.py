"""A look for a row, and an insert where there was none: two deliveries at the same moment both insert."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from swarm.analysis.databases.handed_statements import handed_statement
from swarm.analysis.databases.models import last_name, mentioned, models_of
from swarm.analysis.databases.statements import SqlCall, sql_call
from swarm.analysis.effects import effects_cache
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.examples import check_then_insert as examples
from swarm.rules.facts.request_code import request_functions
from swarm.rules.rule import Rule

SAFE_WORDS = ("on conflict", "on_conflict", "or ignore", "or replace", "for update", "for_update", "on_duplicate",
              "integrityerror", "uniqueviolation", "begin immediate", "begin exclusive", "serializable", "advisory",
              "lock table", "get_lock", "nx=true", "setnx")  # fmt: skip
REDIS = ("redis.Redis", "redis.asyncio.Redis")
UPDATES = {("get", "set"), ("get", "setex"), ("hget", "hset")}
LOOKS = {"exists": ("set", "setex"), "get": ("set", "setex"), "sismember": ("sadd",)}  # and what then notes the key


class CheckThenInsert(Rule):
    """A function looks whether a row is there, and inserts it where it is not, with nothing that holds others off.

    Why: senders repeat deliveries, also while the first is being handled; both look, both find nothing, both
    insert: the event is handled twice. The same in memory with an `await` between the look and the note. Example:
    `if not db.execute("SELECT 1 FROM events WHERE id = ?", …).fetchone(): db.execute("INSERT INTO events …")`.

    What to do: a unique constraint, and insert first (`ON CONFLICT DO NOTHING`, or catch the violation): who
    inserted, handles. No patch is written: the constraint belongs to the tables.
    """

    id = "check-then-insert"
    category = "api"
    severity = "low"
    title = "Two deliveries at the same moment are both taken for the first"
    cwe = ("CWE-367",)
    sources = ("https://www.sqlite.org/lang_upsert.html",)
    bad = examples.BAD
    good = examples.GOOD

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Reads of a table that decide whether the same function inserts into it, and such looks into memory."""
        for function in request_functions(index):
            for update, key in _updates(index, function):
                yield self._of_update(function, update, key)
            found = [*_tables(index, function), *_keys(index, function), *_sets(index, function)]
            for node, what in found if found and not _is_safe(function) else ():
                yield self.finding(
                    function.module, node,
                    evidence=f"{function.qualname} looks into {what} first, and adds to it where nothing was found",
                    recommendation="Insert first under a unique constraint: who inserted, handles",
                    anchor=f"{function.qualname}:{what}",
                    mendable=False,
                )  # fmt: skip

    def _of_update(self, function: Function, node: ast.Call, key: str) -> Finding:
        return self.finding(
            function.module, node,
            evidence=f"{function.qualname} reads {key}, changes it and writes it back over what others wrote",
            recommendation="Change it where it lies: INCRBY, HINCRBY, a script, or WATCH and MULTI",
            anchor=f"{function.qualname}:{key}:update",
            title="A value is read, changed and written back",
            mendable=False,
        )  # fmt: skip


def _is_safe(function: Function) -> bool:
    """Whether words in the function say that the insert itself minds what is there."""
    source = unparsed(function.node).lower()
    return any(word in source for word in SAFE_WORDS)


@dataclass(frozen=True, slots=True)
class _Touch:
    """A call that reads or inserts into tables, by itself or in what it runs."""

    call: ast.Call
    read: frozenset[str]
    inserted: frozenset[str]


def _touches(index: Index, function: Function) -> Iterator[_Touch]:
    """The function's statements in order, and its calls of functions that only read or only insert."""
    cache = effects_cache(index)
    for call in index.calls(function):
        sql = sql_call(index, function.module, call)
        if sql is not None:
            yield _Touch(call, *_tables_of([sql]))
            continue
        callee = index.resolve_call(function.module, call)
        if callee is None:
            continue
        passed = handed_statement(index, function.module, call)
        if passed is not None:
            yield _Touch(call, *_tables_of([passed]))
            continue
        read, inserted = _tables_of([sql for _, effects in cache.reached(callee) for sql in effects.sql])
        if bool(read) != bool(inserted) and not _is_safe(callee):
            yield _Touch(call, read, inserted)


def _tables_of(statements: list[SqlCall]) -> tuple[frozenset[str], frozenset[str]]:
    empty: frozenset[str] = frozenset()
    if not statements:
        return empty, empty
    read = empty.union(*(sql.tables for sql in statements if sql.verb == "SELECT"))
    return read, empty.union(*(sql.tables for sql in statements if sql.verb == "INSERT"))


def _tables(index: Index, function: Function) -> Iterator[tuple[ast.AST, str]]:
    touched = list(_touches(index, function))
    told: set[str] = set()
    for looked in touched:
        for added in touched:
            shared = looked.read & added.inserted
            if not shared or added.call.lineno <= looked.call.lineno or shared & told:
                continue
            if _is_found(index, function, looked.call, added.call):
                continue  # what was found is changed, and added to the session again
            refused = _is_unique(index, function, looked.call)  # then the second only fails where it fills in a row
            if _decides(index, function, looked.call, added.call, only_leaving=refused):
                told |= shared
                yield added.call, f"the table {', '.join(sorted(shared))}"


def _is_unique(index: Index, function: Function, call: ast.Call) -> bool:
    """Whether a look asks a mapped class by one column that its table declares unique; the key it may be told by."""
    sql, module = sql_call(index, function.module, call), function.module
    callee = index.resolve_call(module, call) if sql is None else None
    if callee is not None:
        looks = [(one, asked.call) for one, effects in effects_cache(index).reached(callee)
                 for asked in effects.sql if asked.verb == "SELECT"]  # fmt: skip
        return bool(looks) and all(one is not function and _is_unique(index, one, asked) for one, asked in looks)
    if sql is None or sql.construct is None:
        return False
    models, columns = models_of(index), []
    model = next(iter(mentioned(models, module, sql.construct)), None)
    for node in walk(sql.construct):
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq):
            columns += [models.column(module, side) for side in (node.left, *node.comparators)]
        elif isinstance(node, ast.Call) and last_name(node.func) == "filter_by" and model is not None:
            columns += [(model, model.columns[k.arg]) for k in node.keywords if k.arg in model.columns]
    return any(found is not None and found[1].unique for found in columns)


def _keys(index: Index, function: Function) -> Iterator[tuple[ast.AST, str]]:
    """`if await store.exists(key): return`, and then `store.set(key, …)` in Redis."""
    module = function.module
    of_redis = [
        (call.func.attr, call) for call in index.calls(function)
        if isinstance(call.func, ast.Attribute) and call.args and index.kinds.of(module, call.func.value) in REDIS
    ]  # fmt: skip
    for asks, looked in of_redis:
        for adds, added in of_redis:
            same = unparsed(looked.args[0]) == unparsed(added.args[0]) and added.lineno > looked.lineno
            is_mark = adds == "sadd" or isinstance(added.args[-1], ast.Constant)  # else it is a cache
            if adds in LOOKS.get(asks, ()) and is_mark and same and _decides(index, function, looked, added):
                yield added, unparsed(added.args[0])


def _updates(index: Index, function: Function) -> Iterator[tuple[ast.Call, str]]:
    """`total = int(store.get(key)) + 1` and then `store.set(key, total)` in Redis, which could count by itself."""
    module = function.module
    of_redis = [
        (call.func.attr, call) for call in index.calls(function)
        if isinstance(call.func, ast.Attribute) and call.args and index.kinds.of(module, call.func.value) in REDIS
    ]  # fmt: skip
    source = unparsed(function.node).lower() if len(of_redis) > 1 else ""
    if not source or "watch(" in source or "lock" in source or _is_safe(function):
        return
    bound = index.kinds.bindings(function.node)
    for adds, added in of_redis:
        given = added.args[-1]
        for asks, looked in of_redis:
            same = unparsed(looked.args[0]) == unparsed(added.args[0]) and looked.lineno < added.lineno
            if not same or (asks, adds) not in UPDATES or len(added.args) < 2:
                continue
            taken = {
                name for name, values in bound.items() if any(part is looked for v in values for part in walk(v))
            }
            made = taken | _derived(index, function, taken, None)
            used = {part.id for part in walk(given) if isinstance(part, ast.Name)} & made
            from_look = all(
                any(part is looked or (isinstance(part, ast.Name) and part.id in made) for part in walk(value))
                for name in used for value in bound.get(name, [])
            )  # fmt: skip
            as_it_was = isinstance(given, ast.Name) and given.id in taken and _is_bare(bound[given.id][0], looked)
            if used and from_look and not as_it_was:
                yield added, unparsed(added.args[0])


def _is_bare(value: ast.AST, looked: ast.Call) -> bool:
    return value is looked or (isinstance(value, ast.Await) and value.value is looked)


def _is_found(index: Index, function: Function, read: ast.Call, written: ast.Call) -> bool:
    """Whether what is added is what the look gave."""
    bound = index.kinds.bindings(function.node)
    given = [bound.get(value.id, []) for value in written.args if isinstance(value, ast.Name)]
    return any(len(values) == 1 and any(part is read for part in walk(values[0])) for values in given)


def _decides(
    index: Index, function: Function, read: ast.Call, written: ast.Call, *, only_leaving: bool = False
) -> bool:
    """Whether what was read is asked in an `if` around the insert, or in one before it that leaves."""
    module = function.module
    statement = module.statement(read)
    names = {
        part.id for part in walk(statement) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    }  # fmt: skip
    cursor = read.func.value if isinstance(read.func, ast.Attribute) and isinstance(statement, ast.Expr) else None
    names |= _derived(index, function, names, cursor)

    def asks(test: ast.expr) -> bool:
        inside = any(part is read for part in walk(test))
        return (
            inside
            or any(isinstance(part, ast.Name) and part.id in names for part in walk(test))
            or (cursor is not None and _fetches(test, cursor))
        )

    for around in module.ancestors(written) if not only_leaving else ():
        if isinstance(around, ast.If) and asks(around.test):
            return True
    for node in index.own_nodes(function):
        if not isinstance(node, ast.If) or node.lineno >= written.lineno or not asks(node.test):
            continue
        if isinstance(node.body[-1], ast.Return | ast.Raise | ast.Continue):
            return True
    return False


def _derived(index: Index, function: Function, names: set[str], cursor: ast.expr | None) -> set[str]:
    """Variables that are made of those: `row = result.first()`, `(count,) = cursor.fetchone()`."""
    found: set[str] = set()
    for node in index.own_nodes(function):
        if not isinstance(node, ast.Assign | ast.NamedExpr):
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        made = any(isinstance(part, ast.Name) and part.id in names | found for part in walk(node.value))
        if made or (cursor is not None and _fetches(node.value, cursor)):
            found |= {part.id for part in walk(target) if isinstance(part, ast.Name)}
    return found


def _fetches(value: ast.expr, cursor: ast.expr) -> bool:
    return any(
        isinstance(part, ast.Attribute) and part.attr.startswith("fetch")
        and unparsed(part.value) == unparsed(cursor)
        for part in walk(value)
    )  # fmt: skip


def _sets(index: Index, function: Function) -> Iterator[tuple[ast.AST, str]]:
    """`if key in SEEN: return`, an await, and then `SEEN.add(key)`."""
    if not function.is_async:
        return
    module = function.module
    waits = [node.lineno for node in index.own_of(function, ast.Await)]
    for node in index.own_nodes(function):
        match node:
            case ast.Call(func=ast.Attribute(value=kept, attr="add" | "append"), args=[key]):
                pass
            case ast.Assign(targets=[ast.Subscript(value=kept, slice=key)]):
                pass
            case _:
                continue
        owner = unparsed(kept)
        if not owner.startswith("self.") and (
            not isinstance(kept, ast.Name) or owner in module.local_names(function.node)
        ):
            continue
        if any(isinstance(part.ctx, ast.Load) and unparsed(part.value) == owner
               for part in index.own_of(function, ast.Subscript)):  # fmt: skip
            continue  # what is kept is given back: a cache, which may well be filled twice
        for asked in index.own_nodes(function):
            if isinstance(asked, ast.Compare) and isinstance(asked.ops[0], ast.In | ast.NotIn) \
                    and unparsed(asked.comparators[0]) == owner and unparsed(asked.left) == unparsed(key) \
                    and any(asked.lineno < line <= node.lineno for line in waits) \
                    and not _is_locked(module, node):  # fmt: skip
                yield node, owner
                break


def _is_locked(module: Module, node: ast.AST) -> bool:
    around = [part for part in module.ancestors(node) if isinstance(part, ast.With | ast.AsyncWith)]
    return any("lock" in unparsed(item.context_expr).lower() for part in around for item in part.items)
