"""C07, C16 and C17: browsers, hosts, and what stands in addresses."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import unquote

from swarm.probes.people.person import known
from swarm.probes.probe import Probe, ProbeContext, ProbeResult

_PERSONAL_PARAMETERS = re.compile(
    r"[?&](e_?mail|phone|mobile|first_?name|last_?name|full_?name|ssn|birth\w*)=", re.IGNORECASE
)


class PrivacyControl(Probe):
    """Asks the routes that a browser may open with `Sec-GPC: 1`. The signal comes from browsers: a service that
    gives them neither pages nor cookies meets none of it."""

    id = "C07"
    title = "Global Privacy Control is not answered"
    category = "compliance"
    severity = "low"
    sources = ("11 CCR 7025(c)",)
    recommendation = "Turn sale and sharing off for who sends Sec-GPC: 1, and show that it was done."
    order = 80
    looks_back = True

    async def run(self, context: ProbeContext) -> ProbeResult:
        """At most nine requests."""
        paths = ["/", *(path.split("?")[0] for method, path in context.routes if method == "GET" and "{" not in path)]
        for path in dict.fromkeys(paths[:9]):
            answer = await context.call("GET", path, headers={"Sec-GPC": "1", "Accept": "text/html"})
            is_page = answer.ok and "text/html" in answer.headers.get("content-type", "")
            if is_page and path not in ("/docs", "/redoc"):
                return self.skipped(f"GET {path} gives a page, and what it does with the signal cannot be seen")
        given = [a for a in context.answers if a.ok and "set-cookie" in a.headers]
        if given:
            return self.skipped(f"{given[0].method} {given[0].path} sets a cookie; what it is for cannot be seen")
        return self.inapplicable(
            f"{len(context.answers)} answers of the session: no page and no cookie for a browser"
        )


class DeclaredHosts(Probe):
    """Looks at every connection that the service tried in the session."""

    id = "C16"
    title = "Data goes to hosts that nobody declared"
    category = "compliance"
    severity = "medium"
    cwe = ("CWE-200",)
    sources = ("GDPR 28, 44", "OWASP ASVS 5.0 13.2.4")
    recommendation = "Name every system that gets data, and refuse connections to others."
    order = 96
    looks_back = True

    async def run(self, context: ProbeContext) -> ProbeResult:
        """No request."""
        declared = {
            name.lower() for upstream in context.target.upstreams for name in (upstream.name, upstream.host or "")
        }
        strange: dict[str, str] = {}  # the first call to each host
        for lane in context.everywhere():
            egress: tuple[str, ...] = getattr(lane.server, "refused_egress", tuple)()
            refused = getattr(lane.upstreams, "refused", ())
            past_proxy = ((one, one.rpartition(":")[0].lower()) for one in egress)  # host:port, of a declared one too
            for one, host in [*past_proxy, *((one, _host(one)) for one in refused)]:
                if host not in declared and not _is_loopback(host):
                    strange.setdefault(host, one)
        if strange:
            return self.failed(f"not declared: {', '.join(list(strange.values())[:4])}")
        calls = sum(len(lane.upstreams.snapshot()) for lane in context.everywhere())
        return self.passed(f"{calls} calls, all of them to declared upstreams")


def _host(call: str) -> str:
    """The host or upstream of a refused call, "GET api.example/path"; its route is what nobody plays, at times."""
    return call.partition(" ")[2].partition("/")[0].lower()


def _is_loopback(host: str) -> bool:
    """Whether a host is this machine, written in any way: a probe puts such addresses into events."""
    name = host.partition(":")[0] if host.count(":") == 1 else host.partition("]")[0].strip("[")
    try:
        return ipaddress.ip_address(int(name) if name.isdigit() else name).is_loopback
    except ValueError:
        return name == "localhost"


class PersonalDataInUrls(Probe):
    """Sends an event about a new person and looks for the values in the addresses of all calls that followed, and for
    routes that want such values in their own."""

    id = "C17"
    title = "Personal data stands in URLs"
    category = "compliance"
    severity = "medium"
    cwe = ("CWE-598",)
    sources = ("OWASP ASVS 5.0 14.2.1",)
    recommendation = (
        "Send personal data in bodies, and name people by ids in paths: URLs stand in every log on the way."
    )
    order = 79
    lane = "people"

    async def run(self, context: ProbeContext) -> ProbeResult:
        """One event."""
        person = await known(context)
        if person is None:
            return self.skipped("no payload with personal data was taken")
        for call in context.upstreams.snapshot():
            address = unquote(f"{call.path}?{getattr(call, 'query', '')}")
            for canary, field in person.canaries.items():
                if canary in address:
                    return self.failed(f"{field} stands in the address of {call.method} to {call.upstream}")
        for method, path in context.routes:
            if _PERSONAL_PARAMETERS.search(path):
                return self.failed(
                    "the route takes personal data in its address", f"{method} {path.split('?')[0]}", "low"
                )
        return self.passed(f"{len(person.canaries)} values, none in the address of a call")
