"""C09: nobody gets marketing without a consent on record."""

from __future__ import annotations

import re
from typing import Any

from swarm.probes.people.messages import Occasion, occasions, occasions_of, shown_to_ask_nobody, solicitations
from swarm.probes.probe import Probe, ProbeContext, ProbeResult

_CONSENT = re.compile(r"consent|opt(ed)?_?in\b|subscri|permission|newsletter|marketing", re.IGNORECASE)


class Consent(Probe):
    """Finds the events after which the service writes to somebody who had not written, booked or ordered: there must
    be a consent. Where the event carries one, it is sent with it denied (no message may follow) and given.
    """

    id = "C09"
    title = "People who never agreed are written to"
    category = "compliance"
    severity = "medium"
    sources = ("GDPR 7(1)", "47 CFR 64.1200(a)(2)")
    recommendation = (
        "Keep who agreed to what, when and how, and ask for it before every message that nobody asked for."
    )
    order = 66
    lane = "people"
    together = True

    async def run(self, context: ProbeContext) -> ProbeResult:
        """An event of each kind, then two more of each kind that leads to messages."""
        found = await occasions(context)
        unasked = solicitations(found)
        if not unasked:
            is_shown, words = shown_to_ask_nobody(context, found)
            return self.inapplicable(words) if is_shown else self.skipped(words)
        for occasion in unasked:
            if not _holds_consent(occasion.payload):
                return self.failed(f"{_told(occasion)}, which holds no consent, about somebody unknown")
            (denied,) = await occasions_of(
                context, occasion.webhook, [_with_consent(occasion.payload, is_given=False)]
            )
            if denied.messages:
                return self.failed(f"{_told(denied)} that denies consent")
            (given,) = await occasions_of(context, occasion.webhook, [_with_consent(occasion.payload, is_given=True)])
            if not given.messages:
                return self.skipped(f"no message after {occasion.named} with consent either")
        return self.passed(f"{', '.join(o.kind for o in unasked)}: messages with consent, none where it is denied")


def _told(occasion: Occasion) -> str:
    return f"{len(occasion.messages)} messages after {occasion.named}"


def _holds_consent(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_CONSENT.search(str(key)) or _holds_consent(inner) for key, inner in value.items())
    return isinstance(value, list) and any(_holds_consent(item) for item in value)


def _with_consent(value: Any, *, is_given: bool, here: bool = False) -> Any:
    """The payload with every consent in it given or denied."""
    if isinstance(value, dict):
        return {
            key: _with_consent(inner, is_given=is_given, here=here or bool(_CONSENT.search(str(key))))
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_with_consent(item, is_given=is_given, here=here) for item in value]
    if not here:
        return value
    if isinstance(value, str):
        return "yes" if is_given else "no"
    return is_given
