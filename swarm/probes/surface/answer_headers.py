"""W28: answers say that their type is not to be guessed."""

from __future__ import annotations

import asyncio

from swarm.probes.probe import Answer, Probe, ProbeContext, ProbeResult, route_of

_MOST_ROUTES = 6


class AnswerHeaders(Probe):
    """Looks at answers to good and unsigned deliveries and at known GET routes: JSON must come with
    `X-Content-Type-Options: nosniff`, so that no browser takes it for a page.
    """

    id = "W28"
    title = "Answers may be taken for something else"
    severity = "low"
    cwe = ("CWE-693",)
    sources = ("OWASP ASVS 5.0 3.4.4",)
    proves = ("guessed-content-type",)
    recommendation = "Send X-Content-Type-Options: nosniff with every answer."
    order = 23

    async def run(self, context: ProbeContext) -> ProbeResult:
        """Two requests a webhook and at most six others."""
        asked = 0
        for webhook in context.webhooks():
            good = context.fresh(webhook)
            answers = [await context.send(context.unsigned(webhook, good)), await context.send(good)]
            for answer in answers:
                what = lacks(answer)
                if what:
                    return self.failed(f"answered {answer.status} with {what}", route_of(webhook))
            asked += sum(1 for answer in answers if _kind(answer))
        gets = [path.split("?")[0] for method, path in context.routes if method == "GET" and "{" not in path]
        paths = list(dict.fromkeys(gets))[:_MOST_ROUTES]
        for answer in await asyncio.gather(*(context.call("GET", path) for path in paths)):
            what = lacks(answer)
            if what:
                return self.failed(f"GET {answer.path} answered {answer.status} with {what}")
            asked += 1 if _kind(answer) else 0
        if not asked:
            return self.skipped("no answer had a type")
        return self.passed(f"{asked} answers, none of them left to guesses")


def _kind(answer: Answer) -> str:
    return answer.headers.get("content-type", "").partition(";")[0].strip().lower()


def lacks(answer: Answer) -> str:
    """What an answer's headers leave to guesses; "" for nothing. Errors of the server itself are another's."""
    kind = _kind(answer)
    is_json = kind == "application/json" or kind.endswith("+json")
    if is_json and not answer.broken and "nosniff" not in answer.headers.get("x-content-type-options", "").lower():
        return "JSON without X-Content-Type-Options: nosniff"
    return ""
