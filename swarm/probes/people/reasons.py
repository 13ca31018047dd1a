"""C15: an automated decision about a person gives its reasons, and somebody can have it looked at again."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

from swarm.probes.kept import places_holding
from swarm.probes.people.decisions import DECIDES, decisions_in
from swarm.probes.people.person import Person, credentials, export_routes, known
from swarm.probes.probe import Answer, Probe, ProbeContext, ProbeResult

_REASONS = re.compile(r"reason|explanation|why|because|factor|rationale|justification", re.IGNORECASE)
_REVIEWS = re.compile(
    r"review|appeal|contest|disput|object(ion|_to)?\b|overrid|reconsider|reassess|challenge|second_?look",
    re.IGNORECASE,
)


class Reasons(Probe):
    """Looks what the service decided about a new person (score, tier, price and the like in its upstream writes or in
    what it tells of the person), whether the decision's reasons are told with it, and whether a route takes a request
    to review it.
    """

    id = "C15"
    title = "An automated decision gives no reasons or cannot be reviewed"
    category = "compliance"
    severity = "medium"
    sources = ("GDPR 22",)
    recommendation = (
        "Tell each decision with its reasons, and give a route by which a person has a human look at it again."
    )
    order = 78
    lane = "people"
    together = True

    async def run(self, context: ProbeContext) -> ProbeResult:
        """A read of each route that tells of a person; a review is looked for by its route."""
        person = await known(context)
        if person is None:
            return self.skipped("no payload with personal data was taken")
        mine = [
            c for c in context.upstreams.snapshot() if any(i in c.path or i.encode() in c.body for i in person.ids)
        ]
        answers = await _told_of(context, person)
        named = [*decisions_in(mine), *(key for answer in answers for key in _decisions_told(answer))]
        decided = sorted({name.partition(".")[0] for name in named})
        if not decided:
            kept = ", ".join(sorted(place.name for place in places_holding(context, person.canaries))) or "nothing"
            return self.inapplicable(
                f"no score, tier, price or the like among {len(mine)} upstream calls about a person, "
                f"{len(answers)} answers that tell of them, nor in what is kept ({kept})"
            )
        reasoned = [answer for answer in answers if _decisions_told(answer) and _gives_reasons(answer)]
        review = next((f"{method} {path}" for method, path in context.routes if _is_review(method, path)), "")
        lacking = [
            *([] if reasoned else ["no answer tells the reasons with the decision"]),
            *([] if review else ["no route takes a request to review it"]),
        ]
        if lacking:
            return self.failed(f"{', '.join(decided[:3])} is decided by itself; {' and '.join(lacking)}")
        method, path = review.split(" ", 1)
        answer = await context.call(method, _of(path, person), headers=credentials(context), content=b"{}")
        if answer.status in (404, 405) or answer.broken:
            return self.failed(f"{review} answered {answer.status or answer.text}")
        return self.passed(f"{reasoned[0].path.rpartition('/')[2]} tells reasons; {review} answered {answer.status}")


async def _told_of(context: ProbeContext, person: Person) -> list[Answer]:
    """What the routes that tell of a person answer."""
    headers = credentials(context)
    answers = []
    for path in export_routes(context):
        for known_as in person.ids:
            answer = await context.call("GET", path.replace("{}", quote(known_as, safe="")), headers=headers)
            if answer.ok:
                answers.append(answer)
                break
    return answers


def _decisions_told(answer: Answer) -> list[str]:
    """The fields of an answer that hold a decision: numbers and short words."""
    return [
        key for key, value in _fields(_parsed(answer)) if DECIDES.search(key) and isinstance(value, int | float | str)
    ]


def _gives_reasons(answer: Answer) -> bool:
    """Whether a field for reasons stands in the answer, and something in it."""
    return any(
        _REASONS.search(key) and value not in (None, "", "[]", [], {}) for key, value in _fields(_parsed(answer))
    )


def _fields(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in ((str(key), inner), *_fields(inner))]
    if isinstance(value, list):
        return [pair for item in value for pair in _fields(item)]
    return []


def _parsed(answer: Answer) -> Any:
    try:
        return json.loads(answer.text)
    except ValueError:
        return None


def _is_review(method: str, path: str) -> bool:
    return method in ("POST", "PUT", "PATCH") and _REVIEWS.search(path) is not None


def _of(path: str, person: Person) -> str:
    return re.sub(r"\{[^}]*\}", quote(person.ids[0], safe=""), path.split("?")[0])
