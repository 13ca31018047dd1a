"""A commit for every row of a loop: a write to the disk for each where one would do."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence

from swarm.analysis.databases.database_kinds import SESSIONS
from swarm.analysis.databases.handed_statements import given_for, handed_statement
from swarm.analysis.edits import Edit
from swarm.analysis.effects import effects_cache, sql_call
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.examples import commit_per_row as examples
from swarm.rules.facts.request_code import loops_around
from swarm.rules.queries.session_work import only_session_work
from swarm.rules.rule import Mend, Rule, edited
from swarm.rules.writing.splices import is_alone, whole_lines

WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")
# connections that commit at the end of a `with` of their own
COMMITTING = ("sqlite3.Connection", "psycopg2.Connection", "psycopg.Connection", "psycopg.AsyncConnection")


class CommitPerRow(Rule):
    """A loop runs one write and commits, row by row.

    Why: a commit waits for the disk (in SQLite twice); twenty rows are twenty waits, each holding the database's
    only write lock. Example: `for row in rows: conn.execute("INSERT …"); conn.commit()`.

    The mend: the commit moves behind the loop; the rows become one transaction. That changes one thing on purpose:
    if a row fails or the process dies halfway, none of the loop's rows is kept, where the first ones were. Only
    for loops whose body is nothing but writes and reads on that connection and plain assignments (with a SQLAlchemy
    session also decisions on what was read), the commit last; never where the loop awaits something else, calls
    out, or can be left early.
    """

    id = "commit-per-row"
    category = "performance"
    severity = "medium"
    order = 50
    title = "A commit for every row"
    sources = ("https://www.sqlite.org/faq.html#q19",)
    bad = examples.BAD
    good = examples.GOOD

    def find(self, index: Index) -> Iterable[Finding]:
        """Every loop on a request's path whose body writes and commits."""
        for function in index.functions_on_path:
            for loop, commit in _loops(index, function):
                yield self._finding(index, function, loop, commit)
            for block, name in _committed_by_contexts(index, function):
                yield self.finding(
                    function.module, block,
                    evidence=f"each turn of a loop in {function.qualname} opens {name}, whose end commits",
                    recommendation="Open it once around the loop, where the rows belong together",
                    anchor=f"{function.qualname}:{name}", mendable=False, severity="low",
                )  # fmt: skip
            for call, callee in _committed_by_others(index, function):
                yield self.finding(
                    function.module, call,
                    evidence=f"in each turn of a loop {function.qualname} calls {callee.qualname}, which commits",
                    recommendation="Add all rows and commit once, where they belong together",
                    anchor=f"{function.qualname}:{callee.qualname}", mendable=False, severity="low",
                )  # fmt: skip

    def _finding(self, index: Index, function: Function, loop: ast.For, commit: ast.stmt) -> Finding:
        return self.finding(
            function.module, commit,
            evidence=f"{function.qualname} commits once for each turn of the loop in line {loop.lineno}",
            recommendation="Commit once behind the loop",
            anchor=f"{function.qualname}:for {unparsed(loop.target)} in {unparsed(loop.iter)}",
            mendable=_is_plain(index, function, loop, commit),
        )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Move the commits of the findings behind their loops."""
        module = index.tree.modules[findings[0].file]
        wanted = {finding.id for finding in findings}
        edits: list[Edit] = []
        for function in index.functions:
            if function.module is not module:
                continue
            for loop, commit in _loops(index, function):
                if self._finding(index, function, loop, commit).id in wanted:
                    start, end = whole_lines(module, commit)
                    text = module.text[start:end].strip()
                    edits.append(Edit(start, end, f"{module.indent(loop)}{text}\n"))
        return Mend(
            "Commit once for all rows of a loop",
            "The loop's writes become one transaction: one wait for the disk. If one fails, none of them is kept, "
            "where before those ahead of it were.",
            (edited(module, edits),),
        )


def _loops(index: Index, function: Function) -> Iterator[tuple[ast.For, ast.stmt]]:
    """Loops with a write and a commit directly in their bodies."""
    for loop in index.own_of(function, ast.For):
        commits = [statement for statement in loop.body if _method(statement) == "commit"]
        calls = [node for statement in loop.body for node in walk(statement) if isinstance(node, ast.Call)]
        found = (sql_call(index, function.module, call) for call in calls)
        if commits and (any(sql is not None and sql.verb in WRITES for sql in found)
                        or any(_writes(index, function, call) for call in calls)):  # fmt: skip
            yield loop, commits[-1]


def _writes(index: Index, function: Function, call: ast.Call) -> bool:
    """Whether a call runs a method of the target's that does nothing but add to a session: `repository.add(row)`."""
    callee = index.resolve_call(function.module, call)
    effects = effects_cache(index).of(callee) if callee is not None and callee.class_name else None
    return effects is not None and not effects.commits and any(sql.verb in WRITES for sql in effects.sql)


def _committed_by_others(index: Index, function: Function) -> Iterator[tuple[ast.Call, Function]]:
    """Calls in a loop over rows whose function writes by what the turn gives it, and commits."""
    cache = effects_cache(index)
    for call in index.calls(function):
        loop = _loop_over_rows(function.module, call)
        if loop is None:
            continue
        turn = {part.id for part in walk(loop.target) if isinstance(part, ast.Name)}
        given = [part for value in [*call.args, *call.keywords] for part in walk(value)]
        callee = index.resolve_call(function.module, call)
        if callee is None or callee is function or not any(isinstance(n, ast.Name) and n.id in turn for n in given):
            continue
        effects = cache.of(callee)
        passed = handed_statement(index, function.module, call)
        written = [*effects.sql, *([passed] if passed is not None else [])]
        writes = any(sql.verb in WRITES for sql in written) and not effects.http
        if writes and (effects.commits or _ends_with_commit(index, callee)):
            yield call, callee


