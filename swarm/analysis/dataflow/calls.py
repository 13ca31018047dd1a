"""Runs calls: functions of the target with their own arguments, those of libraries by what is known of them."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from swarm.analysis.dataflow import library
from swarm.analysis.dataflow.binding import (
    Prints,
    bind,
    defaults_of,
    handed_function,
    is_abstract,
    is_static,
    outcome_of,
    parameters_of,
)
from swarm.analysis.dataflow.frames import CHECKED, Env, Frame, Outcome, Seen
from swarm.analysis.dataflow.incoming import REQUEST_KINDS, SENT
from swarm.analysis.dataflow.mutation import changed_by
from swarm.analysis.dataflow.objects import MOST_DEPTH
from swarm.analysis.dataflow.values import (
    UNKNOWN,
    Value,
    derived,
    joined,
    marked,
    without_taint,
)
from swarm.analysis.kinds.common_methods import COMMON_METHODS
from swarm.analysis.module import unparsed
from swarm.analysis.source import parameters

if TYPE_CHECKING:
    from swarm.analysis.dataflow.interpreter import Interpreter
    from swarm.analysis.parts import Function

MOST_CANDIDATES = 3
MOST_KEPT = 60  # outcomes of one function, by its arguments
_DEPTH = "depth"
# calls that no rule looks at
_UNTOLD = frozenset({
    "ord", "len", "str", "isalnum", "isinstance", "append", "encode", "decode", "lower", "upper", "strip", "split",
    "getlist", "startswith", "endswith", "keys", "items", "values", "int", "float", "bool", "hex", "repr",
    "isdigit", "join", "list", "dict", "tuple", "set", "sorted", "unquote", "quote", "escape", "b64decode",
})  # fmt: skip
# answers of frameworks: what is in them was judged where they were made
_ANSWERS = frozenset({
    "flask.jsonify", "flask.render_template", "flask.redirect", "flask.send_file", "flask.send_from_directory",
    "flask.Response", "flask.make_response", "flask.render_template_string", "flask.url_for", "flask.flash",
    "werkzeug.utils.redirect",
})  # fmt: skip
_ANSWER_MODULES = ("starlette.responses.", "fastapi.responses.", "fastapi.Response", "starlette.templating.")
_PASSING = frozenset(name.lower() for name in library.PASSING)
_RAW = frozenset({"model_dump", "dict", "model_dump_json", "copy", "model_copy", "_asdict", "asdict"})
_MATCHERS = frozenset({"match", "fullmatch", "search"})
_HARMLESS_NAMES = ("sanit", "escape", "quote", "slugif")


@dataclass(frozen=True, slots=True)
class _Kept:
    """An outcome, and what it goes by beside the arguments: functions that were at work, the depth, the route's path.

    One without ties is that of all routes of a framework, one that goes by the depth that of calls as deep as this;
    any is that of its own route.
    """

    outcome: Outcome
    ties: frozenset[object]


class Calls:
    """Evaluates calls; keeps the outcomes of functions by what they were called with."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._run = interpreter
        self._kept: dict[Function, dict[object, dict[tuple[bool, tuple[object, int]], _Kept]]] = {}
        self._defaults: dict[Function, Mapping[str, Value]] = {}
        self._prints = Prints()
        self.active: set[Function] = set()
        self._ties: set[object] = set()  # what the outcome being worked out goes by, beside its arguments
        self.is_aside = False  # whether what is seen is thrown away: such outcomes serve nobody who wants to see
        self._endless: set[int] = set()
        self.visited: set[Function] = set()

    def evaluate(self, node: ast.Call, frame: Frame, env: Env) -> Value:
        """The value of a call."""
        run = self._run
        text = CHECKED + unparsed(node) if CHECKED in env else ""
        if text and text in env:
            return env[text]
        receiver = UNKNOWN
        name = ""
        dotted = self._dotted(node.func, frame, env)
        if isinstance(node.func, ast.Attribute):
            name = node.func.attr
            if dotted is None or not self._is_library(dotted, frame):
                receiver = run.evaluate(node.func.value, frame, env)
        arguments = [value for given in node.args for value in self._given(given, frame, env)]
        keywords: dict[str, Value] = {}
        for keyword in node.keywords:
            value = run.evaluate(keyword.value, frame, env)
            if keyword.arg is not None:
                keywords[keyword.arg] = value
            elif value.items is not None:
                keywords.update({str(key): item for key, item in value.items.items()})
            else:
                keywords["**"] = value
        has_data = [value for value in (*arguments, *keywords.values()) if value.taints]
        if (has_data or (receiver.taints and name != "get")) and (dotted or name) not in _UNTOLD:
            run.note(Seen("call", frame.module, node, frame.function, frame.route,
                          dotted or name, receiver, arguments, keywords))  # fmt: skip
        return self._result(node, dotted, name, receiver, arguments, keywords, frame, env)

    def _given(self, given: ast.expr, frame: Frame, env: Env) -> list[Value]:
        """The values of one argument: those of `*argv` where they are known one by one."""
        value = self._run.evaluate(given, frame, env)
        if isinstance(given, ast.Starred) and value.items and all(isinstance(key, int) for key in value.items):
            return [value.items[key] for key in sorted(value.items, key=str)] if len(value.items) < 10 else [value]
        return [value]

    def _dotted(self, function: ast.expr, frame: Frame, env: Env) -> str | None:
        root = function
        while isinstance(root, ast.Attribute):
            root = root.value
        if isinstance(root, ast.Name) and root.id in env:
            value = env[root.id]
            return value.dotted or None if root is function else None
        return self._run.index.resolve(frame.module, function)

    def _is_library(self, dotted: str, frame: Frame) -> bool:
        home, rest = self._run.index.tree.split(dotted, frame.module)
        if home is not None:
            return "." not in rest and not isinstance(
                home.globals.get(rest.split(".")[0]), ast.Assign | ast.AnnAssign
            )
        return not dotted.startswith(("flask.request.", "flask.session."))

    # -- what a call comes to

    def _result(
        self, node: ast.Call, dotted: str | None, name: str, receiver: Value, arguments: list[Value],
        keywords: dict[str, Value], frame: Frame, env: Env,
    ) -> Value:  # fmt: skip
        run = self._run
        if receiver.kind in REQUEST_KINDS and name in SENT:
            return run.names.part(receiver, name, node, frame)
        local = env.get(node.func.id) if isinstance(node.func, ast.Name) else None
        if local is not None and local.node is not None:
            inner = dict(env) | dict(zip([a.arg for a in parameters_of(local.node)], arguments, strict=False))
            return run.evaluate(local.node.body, frame, inner)
        target = local.function if local is not None and local.function is not None else None
        if target is None and receiver.kind in run.index.classes:
            if name in _RAW and run.index.method(receiver.kind, name) is None:
                return self._run.objects.all_fields(receiver, node, frame)
            target = run.index.method(receiver.kind, name)
        if target is None and dotted in run.index.classes:
            return self._run.objects.constructed(dotted or "", node, arguments, keywords, frame)
        if target is None and (not isinstance(node.func, ast.Name) or node.func.id not in env):
            target = run.index.named_function(frame.module, node.func)
        if target is not None and arguments and (marks := library.vouched(target)):
            return marked(arguments[0], *marks)
        handed = handed_function(run.index, frame.module, node) if target is None else None
        if handed is not None:
            return self._run_handed(*handed, node, arguments, keywords, frame, env)
        if target is not None and not is_abstract(target):
            return self._run_target(target, node, receiver, arguments, keywords, frame, env)
        if target is None and name and dotted is None and not receiver.kind and not receiver.taints:
            found = self._any_of(name, node, receiver, arguments, keywords, frame, env)
            if found is not None:
                return found
        if dotted in ("locals", "vars", "dir") and not arguments:
            return self._everything(node, frame, env)
        known = self._of_library(node, dotted, name, receiver, arguments, keywords, frame)
        if isinstance(node.func, ast.Attribute) and dotted is None:
            changed = changed_by(name, receiver, arguments, keywords)
            if changed is not None:
                run.statements.put_back(node.func.value, changed, frame, env)
        if known is not None:
            return known
        called_name = (dotted or name).rsplit(".", 1)[-1].lower()
        result = derived(receiver, *arguments, *keywords.values())
        if called_name not in _PASSING:
            result = derived(receiver, derived(*arguments, *keywords.values(), marks=("vague",)))
        if any(part in called_name for part in _HARMLESS_NAMES) and "unquote" not in called_name \
                and "unescape" not in called_name:  # fmt: skip
            return without_taint(result)
        if dotted is not None and dotted.rsplit(".", 1)[-1][:1].isupper() and not result.taints:
            return Value(kind=dotted)
        return result

    def _of_library(
        self, node: ast.Call, dotted: str | None, name: str, receiver: Value, arguments: list[Value],
        keywords: dict[str, Value], frame: Frame,
    ) -> Value | None:  # fmt: skip
        if (
            dotted is not None and (dotted in _ANSWERS or dotted.startswith(_ANSWER_MODULES))
        ) or name == "TemplateResponse":
            return Value(kind="answer")
        if dotted in ("markupsafe.Markup", "flask.Markup") and arguments:
            return arguments[0]._replace(kind="Markup")
        if receiver.kind == "Markup":
            escaped = (marked(value, "html") for value in (*arguments, *keywords.values()))
            return derived(receiver, *escaped)._replace(kind="Markup")
        if dotted is not None and dotted.startswith("random."):
            draw = dotted.removeprefix("random.")
            if draw in library.DRAWS:
                return Value(taints=(self._run.source("random", frame.module, node),))
            return Value(kind=dotted)
        if receiver.kind == "query":
            return receiver
        if receiver.kind.startswith("random."):
            return UNKNOWN
        if dotted is not None and dotted.startswith(library.UPSTREAM):
            return Value(kind="upstream") if dotted.rsplit(".", 1)[-1][:1].isupper() else self._answer(node, frame)
        if receiver.kind == "upstream":
            return self._answer(node, frame)
        if name in library.STORED_METHODS:
            return Value(taints=(self._run.source("stored", frame.module, node),))
        kind = keywords.get("type", UNKNOWN)
        if name in ("get", "getlist") and receiver.kind == "sent" and (
                kind.dotted in ("int", "float", "bool", "uuid.UUID") or kind.kind in ("int", "float")):  # fmt: skip
            return UNKNOWN
        if dotted in ("re.match", "re.fullmatch", "re.search") and len(arguments) > 1:
            return self._run.guards.matched(arguments[0], name or dotted[3:], arguments[1])
        if name in _MATCHERS and receiver.kind == "re.Pattern" and arguments:
            return self._run.guards.matched(receiver, name, arguments[0])
        if dotted == "re.compile" and arguments:
            return arguments[0]._replace(kind="re.Pattern")
        if dotted == "re.sub" and len(arguments) > 2:
            return library.substituted(arguments)
        if dotted in ("getattr",) and len(arguments) > 1 and isinstance(arguments[1].constant, str):
            return self._run.names.part(arguments[0], arguments[1].constant, node, frame)
        if dotted in ("ast.literal_eval", "json.loads", "urllib.parse.parse_qs"):
            return derived(*arguments)
        if name == "setFeature" and receiver.kind.startswith("xml.sax.parser") and len(node.args) > 1:
            return UNKNOWN
        if dotted is not None:
            found = library.called(dotted, arguments, keywords)
            if found is not None:
                return found
        if not name or not (dotted is None or receiver.taints or receiver.kind or receiver.text is not None):
            return None
        return library.method(name, receiver, arguments, keywords)

    def _everything(self, node: ast.Call, frame: Frame, env: Env) -> Value:
        """`locals()`: all that the function holds, its request included."""
        found = derived(*env.values())
        if any(value.kind in REQUEST_KINDS for value in env.values()):
            found = derived(found, Value(taints=(self._run.source("request", frame.module, node),)))
        return found

    def _answer(self, node: ast.Call, frame: Frame) -> Value:
        return Value(taints=(self._run.source("upstream", frame.module, node),), kind="upstream")

    # -- the target's own

    def _any_of(
        self, name: str, node: ast.Call, receiver: Value, arguments: list[Value],
        keywords: dict[str, Value], frame: Frame, env: Env,
    ) -> Value | None:  # fmt: skip
        """A method of an object whose class is not known: of whichever class of the target's has one so named."""
        if name in COMMON_METHODS:
            return None
        several = [f for f in self._run.index.methods_named(name) if not is_abstract(f)]
        if not 1 <= len(several) <= MOST_CANDIDATES:
            return None
        result: Value | None = None
        for target in several:
            found = self._run_target(target, node, receiver, arguments, keywords, frame, env)
            result = found if result is None else joined(result, found)
        return result

    def _run_target(
        self, target: Function, node: ast.Call, receiver: Value, arguments: list[Value],
        keywords: dict[str, Value], frame: Frame, env: Env,
    ) -> Value:  # fmt: skip
        if not self.may_enter(target, frame):
            return derived(receiver, *arguments, *keywords.values())
        is_method = bool(target.class_name) and isinstance(node.func, ast.Attribute) and not is_static(target)
        bound = bind(target, ([receiver] if is_method else []) + arguments, keywords)
        closure = env if frame.function is not None and target.qualname.startswith(f"{frame.function.qualname}.") \
            and not target.class_name else {}  # fmt: skip
        outcome = self.invoke(target, {k: self._run.step(v, frame.module, node) for k, v in bound.items()},
                              frame, closure)  # fmt: skip
        if not outcome.comes_back:
            self._endless.add(id(node))
        else:
            self._endless.discard(id(node))
        self._write_back(target, node, is_method, outcome, bound, frame, env)
        return self._run.step(outcome.value, frame.module, node)

    def _run_handed(
        self, target: Function, position: int, node: ast.Call, arguments: list[Value], keywords: dict[str, Value],
        frame: Frame, env: Env,
    ) -> Value:  # fmt: skip
        """`to_thread(save, event)`: the function runs with what stands behind it."""
        if not self.may_enter(target, frame):
            return derived(*arguments, *keywords.values())
        named = node.args[position]
        owner = [self._run.evaluate(named.value, frame, env)] if isinstance(named, ast.Attribute) \
            and target.class_name and not is_static(target) else []  # fmt: skip
        bound = bind(target, owner + arguments[position + 1 :], keywords)
        stepped = {key: self._run.step(value, frame.module, node) for key, value in bound.items()}
        return self._run.step(self.invoke(target, stepped, frame, {}).value, frame.module, node)

    def _write_back(
        self, target: Function, node: ast.Call, is_method: bool, outcome: Outcome, bound: Mapping[str, Value],
        frame: Frame, env: Env,
    ) -> None:  # fmt: skip
        """What the function checked, or put into its arguments, counts for the caller's variables."""
        names = [argument.arg for argument in parameters(target.node)]
        places: list[tuple[str, ast.expr]] = []
        if is_method and names and isinstance(node.func, ast.Attribute):
            places.append((names[0], node.func.value))
        places += list(zip(names[1:] if is_method else names, node.args, strict=False))
        places += [(k.arg, k.value) for k in node.keywords if k.arg]
        for name, expression in places:
            after, before = outcome.after.get(name), bound.get(name)
            if (
                after is None
                or before is None
                or after == before
                or not isinstance(expression, ast.Name | ast.Attribute)
            ):
                continue
            if after.shape or after.fields is not None or len(after.taints) <= len(before.taints):
                self._run.statements.put_back(expression, after, frame, env)

    def invoke(
        self, target: Function, bound: Mapping[str, Value], frame: Frame, closure: Mapping[str, Value]
    ) -> Outcome:
        """Run a function of the target with these parameters."""
        self.visited.add(target)
        if closure:
            return self._worked_out(target, bound, frame, closure)
        given = tuple([(name, self._prints.of(bound[name])) for name in sorted(bound)])
        kept = self._kept.setdefault(target, {})
        known = kept.get(given, {})
        anywhere = frame.route.framework if frame.route is not None else None
        places = ((anywhere, -1), (anywhere, frame.depth), (frame.route, -1))
        asides = (False, True) if self.is_aside else (False,)
        found = next((known[key] for key in product(asides, places) if key in known), None)
        if found is not None:
            self._ties |= found.ties
            return found.outcome
        around, self._ties = self._ties, set()
        outcome = self._worked_out(target, bound, frame, {})
        ties = frozenset(self._ties - {target})
        self._ties = around | ties
        if known or len(kept) < MOST_KEPT:
            known = kept.setdefault(given, known)
            for place in places[:1] if not ties else places[1:] if ties == {_DEPTH} else places[2:]:
                known[self.is_aside, place] = _Kept(outcome, ties)
        return outcome

    def _worked_out(
        self, target: Function, bound: Mapping[str, Value], frame: Frame, closure: Mapping[str, Value]
    ) -> Outcome:
        env: Env = dict(closure)
        env.update(self.defaults(target))
        env.update(bound)
        inner = Frame(target.module, target, frame.route, frame.depth + 1)
        self.active.add(target)
        try:
            end = self._run.statements.block(target.node.body, inner, env)
        finally:
            self.active.discard(target)
        return outcome_of(inner, end, list(bound))

    def defaults(self, target: Function) -> Mapping[str, Value]:
        """Parameters that a call leaves out."""
        if target not in self._defaults:
            self._defaults[target] = defaults_of(target)
        return self._defaults[target]

    def may_enter(self, target: Function, frame: Frame, margin: int = 0) -> bool:
        """Whether a call is followed: not into what is being followed, nor too deep. Refusing ties the outcomes."""
        if target in self.active:
            self._ties.add(target)
        elif frame.depth >= MOST_DEPTH - margin:
            self._ties.add(_DEPTH)
        else:
            return True
        return False

    def tie(self, what: str) -> None:
        """Keep what is being worked out for requests of this route alone: it goes by more than arguments."""
        self._ties.add(what)

    def never_came_back(self, call: ast.Call) -> bool:
        """Whether a call was seen to end in an error always."""
        return id(call) in self._endless
