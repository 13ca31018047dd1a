"""One SQLAlchemy query per row of an earlier query: a round to the database for each where one would do."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from itertools import pairwise

from swarm.analysis.edits import Edit
from swarm.analysis.effects import SqlCall
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.reading.parsing import parse_expression
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.examples import query_per_row as examples
from swarm.rules.queries.keyed_queries import Keyed, LoopQuery, loop_queries
from swarm.rules.queries.lazy_relations import LazyLoad, eager_edits, lazy_loads
from swarm.rules.queries.reads_by_others import selects_by_turn
from swarm.rules.rule import Mend, Rule, edited
from swarm.rules.writing.splices import WIDTH, free_name, fresh_name, is_alone, whole_lines

SLICE = 500  # keys in one query: databases limit how many parameters a statement may have


class QueryPerRow(Rule):
    """A loop over rows runs one SQLAlchemy select for each of them.

    Why: a hundred rows cost a hundred and one rounds to the database; the time grows with the data. Example: the
    features of each property, fetched property by property.

    The mend: before the loop one `select(…).where(Model.key.in_([…]))` for the keys of all rows (500 at a time),
    its rows in a dict by key, where the loop looks its own up: the same rows in the same order, an empty list or
    None where there were none. Only where the loop goes through a list of mapped objects, compares one column with
    a column of theirs of the same type that is never NULL, and can't be left early; never where it writes,
    commits, or where the query has a limit, a join or a group. A relationship that is loaded object by object is
    loaded for all of them by an option of the query, `selectinload(Model.relation)`.
    """

    id = "query-per-row"
    category = "performance"
    severity = "high"
    order = 31
    title = "One query for each row of a loop"
    sources = ("https://docs.sqlalchemy.org/en/20/core/operators.html#in-comparisons",)
    bad = examples.BAD
    good = examples.GOOD

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every select in a loop that looks its rows up by what varies in it, on a request's path."""
        for function in index.functions_on_path:
            told = set()
            for query in loop_queries(index, function):
                told.add(query.call)
                yield self._finding(query)
            for call, callee, sql in selects_by_turn(index, function):
                if call not in told:
                    yield self._of_others(function, call, callee, sql)
            for load in lazy_loads(index, function):
                yield self._of_relation(load)

    def _of_others(self, function: Function, call: ast.Call, callee: Function, sql: SqlCall) -> Finding:
        how = "runs" if callee is function else f"calls {callee.qualname}"
        return self.finding(
            function.module, call,
            evidence=f"{function.qualname} {how} once a turn of a loop: {sql.text[:200]}",
            recommendation="Fetch the rows of all keys with one query before the loop",
            anchor=f"{function.qualname}:{callee.qualname}:{sql.text}",
            mendable=False,
            severity=None if callee is function else "medium",  # what else it is asked for, others know
        )  # fmt: skip

    def _of_relation(self, load: LazyLoad) -> Finding:
        name = f"{load.model.dotted.rsplit('.', 1)[-1]}.{load.relation.attribute}"
        return self.finding(
            load.function.module, load.node,
            evidence=f"{load.function.qualname} looks at {name} in each turn of a loop: it is loaded one by one",
            recommendation=f"Load it for all objects at once: .options(selectinload({name}))",
            anchor=f"{load.function.qualname}:{name}",
            mendable=load.root is not None,
            severity=None if load.root is not None else "medium",  # how many there are, another function knows
        )  # fmt: skip

    def _finding(self, query: LoopQuery) -> Finding:
        text = " ".join(unparsed(query.statement).split())
        return self.finding(
            query.function.module, query.call,
            evidence=f"{query.function.qualname} runs once a turn of a loop: {text[:200]}",
            recommendation="Fetch the rows of all keys with one query before the loop",
            anchor=f"{query.function.qualname}:{text}",
            mendable=_is_mendable(query),
        )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """One query before each of the findings' loops."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        edits: list[Edit] = []
        taken: set[str] = set()
        loads: list[LazyLoad] = []
        for function in index.functions:
            for query in loop_queries(index, function) if function.module is module else ():
                if query.call.lineno in lines and _is_mendable(query):
                    edits += _rewrite(query, taken)
            for load in lazy_loads(index, function) if function.module is module else ():
                loads += [load] if load.node.lineno in lines and load.root is not None else []
        if loads:
            edits += eager_edits(index, module, loads)
        if not edits:
            return None
        return Mend(
            "Fetch the rows of all keys with one query",
            "One query before the loop takes the place of one per turn; rows, their order and missing ones stay.",
            (edited(module, edits),),
        )


def _is_mendable(query: LoopQuery) -> bool:
    module = query.function.module
    alone = is_alone(module, query.loop) and (query.dropped is None or is_alone(module, query.dropped))
    return query.keyed is not None and query.value is not None and alone


def _rewrite(query: LoopQuery, taken: set[str]) -> list[Edit]:
    module, keyed = query.function.module, query.keyed
    if keyed is None or query.value is None:
        return []
    indent, step = module.indent(query.loop), "    "
    key = module.segment(keyed.key)
    column = keyed.column.attribute
    by_key = fresh_name(module, f"{keyed.model.table}_by_{column}", taken)
    keys = free_name(module, f"{key.replace('.', '_')}s")
    start, fetched, value, name = (free_name(module, wish) for wish in ("start", "fetched", "value", "key"))
    target, over = module.segment(query.loop.target), module.segment(query.loop.iter)
    owner = module.segment(query.call.func.value) if isinstance(query.call.func, ast.Attribute) else "session"
    awaiting = "await " if query.function.is_async else ""
    statement = _statement(query, keyed, f"{keys}[{start} : {start} + {SLICE}]")
    lines = [f"{by_key}{_annotation(query, keyed)} = {{}}"]
    lines += [f"{keys} = list(dict.fromkeys([{key} for {target} in {over}]))"]
    lines += [f"for {start} in range(0, len({keys}), {SLICE}):"]
    lines += [
        f"{step}{fetched} = {awaiting}{owner}.execute(",
        *_wrapped(statement, step * 2, len(indent)),
        f"{step})",
    ]
    if keyed.selected is None:
        lines += [f"{step}for {value} in {fetched}.scalars():"]
        lines += [f"{step * 2}{by_key}.setdefault({value}.{column}, []).append({value})"]
    else:
        lines += [f"{step}for {value}, {name} in {fetched}:"]
        lines += [f"{step * 2}{by_key}.setdefault({name}, []).append({value})"]
    at = module.line_start(query.loop.lineno)
    around = module.parent(query.value)
    copied = isinstance(around, ast.Call) and unparsed(around.func) in ("sorted", "list", "set", "tuple", "len")
    rows = f"{by_key}.get({key}, [])" if copied or not query.many else f"list({by_key}.get({key}, []))"
    looked_up = rows if query.many else f"next(iter({rows}), None)"
    edits = [Edit(at, at, "".join(f"{indent}{line}\n" for line in lines))]
    edits.append(Edit(*module.span(query.value), looked_up))
    if query.dropped is not None:
        edits.append(Edit(*whole_lines(module, query.dropped), ""))
    return edits


def _wrapped(statement: str, indent: str, before: int) -> list[str]:
    """The statement on one line, or a line for each of its methods where it is long."""
    if "\n" in statement or before + len(indent) + len(statement) <= WIDTH:
        return [indent + statement]
    cuts: list[int] = []
    node: ast.expr = parse_expression(statement)
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        cuts.insert(0, len(statement.encode()[: node.func.value.end_col_offset or 0].decode()))
        node = node.func.value
    parts = [statement[a:b] for a, b in pairwise([0, *cuts, len(statement)])]
    return [indent + part for part in parts if part]


def _annotation(query: LoopQuery, keyed: Keyed) -> str:
    """A type for the dict, where the function has annotations and the model's name can be used."""
    if query.function.node.returns is None:
        return ""
    root = keyed.root.args[0]
    if keyed.selected is None and isinstance(root, ast.Name):
        return f": dict[object, list[{root.id}]]"
    text = unparsed(_selected_type(keyed)) if _selected_type(keyed) is not None else ""
    return f": dict[object, list[{text or 'object'}]]" if text in ("str", "int", "float", "bool") else ""


