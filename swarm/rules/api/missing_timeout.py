"""Outgoing calls that may wait for ever."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.outgoing.model_calls import asks_models
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.api.endless_calls import Place, places
from swarm.rules.examples import missing_timeout as examples
from swarm.rules.rule import Mend, Rule, edited
from swarm.rules.writing.splices import add_keyword, after_imports, free_name, import_as

CONSTANT = """# for one outgoing call, in seconds; 0: no limit
{name} = float({os}.getenv("{name}", "{default}")) or None
"""
DEFAULT_S, OF_MODELS_S = "10", "120"  # a model writes for a minute and longer


class MissingTimeout(Rule):
    """An outgoing call has no timeout: `requests` has none by default, or `timeout=None` takes it away.

    Why: an upstream that accepts and never answers holds a worker for ever; a few of them and the service stands
    still. Example: `requests.get(url)`; `httpx.AsyncClient(timeout=None)`; `aiohttp.ClientSession()` waits for
    five minutes.

    The mend: `timeout=HTTP_TIMEOUT_S`, read from the environment, 10 seconds by default (120 in a module that asks a
    language model, which takes its time), 0 for none as before.
    Other protocols count too (mail, FTP, sockets, SSH, connections to PostgreSQL, Redis
    where a version before 8 is pinned), and so do `requests.get` handed to a thread and wrappers that hand on
    `**options` which nobody gives a timeout.
    What fails after it raises the library's own timeout error, as any connection error. Calls that have a timeout
    are left alone (`httpx` has 5 seconds by itself), and so are those whose `**mapping` may hold one.
    In a program that a person starts, which no request reaches, it is advice: a long upload may be meant to wait.
    So is a session of aiohttp in a module that holds WebSockets or reads streams, which a total time would cut off;
    one whose requests each bring their own timeout is left alone.
    """

    id = "missing-timeout"
    category = "api"
    severity = "high"
    title = "An outgoing call has no timeout"
    cwe = ("CWE-400",)
    sources = ("https://requests.readthedocs.io/en/latest/user/advanced/#timeouts",)
    bad = examples.BAD
    good = examples.GOOD

    def find(self, index: Index) -> Iterable[Finding]:
        """Every call without a limit in any module."""
        for module in index.tree.modules.values():
            seen: dict[str, int] = {}
            for place in places(index, module):
                yield self._finding(module, place, seen)

    def _finding(self, module: Module, place: Place, seen: dict[str, int]) -> Finding:
        key = f"{place.owner}:{unparsed(place.call.func)}"
        seen[key] = seen.get(key, 0) + 1
        return self.finding(
            module, place.call,
            evidence=f"{unparsed(place.call.func)}(…) in {place.owner} waits "
            + ("for five minutes" if place.is_aiohttp and place.given is None else "without an end"),
            recommendation="Give every outgoing call a timeout"
            + (", and streams one for each read (sock_read)" if place.streams else ""),
            anchor=key + (f"#{seen[key]}" if seen[key] > 1 else ""),
            mendable=not place.by_hand and not place.streams and bool(place.keyword),
            severity="low" if place.by_hand or place.whole else "medium" if place.is_aiohttp else None,
        )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Give the findings' calls a timeout from the environment."""
        module = index.tree.modules[findings[0].file]
        wanted = {finding.id for finding in findings}
        os_name, imported = import_as(module, "os")
        edits: list[Edit] = [imported] if imported else []
        name = free_name(module, "HTTP_TIMEOUT_S")
        seen: dict[str, int] = {}
        for place in places(index, module):
            if self._finding(module, place, seen).id not in wanted:
                continue
            value = f"{name} and max(1, round({name}))" if place.whole else name
            if place.is_aiohttp:
                root = unparsed(place.call.func).rpartition(".")[0]
                if not root:
                    root, more = import_as(module, "aiohttp")
                    edits += [more] if more else []
                value = f"{root}.ClientTimeout(total={name})"
            if place.given is not None:
                edits.append(Edit(*module.span(place.given.value), value))
            elif place.spread is not None:
                given = module.segment(place.spread.value)
                edits.append(Edit(*module.span(place.spread.value), f'{{"timeout": {value}, **{given}}}'))
            else:
                edits.append(add_keyword(module, place.call, f"{place.keyword}={value}"))
        default = OF_MODELS_S if asks_models(module) else DEFAULT_S
        edits.append(after_imports(module, CONSTANT.format(name=name, os=os_name, default=default)))
        return Mend(
            "Give outgoing calls a timeout",
            f"A call that is never answered now ends after HTTP_TIMEOUT_S seconds ({default} by default, 0: never).",
            (edited(module, edits),),
        )
