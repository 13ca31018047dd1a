"""C08: nobody who asked for nothing is written to at night."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from swarm.probes.payloads import changed, name_of, strings
from swarm.probes.people.messages import Occasion, occasions, occasions_of, shown_to_ask_nobody, solicitations
from swarm.probes.probe import Probe, ProbeContext, ProbeResult

_ZONE_FIELDS = ("timezone", "tz", "timezonename", "timezoneid", "zoneinfo")
_ZONES = (
    "Pacific/Honolulu", "America/Anchorage", "America/Los_Angeles", "America/Denver", "America/Chicago",
    "America/New_York", "America/Halifax", "America/Sao_Paulo", "Atlantic/Azores", "Europe/London", "Europe/Berlin",
    "Europe/Helsinki", "Asia/Dubai", "Asia/Karachi", "Asia/Kolkata", "Asia/Bangkok", "Asia/Shanghai", "Asia/Tokyo",
    "Australia/Brisbane", "Pacific/Auckland",
)  # fmt: skip
_NIGHT, _NOON = range(1, 5), range(11, 16)
_ASKS_THE_HOUR = re.compile(r"\.hour\b|ZoneInfo|pytz|quiet_?hours|astimezone|business_?hours", re.IGNORECASE)


class QuietHours(Probe):
    """Finds the events after which the service writes to somebody who had not written, booked or ordered. Where such
    an event names a time zone, it is sent for a zone where it is night and for one where it is noon: only the second
    may lead to a message. Answers to what people did themselves are no solicitations.
    """

    id = "C08"
    title = "People are written to at night"
    category = "compliance"
    severity = "medium"
    sources = ("47 CFR 64.1200(c)(1)",)
    recommendation = "Ask the hour in the contact's own zone before a message: 8 to 21, and keep the rest for later."
    order = 66
    lane = "people"
    together = True

    async def run(self, context: ProbeContext) -> ProbeResult:
        """An event of each kind, then at most two more of each kind that leads to messages."""
        found = await occasions(context)
        unasked = solicitations(found)
        if not unasked:
            is_shown, words = shown_to_ask_nobody(context, found)
            return self.inapplicable(words) if is_shown else self.skipped(words)
        zoned = [occasion for occasion in unasked if _has_zone(occasion)]
        for occasion in zoned:
            at_night, at_noon = [await _sent_at(context, occasion, hours) for hours in (_NIGHT, _NOON)]
            if at_night:
                return self.failed(f"{at_night} messages after {occasion.named} where it is night")
            if not at_noon:
                return self.skipped(f"no message after {occasion.named} at noon either")
        if zoned and len(zoned) == len(unasked):
            return self.passed(f"{', '.join(o.kind for o in zoned)}: messages at noon, none at night (1 to 5)")
        rest = next(occasion for occasion in unasked if occasion not in zoned)
        modules = context.index.tree.modules.values() if context.index is not None else ()
        if context.index is not None and not any(_ASKS_THE_HOUR.search(module.text) for module in modules):
            return self.failed(
                f"{len(rest.messages)} messages after {rest.named}, and nothing in the code asks the hour"
            )
        return self.skipped(f"messages follow {rest.named}, which names no zone by which the hour could be set")


def _has_zone(occasion: Occasion) -> bool:
    return any(name_of(at) in _ZONE_FIELDS for at, _ in strings(occasion.payload))


async def _sent_at(context: ProbeContext, occasion: Occasion, hours: range) -> int:
    """How many messages follow where it is one of these hours now."""
    now = datetime.now(UTC)
    zone = next(name for name in _ZONES if now.astimezone(ZoneInfo(name)).hour in hours)
    payload = changed(occasion.payload, lambda at, value: name_of(at) in _ZONE_FIELDS, lambda value: zone)
    (seen,) = await occasions_of(context, occasion.webhook, [payload])
    return len(seen.messages)