def _loop_over_rows(module: Module, node: ast.AST) -> ast.For | None:
    """The innermost loop around a node, where it goes through more than numbers."""
    loop = next(loops_around(module, node), None)
    counts = isinstance(loop, ast.For) and unparsed(loop.iter).startswith(("range(", "itertools.count"))
    return loop if isinstance(loop, ast.For) and not counts else None


def _committed_by_contexts(index: Index, function: Function) -> Iterator[tuple[ast.AST, str]]:
    """`with UnitOfWork() as work:` in a loop over rows, where the class commits as its `with` ends."""
    cache = effects_cache(index)
    for block in index.own_of(function, ast.With, ast.AsyncWith):
        loop = _loop_over_rows(function.module, block)
        if loop is None:
            continue
        for given in (item.context_expr for item in block.items if isinstance(item.context_expr, ast.Call)):
            dotted = index.kinds.of(function.module, given) or ""
            ends = index.method(dotted, "__aexit__") or index.method(dotted, "__exit__")
            if ends is not None and any(effects.commits for _, effects in cache.reached(ends)) and block in loop.body:
                yield given, dotted.rpartition(".")[2]
            made = index.resolve_call(function.module, given)
            if made is not None and _commits_behind_yield(index, made, given) and _writes_in(index, function, block):
                yield given, made.qualname


def _commits_behind_yield(index: Index, function: Function, call: ast.Call) -> bool:
    """Whether a context manager that is written as a generator commits as its `with` ends; one may ask it to."""
    yields = [node.lineno for node in index.own_of(function, ast.Yield)]
    for commit in effects_cache(index).of(function).commits if yields else ():
        around = next((node for node in function.module.ancestors(commit) if isinstance(node, ast.If)), None)
        asked = given_for(function, call, around.test.id) \
            if around is not None and isinstance(around.test, ast.Name) else None  # fmt: skip
        is_asked = around is None or (isinstance(asked, ast.Constant) and asked.value is True)
        if commit.lineno > yields[-1] and is_asked:
            return True
    return False


def _writes_in(index: Index, function: Function, block: ast.With | ast.AsyncWith) -> bool:
    calls = [node for statement in block.body for node in walk(statement) if isinstance(node, ast.Call)]
    found = (sql_call(index, function.module, call) for call in calls)
    return any(sql is not None and sql.verb in WRITES for sql in found)


def _ends_with_commit(index: Index, function: Function) -> bool:
    """Whether a `with` of a driver's connection, or of a session's `begin()`, commits what the function writes."""
    module = function.module
    for block in index.own_of(function, ast.With, ast.AsyncWith):
        for given in (item.context_expr for item in block.items):
            named = given.func if isinstance(given, ast.Call) else given
            if getattr(named, "attr", "") == "begin":
                return True
            made = index.resolve_call(module, given) if isinstance(given, ast.Call) else None
            if made is not None and isinstance(given, ast.Call) and _commits_behind_yield(index, made, given):
                return True
            closes_only = index.resolve(module, named) == "contextlib.closing"
            if not closes_only and index.kinds.of(module, given) in COMMITTING:
                return True
    return False


def _call(statement: ast.stmt) -> ast.Call | None:
    value = statement.value if isinstance(statement, ast.Expr) else None
    value = value.value if isinstance(value, ast.Await) else value
    return value if isinstance(value, ast.Call) else None


def _method(statement: ast.stmt) -> str:
    call = _call(statement)
    return call.func.attr if call is not None and isinstance(call.func, ast.Attribute) else ""


def _only_reads(index: Index, module: Module, statement: ast.stmt, owner: str) -> bool:
    """Whether an assignment fetches rows over the same connection, which sees what is not committed yet."""
    calls = [node for node in walk(statement) if isinstance(node, ast.Call)]
    found = [sql_call(index, module, call) for call in calls]
    reads = [sql for sql in found if sql is not None]
    others = [call for call, sql in zip(calls, found, strict=True) if sql is None]
    return (
        bool(reads)
        and all(sql.verb == "SELECT" and unparsed(sql.owner) == owner for sql in reads)
        and all(
            isinstance(call.func, ast.Attribute) and call.func.attr in ("fetchone", "fetchall", "fetchmany")
            for call in others
        )
    )


def _is_plain(index: Index, function: Function, loop: ast.For, commit: ast.stmt) -> bool:
    """Whether the loop does nothing but compute values and write on one connection, the commit last."""
    module = function.module
    if loop.body[-1] is not commit or loop.orelse or not is_alone(module, commit) or commit.lineno == loop.lineno:
        return False
    own = _call(commit)
    of = own.func.value if own is not None and isinstance(own.func, ast.Attribute) else None
    owner = unparsed(of) if of is not None else ""
    is_session = of is not None and index.kinds.of(module, of) in SESSIONS
    if is_session and len(loop.body) > 1 and only_session_work(index, module, loop.body[:-1], owner):
        return True
    for statement in loop.body[:-1]:
        call = _call(statement)
        sql = sql_call(index, module, call) if call is not None else None
        if sql is not None and sql.verb in WRITES and unparsed(sql.owner) == owner:
            continue
        if isinstance(statement, ast.Assign | ast.AnnAssign) and _only_reads(index, module, statement, owner):
            continue
        waits = any(isinstance(node, ast.Await | ast.Yield | ast.YieldFrom) for node in walk(statement))
        calls = [node for node in walk(statement) if isinstance(node, ast.Call)]
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or waits or len(calls) > 3:
            return False
        if any(isinstance(c.func, ast.Attribute) and c.func.attr in ("execute", "commit", "post") for c in calls):
            return False
    return len(loop.body) > 1
