"""Starts the service as the draft says, sends it events, and learns from what it answers and whom it calls."""

from __future__ import annotations

import math
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from swarm.config.schema import Upstream, UpstreamRoute
from swarm.core.errors import TargetError
from swarm.core.place import TargetPlace
from swarm.intake.draft import Draft
from swarm.intake.settings.databases import with_missing
from swarm.intake.settings.environment import Setting, harmless_value
from swarm.intake.starting.commands import Command
from swarm.intake.starting.preparation import missing_folder, with_folder
from swarm.intake.starting.tables import NO_TABLE, create_tables
from swarm.intake.survey import Survey
from swarm.intake.trying.answers import is_refused, routes_for, sent_values
from swarm.intake.trying.events import Sender, Sent
from swarm.target.running.commandline import command_line
from swarm.target.running.server import RunningServer, start_server
from swarm.target.tree.copies import Copy, make_copy, moved
from swarm.target.tree.place import resolve_place
from swarm.target.upstream.calls import UpstreamCall
from swarm.target.upstream.upstreams import Upstreams

_MENDS = 40
_COMMANDS = 6
_ROUNDS = 12  # each may learn one call more of a chain
_TRIAL_S = 150.0
_DEADLINE_S, _NEXT_DEADLINE_S = 60.0, 25.0  # after one that was waited for in vain
_QUICK_S = 8.0  # a start that takes longer may not end within the usual time when much else goes on
_ROOM = 4.0  # starts are slower then, by so much
_MISSING = re.compile(r"put ([A-Za-z_0-9, ]+) into the target's `env`")
_SAYS_MISSING = re.compile(r"^.*(?i:missing|not set|unset|required|must be set|environment).*$", re.MULTILINE)
_NOT_THERE = re.compile(r"cannot import '([^']+)'")
_LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Trial:
    """How the last round went: whether it started at all, and what each event got."""

    draft: Draft
    started: bool
    sent: tuple[Sent, ...] = ()