def _selected_type(keyed: Keyed) -> ast.expr:
    """The annotation inside `Mapped[…]` of the column that is selected, if it is there."""
    name = keyed.selected.attr if isinstance(keyed.selected, ast.Attribute) else ""
    column = keyed.model.columns.get(name)
    annotation = column.annotation if column is not None else None
    return annotation.slice if isinstance(annotation, ast.Subscript) else ast.Constant(None)


def _statement(query: LoopQuery, keyed: Keyed, keys: str) -> str:
    """The select's own text with all keys in place of one, the key's column selected as well, on one line."""
    module = query.function.module
    owner = _model_name(query, keyed)
    wanted = f"{owner}.{keyed.column.attribute}.in_({keys})"
    start, _ = module.span(query.statement)
    text = module.segment(query.statement)
    changes: list[tuple[int, int, str]] = []
    parent = module.parent(keyed.comparison)
    if isinstance(parent, ast.keyword):
        call = module.parent(parent)
        others = [k for k in getattr(call, "keywords", []) if k is not parent]
        begin, end = module.span(parent)
        inside = ", ".join(module.segment(k) for k in others)
        func = call.func if isinstance(call, ast.Call) else None
        if isinstance(func, ast.Attribute) and isinstance(call, ast.Call):
            begin, end = module.span(func.value)[1], module.span(call)[1]
            rest = f".filter_by({inside})" if inside else ""
            changes.append((begin - start, end - start, f".where({wanted}){rest}"))
    else:
        begin, end = module.span(keyed.comparison)
        changes.append((begin - start, end - start, wanted))
    if keyed.selected is not None:
        _, end = module.span(keyed.selected)
        changes.append((end - start, end - start, f", {owner}.{keyed.column.attribute}"))
    for begin, end, new in sorted(changes, reverse=True):
        text = text[:begin] + new + text[end:]
    return text


def _model_name(query: LoopQuery, keyed: Keyed) -> str:
    """The model as the query itself names it."""
    module = query.function.module
    root = keyed.root.args[0]
    return module.segment(root.value if keyed.selected is not None and isinstance(root, ast.Attribute) else root)
