"""The whole of `swarm init`: look, try, tidy, and try the service's own tests."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from swarm.config.schema import Load, Upstream, Webhook
from swarm.intake.draft import Draft
from swarm.intake.settings.environment import harmless_value
from swarm.intake.survey import Survey, survey
from swarm.intake.trying.events import Sent
from swarm.intake.trying.own_tests import with_tests
from swarm.intake.trying.trial import Trials


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
        draft = await with_tests(draft, root, scratch, tell)
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
            broken = [one for one in own if one.status >= 500]  # a refusal may be what a test wants to see
            if broken:
                words = f"{len(broken)} of {len(own)} examples are left out: {_answered(webhook, broken[0])}"
                draft = draft.doubting(words, "webhooks", len(kept_webhooks), "payloads")
        if not good and own and any(one.good for one in sent):
            first = own[0]
            draft = draft.doubting(f"{_answered(webhook, first)}, and is left out", "webhooks")
            continue
        if not good and own:
            first = own[0]
            words = f"{_answered(webhook, first)}: mend its payloads, sign, or env"
            draft = draft.doubting(words, "webhooks", len(kept_webhooks), "payloads")
        if good and (behind := next((one.why for one in own if one.good and one.why), "")):
            words = f"{webhook.method} {webhook.path} answers well, and its log says: {behind}"
            draft = draft.doubting(words, "webhooks", len(kept_webhooks), "payloads")
        kept_webhooks.append(webhook)
    return draft.having(webhooks=kept_webhooks)


def _answered(webhook: Webhook, sent: Sent) -> str:
    said = sent.why or " ".join(re.sub(r"<[^>]*>", " ", sent.answer).split())[:90]
    return f"{webhook.method} {webhook.path} answers {sent.status or 'nothing'} ({said})"


def _tidied(looked: Survey, draft: Draft) -> Draft:
    """No upstream without a route: a variable that no event needed gets an address where nobody listens."""
    kept: list[Upstream] = []
    for upstream in draft.target.upstreams:
        if upstream.start or upstream.routes:
            kept.append(upstream)
        elif isinstance(upstream.env, str):
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