class Trials:
    """All tries of one service, on one copy of it."""

    def __init__(self, survey: Survey, scratch: Path, tell: Callable[[str], None]) -> None:
        self._survey = survey
        self._scratch = scratch
        self._tell = tell
        self._count = 0
        self._workspace: Path | None = None
        self._at_start: tuple[list[UpstreamCall], list[str]] = ([], [])
        self._slowest_s = 0.0
        self._deadline_s = _DEADLINE_S
        self._survived: list[UpstreamCall] = []  # refused as it started, and it started nevertheless

    async def run(self) -> Trial:
        """Find a command that starts it, then send events and play what it calls, until nothing new is seen."""
        draft, why = await self._started(self._survey.draft)
        if why:
            return Trial(draft.doubting(f"it did not start: {why}", "start"), False)
        sender = Sender(self._survey, self._tell)
        sent: tuple[Sent, ...] = ()
        whole = number = 0
        begun_s = time.monotonic()
        while whole < _ROUNDS and number < 2 * _ROUNDS:
            if time.monotonic() - begun_s > _TRIAL_S:
                words = f"its events take so long that swarm stopped trying after {_TRIAL_S:.0f} s"
                draft = draft.doubting(words, "webhooks")
                break
            number += 1
            try:
                async with self._running(draft) as (server, upstreams):
                    draft, sent, is_whole = await sender.round(draft, server, upstreams, first=not whole)
                    grown = self._learn(draft, upstreams.calls, upstreams.refused, server.refused_egress(), sent)
            except TargetError as error:
                if (refusing := self._refusing(draft)) is None:
                    words = f"it did not start again: {first_line(error)}"
                    return Trial(draft.doubting(words, "start"), False, sent)
                draft = refusing
                continue
            whole += is_whole
            answers = ", ".join(dict.fromkeys(str(one.status) for one in sent)) or "none"
            self._tell(f"round {number}: {len(sent)} events sent, answers {answers}; {_told(grown, draft)}")
            better = self._with_tables(grown, sent) or self._with_named(grown, _words_of(sent))
            if better is None and grown.target.upstreams == draft.target.upstreams and is_whole:
                draft = grown
                break
            draft = better or grown
        return Trial(self._with_time_to_start(draft), True, sent)

    def _with_time_to_start(self, draft: Draft) -> Draft:
        """The draft with more time for a start, where one was seen to take long."""
        if self._slowest_s <= _QUICK_S:
            return draft
        allowed_s = float(10 * math.ceil(_ROOM * self._slowest_s / 10))
        self._tell(f"its slowest start took {self._slowest_s:.0f} s: each gets {allowed_s:.0f} s")
        return draft.having(start_seconds=min(600.0, allowed_s))

    def _with_named(self, draft: Draft, text: str) -> Draft | None:
        """The draft with a value for each setting that a failure names; None where it names none."""
        words = set(re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b", text))
        for line in _SAYS_MISSING.findall(text):  # it may name them as its own attributes
            words |= {word.upper() for word in re.findall(r"\b[a-z][a-z0-9]*_[a-z0-9_]+\b", line)}
        filled = {*draft.target.env, *(name for one in draft.target.upstreams for name in one.variables(0))}
        named = [setting for setting in self._survey.settings if setting.name in words - filled]
        if not named:
            return None
        self._tell(f"  a failure names {', '.join(setting.name for setting in named)}: given harmless values")
        examples = self._survey.examples
        return draft.with_env({one.name: harmless_value(one, examples.get(one.name)) for one in named})

    def _with_tables(self, draft: Draft, sent: tuple[Sent, ...]) -> Draft | None:
        """The draft with a setup that makes tables, where an event failed for want of one."""
        if draft.target.setup is not None or not any(NO_TABLE.search(one.why) for one in sent):
            return None
        app = self._survey.applications[0] if self._survey.applications else None
        setup = create_tables(self._survey.index, app.root if app is not None else "")
        if setup is None:
            return None
        self._tell("  its tables are missing: made from its models before its start")
        return draft.having(setup=setup)

    async def _started(self, draft: Draft) -> tuple[Draft, str]:
        """The draft with a command that starts the service and what had to be added for it, and "".

        Where none does: the draft as the first command left it, and why that failed.
        """
        absent = sorted({app.framework for app in self._survey.applications} & set(self._survey.interpreter.missing))
        if absent:
            return draft, f"{absent[0]!r} is not installed for its interpreter"
        failed: list[tuple[Draft, str]] = []
        for command in self._survey.commands[:_COMMANDS]:
            tried = self._by(draft, command)
            if why := self._not_installed(tried):
                failed.append((draft, why))
                continue
            self._tell(f"starting: {command.start}")
            done, why = await self._mended(tried)
            if not why:
                return done, ""
            self._tell(f"  {why}")
            failed.insert(sum("is neither beside" not in told for _, told in failed), (done, why))
            if (missing := _NOT_THERE.search(why)) and missing[1].split(".")[0] in self._survey.interpreter.missing:
                break  # no other command has what is not installed
        return failed[0] if failed else (draft, "no command that starts it was found")

    def _by(self, draft: Draft, command: Command) -> Draft:
        """The draft with this command, in the folder that it is meant for."""
        folder = command.folder if command.folder and (self._survey.root / command.folder).is_dir() else ""
        tried = draft.having(start=command.start)
        if folder:
            return tried.having(cwd=folder)
        return tried.having(cwd=None) if command.source in ("Dockerfile", "Procfile", "Makefile") else tried

    async def _mended(self, draft: Draft) -> tuple[Draft, str]:
        """Start it, adding what it says it lacks, for as long as that helps: the draft, and why it still fails."""
        why = ""
        for _ in range(_MENDS):
            try:
                async with self._running(draft) as (_, upstreams):
                    self._survived = [call for call in upstreams.calls if is_refused(call, draft.target)]
                    return draft, ""
            except TargetError as error:
                why = first_line(error)
                better = self._mend(draft, str(error), why) or self._played(draft) or self._plain(draft)
            if better is None:
                break
            draft = better
        return draft, why

    def _not_installed(self, draft: Draft) -> str:
        """Why the command's program cannot be run at all, "" where it can."""
        try:
            place = resolve_place(draft.name, draft.target, self._survey.root)
            command_line(draft.target.start, place, tmp=self._scratch, port=0)
        except TargetError as error:
            return first_line(error)
        return ""

    def _played(self, draft: Draft) -> Draft | None:
        """The draft with what the service called as it started; None where that is played already."""
        calls, refused = self._at_start
        grown = self._learn(draft, calls, refused, (), ())
        if grown.target.upstreams == draft.target.upstreams:
            return None
        self._tell(f"  as it starts it {_told(grown, draft)}: played from now on")
        return grown

    def _refusing(self, draft: Draft) -> Draft | None:
        """The draft with 404 for what the service does without as it starts, and takes no made-up answer of."""
        survived, self._survived = self._survived, []
        if not survived:
            return None
        upstreams = list(draft.target.upstreams)
        for at, upstream in enumerate(upstreams):
            own = [call for call in survived if call.upstream in (upstream.host, upstream.name)]
            named = {(route.method, route.path) for route in routes_for(self._survey.index, upstream.name, own)}
            routes = [
                UpstreamRoute.model_validate({"method": route.method, "path": route.path, "status": 404, "json": {}})
                if (route.method, route.path) in named else route for route in upstream.routes
            ]  # fmt: skip
            upstreams[at] = upstream.model_copy(update={"routes": routes})
        if upstreams == list(draft.target.upstreams):
            return None
        self._tell("  it does not start on made-up answers to what it calls then, and does without: they get 404")
        return draft.having(upstreams=upstreams)

    def _mend(self, draft: Draft, text: str, why: str) -> Draft | None:
        """The draft with what an error asks for; None where it asks for nothing that swarm can give."""
        if found := _MISSING.search(text):
            known = {setting.name.upper(): setting for setting in self._survey.settings}
            missing = [name.strip() for name in found[1].split(",")]
            new = {}
            for name in missing:
                setting = known.get(name.upper(), Setting(name, True, None, "str", ""))
                if setting.name not in draft.target.env:
                    new[setting.name] = harmless_value(setting, self._survey.examples.get(setting.name))
            if new:
                self._tell(f"  it wants {', '.join(new)}: given harmless values")
                return draft.with_env(new)
        if "no such option: --app" in text and (older := _of_older_flask(draft)) != draft:
            return older
        if "setup " in why and draft.target.setup is not None:
            self._tell(f"  {why}")
            return draft.having(setup=None).doubting(
                f"`{draft.target.setup}` fails ({why}), so it is left out", "start"
            )
        text = text.replace(f"{self._folder(draft)}/", "")
        if folder := missing_folder(text, draft.target.setup, self._survey.index):
            self._tell(f"  it wants the folder {folder}/: made before its start")
            return draft.having(setup=with_folder(draft.target.setup, folder))
        for place, upstream in enumerate(draft.target.upstreams):
            if start := with_missing(upstream.start or "", text):
                self._tell(f"  {why}: made before its start")
                upstreams = list(draft.target.upstreams)
                upstreams[place] = upstream.model_copy(update={"start": start})
                return draft.having(upstreams=upstreams)
        if draft.target.health is not None and "answers" in why and draft.target.health in why:
            return draft.having(health=None).doubting(f"{why}: any answer is taken for health", "start")
        return self._with_named(draft, text)

    def _plain(self, draft: Draft) -> Draft | None:
        """The draft without the values of settings that may stay unset: one that is set may switch on another way."""
        optional = {one.name for one in self._survey.settings if not one.required and one.default in (None, "")}
        given = [name for name in draft.target.env if name in optional and name in self._survey.draft.target.env]
        if not given:
            return None
        self._tell(f"  tried without {', '.join(given)}, which may stay unset")
        return draft.having(env={name: value for name, value in draft.target.env.items() if name not in given})

    @asynccontextmanager
    async def _running(self, draft: Draft) -> AsyncIterator[tuple[RunningServer, Upstreams]]:
        self._count += 1
        tmp = self._scratch / f"try-{self._count}"
        target = draft.target
        place = resolve_place(draft.name, target, self._survey.root)
        copy = self._copy(place)
        upstreams = await Upstreams.start(place, copy, target, tmp=tmp / "upstreams", seed=7)
        try:
            self._at_start = ([], [])
            begun_s = time.monotonic()
            server = await start_server(
                place, copy, target, upstream_env=upstreams.env, inject=upstreams.inject, tmp=tmp / "server",
                deadline_s=self._deadline_s,
            )  # fmt: skip
            self._slowest_s = max(self._slowest_s, time.monotonic() - begun_s)
            try:
                yield server, upstreams
            finally:
                await server.stop()
        except TargetError as error:
            if f"within {_DEADLINE_S:g} s" in str(error):
                self._deadline_s = _NEXT_DEADLINE_S
            self._at_start = (upstreams.calls, upstreams.refused)
            raise
        finally:
            await upstreams.stop()

    def _folder(self, draft: Draft) -> Path:
        """The folder of the copy that the service is started in."""
        return self._copy(resolve_place(draft.name, draft.target, self._survey.root)).cwd

    def _copy(self, place: TargetPlace) -> Copy:
        """The one copy of the tree, seen from the folder that this try starts in."""
        if self._workspace is None:
            self._workspace = make_copy(place, self._scratch / "tree").workspace
        workspace = self._workspace
        return Copy(workspace, moved(place.path, place, workspace), moved(place.cwd, place, workspace))

    def _learn(
        self,
        draft: Draft,
        calls: list[UpstreamCall],
        refused: list[str],
        egress: tuple[str, ...],
        sent: tuple[Sent, ...],
    ) -> Draft:
        """The draft with a route for each call that nobody played."""
        values = {value for one in sent for value in sent_values(one.body)}
        unplayed = [call for call in calls if is_refused(call, draft.target)]
        upstreams = list(draft.target.upstreams)
        for name in dict.fromkeys(call.upstream for call in unplayed):
            own = [call for call in unplayed if call.upstream == name]
            at = next((n for n, known in enumerate(upstreams) if known.name == name or known.host == name), None)
            host = upstreams[at].host if at is not None else name
            routes = list(routes_for(self._survey.index, host or name, own, values))
            if at is None:
                upstreams.append(Upstream(name=host_name(name, upstreams), host=name, routes=routes))
            else:
                kept = [
                    r for r in upstreams[at].routes if (r.method, r.path) not in {(n.method, n.path) for n in routes}
                ]
                upstreams[at] = upstreams[at].model_copy(update={"routes": [*kept, *routes]})
        draft = draft.having(upstreams=upstreams)
        other = [line.removeprefix("CONNECT ") for line in refused if line.startswith("CONNECT ")]
        for address in dict.fromkeys([*other, *egress]):
            if not address.startswith(_LOCAL):
                draft = draft.doubting(f"it connects to {address}, which is no http that swarm plays", "upstreams")
        return draft


def _of_older_flask(draft: Draft) -> Draft:
    """The draft whose commands tell Flask its application by FLASK_APP, as those before 2.2 are told it."""
    told = re.compile(r"^flask --app (\S+|'[^']*') ")
    setup = told.sub(r"FLASK_APP=\1 flask ", draft.target.setup) if draft.target.setup else None
    return draft.having(start=told.sub(r"FLASK_APP=\1 flask ", draft.target.start), setup=setup)


def _words_of(sent: tuple[Sent, ...]) -> str:
    """What failed events and their log say."""
    return "\n".join(f"{one.why} {'' if one.good else one.answer}" for one in sent)


def host_name(host: str, others: list[Upstream]) -> str:
    """A short name for a host, unlike the others'."""
    within = host.split(".")[:-1] or [host]  # the last part is a country or a kind of holder
    parts = [part for part in within if part not in ("api", "www", "com", "co", "org", "net", "app")] or within
    names = [re.sub(r"[^a-z0-9-]", "-", part.lower()) or "upstream" for part in (parts[-1], parts[0])]
    taken = {other.name for other in others}
    name = next((name for name in names if name not in taken), names[0])
    number = 2
    while name in taken:
        name, number = f"{name.rstrip('0123456789')}{number}", number + 1
    return name


def _told(grown: Draft, before: Draft) -> str:
    new = []
    old = {(u.name, r.method, r.path) for u in before.target.upstreams for r in u.routes}
    for upstream in grown.target.upstreams:
        new += [
            f"{route.method} {upstream.host or upstream.name}{route.path}" for route in upstream.routes
            if (upstream.name, route.method, route.path) not in old
        ]  # fmt: skip
    if not new:
        return "no call that is not played"
    return f"calls {', '.join(new[:4])}" + (f" and {len(new) - 4} more" if len(new) > 4 else "")


def first_line(error: TargetError) -> str:
    """The error's first line without the target's name before it."""
    line = str(error).splitlines()[0]
    return re.sub(r"^target [\w.-]+(: | does not start: )", "", line)
