"""The whole of `swarm init`: look, try, tidy, and try the service's own tests."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from swarm.config.schema import Load, Upstream, Webhook
from swarm.core.errors import TargetError
from swarm.intake.draft import Draft
from swarm.intake.events import Sent
from swarm.intake.settings import harmless_value
from swarm.intake.survey import Survey, survey
from swarm.intake.trial import Trials
from swarm.target.copies import make_copy
from swarm.target.place import resolve_place
from swarm.target.sandbox import choose_sandbox
from swarm.verify.testrun import TestRun, is_pytest, run_tests

_MOST_LEFT_OUT = 25


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What came of it. `started` is None where nothing was started on purpose."""

    draft: Draft
    started: bool | None
    good: int = 0
    sent: int = 0


async def take_in(
    root: Path, scratch: Path, tell: Callable[[str], None], *, python: Path | None = None, start: bool = True
) -> TakenIn:
    """Everything that can be known of the service in `root`. Raises TargetError where it holds none."""
    looked = survey(root, python, tell)
    if not start:
        return TakenIn(_tidied(looked, looked.draft), None)
    trial = await Trials(looked, scratch, tell).run()
    draft = trial.draft
    if trial.started:
        draft = _without_bad_examples(draft, trial.sent)
        draft = draft.having(load=Load(rate=10, seconds=8))
    elif looked.interpreter.missing:
        names = ", ".join(sorted(looked.interpreter.missing))
        words = f"install {names} for the target's interpreter, or set `python` to the one that has them"
        draft = draft.doubting(words, "python" if draft.target.python else "start")
    draft = _tidied(looked, draft)
    if draft.target.tests:
        draft = await _with_tests(looked, draft, scratch, tell)
    return TakenIn(draft, trial.started, sum(one.good for one in trial.sent), len(trial.sent))


def _without_bad_examples(draft: Draft, sent: tuple[Sent, ...]) -> Draft:
    """Keep the examples that the service takes; where it takes none of a webhook, say so."""
    webhooks = list(draft.target.webhooks)
    kept_webhooks: list[Webhook] = []
    for number, webhook in enumerate(webhooks):
        own = [one for one in sent if one.webhook == number]
        good = [one.payload for one in own if one.good]
        if good and len(good) < len(own):
            kept = [payload for place, payload in enumerate(webhook.payloads) if place in good]
            webhook = webhook.model_copy(update={"payloads": kept})
        if not good and own and any(one.good for one in sent):
            first = own[0]
            draft = draft.doubting(f"{_answered(webhook, first)}, and is left out", "webhooks")
            continue
        if not good and own:
            first = own[0]
            words = f"{_answered(webhook, first)}: mend its payloads, sign, or env"
            draft = draft.doubting(words, "webhooks", len(kept_webhooks), "payloads")
        kept_webhooks.append(webhook)
    return draft.having(webhooks=kept_webhooks)


def _answered(webhook: Webhook, sent: Sent) -> str:
    said = " ".join(re.sub(r"<[^>]*>", " ", sent.answer).split())[:90]
    return f"{webhook.method} {webhook.path} answers {sent.status or 'nothing'} ({said})"


def _tidied(looked: Survey, draft: Draft) -> Draft:
    """No upstream without a route: a variable that no event needed gets an address where nobody listens."""
    kept: list[Upstream] = []
    for upstream in draft.target.upstreams:
        if upstream.start or upstream.routes:
            kept.append(upstream)
        elif upstream.env is not None:
            setting = next((s for s in looked.settings if s.name == upstream.env), None)
            value = (setting.default if setting is not None else None) or "http://127.0.0.1:9"
            draft = draft.with_env({upstream.env: value})
            if setting is not None and setting.required:
                words = f"no event made it call {upstream.env}; where one does, play it under `upstreams`"
                draft = draft.doubting(words, "env", upstream.env)
    known = {setting.name: setting for setting in looked.settings}
    for webhook in draft.target.webhooks:
        secret = webhook.sign.secret_env
        if secret and secret not in draft.target.env and secret in known:
            draft = draft.with_env({secret: harmless_value(known[secret])})
    return draft.having(upstreams=kept)


async def _with_tests(looked: Survey, draft: Draft, scratch: Path, tell: Callable[[str], None]) -> Draft:
    """Run the tests once: those that fail before any patch prove nothing and are left out, each by its name."""
    target = draft.target
    place = resolve_place(draft.name, target, looked.root)
    copy = make_copy(place, scratch / "tests-tree")
    tell(f"tests: {target.tests}")
    try:
        result = await run_tests(place, copy, target, choose_sandbox(), scratch / "tests")
    except TargetError as error:
        return draft.having(tests=None).doubting(f"its tests cannot be run ({str(error).splitlines()[0]})", "start")
    if result is None or result.green:
        if result is not None:
            tell(f"  {result.counts.passed} passed, {result.counts.skipped} skipped")
        return draft
    why = _red(result)
    tell(f"  {why}")
    names = [_node_id(looked.root, name) for name in result.failing]
    usable = is_pytest((target.tests or "").split()) and not result.ended_by and result.counts.passed > 0
    if not usable or None in names or len(names) > _MOST_LEFT_OUT:
        words = f"`{target.tests}` is left out: {why}; mend them, then write tests: {target.tests!r}"
        return draft.having(tests=None).doubting(words, "start")
    left_out = " ".join(f"--deselect {_quoted(name)}" for name in names if name)
    again = draft.having(tests=f"{target.tests} {left_out}")
    second = await run_tests(place, copy, again.target, choose_sandbox(), scratch / "tests-again")
    if second is None or not second.green:
        words = (
            f"`{target.tests}` is left out: {why}, and without those {_red(second) if second else 'it does not run'}"
        )
        return draft.having(tests=None).doubting(words, "start")
    tell(f"  without {len(names)} that fail already: {second.counts.passed} passed")
    return again.doubting(f"{len(names)} tests that fail before any patch are left out: {why}", "tests")


def _red(result: TestRun) -> str:
    """Why tests are red, in one line; those that want the network are told so."""
    if result.ended_by:
        return f"the tests are ended by their limit of {result.ended_by}"
    wants = re.search(
        r"no network but loopback: (\S+)|ConnectionError|NameResolutionError|Network is unreachable", result.tail
    )
    said = f" (they call {wants[1] or 'the network'}, and nothing leaves this machine)" if wants else ""
    missing = re.search(r"No module named '([^']+)'", result.tail)
    said = f" ({missing[1]!r} is not installed for its interpreter)" if missing else said
    first = ", ".join(result.failing[:2]) or (result.tail.splitlines() or ["no output"])[-1]
    total = result.counts.failed + result.counts.passed
    if not total:
        return f"they cannot be run{said}: {first}"
    return f"{result.counts.failed} of {total} fail before any patch{said}: {first}"


def _node_id(root: Path, name: str) -> str | None:
    """pytest's id of a test whose name is `package.module.Class::test`."""
    dotted, _, test = name.partition("::")
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        file = "/".join(parts[:count]) + ".py"
        if (root / file).is_file():
            return "::".join([file, *parts[count:], test])
    return None


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[\w./:-]+", name) else "'" + name.replace("'", "'\"'\"'") + "'"
