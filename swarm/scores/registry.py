"""The fixed list of checks that make the two scores, and its digest.

A score can be compared with another only where both are of the same list: skipping a check, or taking it off, must
not raise anything. The ids W and C are those of the live probes; S are checks that only code can show.
"""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass
from typing import Literal

from swarm.core.findings import Severity

Area = Literal["security", "compliance"]
WEIGHTS: dict[Severity, float] = {"critical": 10.0, "high": 7.5, "medium": 5.0, "low": 2.5, "info": 0.0}

# What static analysis alone is worth in a class of faults: the share of faults that it finds less the share of
# harmless code that it takes for one, in code that it was not tuned on, one success and one failure added to both
# (a detector that was right ten times of ten is not perfect). sql, run and chance: the half of OWASP BenchmarkPython
# 0.1 that the rules were not tuned on, with tests/corpus as it was first met: 20 of 20 found and 0 of 29 safe ones
# reported; 43 of 45 and 1 of 76; 55 of 56 and 0 of 112. digest, by bandit: all of that suite, 76 of 76 and 0 of 80.
# The others by swarm.scores.faults in five public services, every fault found and no twin reported, one or two
# shapes in each; compare and tls with tests/corpus/detectors/first_met as first met, too: 29 of 30 and 0 of 30; 21 of
# 22 and 0 of 22. secret, timeout and swallow: candidates taken from public services by names alone, labelled by
# reading before the detector saw them (tests/scores/test_detectors.py tells how): 23 of 34 and 9 of 1,339; 50 of 54
# and 0 of 199; 35 of 47 and 7 of 151.
DETECTORS: dict[str, float] = {
    "sql": 0.92, "run": 0.91, "chance": 0.96, "digest": 0.97,
    "compare": 0.9, "secret": 0.65, "tls": 0.87, "timeout": 0.9, "error-details": 0.83, "log-body": 0.83,
    "debug": 0.71, "swallow": 0.68,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Check:
    """One question. `probes` are asked of the running service, `rules` of the code.

    `rules` holds only rules that point at a place in the code.
    `faults` names the planted class (swarm.scores.faults) that tells whether those who look can still see.
    """

    id: str
    title: str
    area: Area
    severity: Severity
    probes: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    faults: str = ""

    @property
    def kind(self) -> Literal["static", "live"]:
        """Whether a probe asks it."""
        return "live" if self.probes else "static"

    @property
    def weight(self) -> float:
        """By severity, as OpenSSF Scorecard weighs risks."""
        return WEIGHTS[self.severity]

    @property
    def detector(self) -> float:
        """What the code alone can show, at most 0.7 where a probe exists."""
        worth = DETECTORS.get(self.faults, 0.0)
        return min(worth, 0.7) if self.probes else worth


def _live(check: str, severity: Severity, title: str, *, rules: tuple[str, ...] = (), faults: str = "",
          also: tuple[str, ...] = ()) -> Check:  # fmt: skip
    area: Area = "compliance" if check.startswith("C") else "security"
    return Check(check, title, area, severity, (check, *also), rules, faults)


def _static(check: str, severity: Severity, title: str, rules: tuple[str, ...], faults: str = "") -> Check:
    return Check(check, title, "security", severity, (), rules, faults)


CHECKS: tuple[Check, ...] = (
    _live("W01", "critical", "Unsigned requests are refused and have no effect", faults="signature"),
    _live("W02", "critical", "False signatures are refused", faults="signature"),
    _live("W03", "critical", "Bodies changed after signing are refused", faults="signature"),
    _live("W04", "critical", "One signature scheme cannot stand in for another", faults="signature"),
    _live("W05", "critical", "Without its secret the service is closed"),
    _live("W06", "high", "Old and future requests are refused"),
    _live("W07", "high", "A repeated delivery has one effect"),
    _live("W08", "medium", "A used id with another body changes nothing"),
    _live("W09", "high", "A large body is refused before it is worked on"),
    _live("W10", "medium", "Other content types are refused"),
    _live("W11", "high", "Hostile JSON is refused cleanly"),
    _live("W12", "critical", "Stored text stays text", rules=("sql-from-strings",), faults="sql", also=("W12-text",)),
    _live("W13", "high", "Errors say nothing about the inside", rules=("error-details-leak",),
          faults="error-details"),
    _live("W14", "high", "Bursts are slowed down while good requests pass"),
    _live("W15", "medium", "The answer does not wait for slow upstreams"),
    _live("W16", "medium", "Nothing but the declared routes is open", also=("W16-docs",)),
    _live("W17", "medium", "Forged proxy headers open nothing"),
    _live("W18", "critical", "Nobody reads what is another's"),
    _live("W19", "high", "Fields that a sender must not set are not taken"),
    _live("W20", "critical", "The service fetches no address that a sender names"),
    _live("W21", "medium", "Failing upstreams are borne"),
    _live("W22", "medium", "A sender cannot write lines into the log"),
    _live("W23", "high", "No secrets in the log"),
    _live("W24", "medium", "No smuggled requests; slow senders hold nobody up"),
    _live("W25", "medium", "Foreign origins are not let in"),
    _live("W26", "high", "A kill after the answer loses nothing"),
    _live("W27", "medium", "Keys can be rotated without a gap"),
    _live("W28", "low", "Answers are taken for nothing else"),
    _static("S01", "high", "Signatures are compared in constant time", ("unsafe-signature-compare",), "compare"),
    _static("S02", "high", "No secrets in the code", ("secret-in-code",), "secret"),
    _static("S03", "high", "Certificates of others are checked", ("tls-check-off", "bandit-B501"), "tls"),
    _static("S04", "critical", "Nothing is run or unpacked that came as data",
            ("code-injection", "command-injection", "template-injection", "unsafe-deserialisation"), "run"),
    _static("S05", "high", "Tokens come from a secure source of chance", ("weak-random",), "chance"),
    _static("S06", "medium", "No broken digests", ("weak-hash", "bandit-B303", "bandit-B324"), "digest"),
    _static("S07", "high", "Debug mode is off", ("debug-enabled", "bandit-B201"), "debug"),
    _static("S08", "medium", "Outgoing calls have a time limit", ("missing-timeout", "bandit-B113"), "timeout"),
    _static("S09", "medium", "No error is swallowed", ("swallowed-exception",), "swallow"),
    _live("S10", "medium", "No dependency has a known hole"),
    _live("C01", "high", "Personal data stays out of the log", rules=("personal-data-in-logs",), faults="log-body"),
    _live("C02", "high", "A person's data can be deleted, and stays deleted", rules=("deleted-data-stays",),
          also=("C02-failed",)),
    _live("C03", "medium", "A person's data can be exported"),
    _live("C04", "medium", "A correction shows in every read"),
    _live("C05", "medium", "What is older than its period goes", rules=("no-retention",)),
    _live("C06", "high", "Who opts out gets no further message"),
    _live("C07", "low", "Global Privacy Control is honoured"),
    _live("C08", "medium", "Nobody is written to at night"),
    _live("C09", "medium", "Marketing needs a consent on record"),
    _live("C10", "high", "What was decided and changed leaves a trail that shows tampering",
          rules=("no-data-audit",)),
    _live("C11", "medium", "Personal data is encrypted where it is stored", rules=("unencrypted-personal-data",)),
    _live("C12", "medium", "Only declared fields are stored"),
    _live("C13", "critical", "No protected trait reaches a score"),
    _live("C14", "medium", "Replies steer nobody"),
    _live("C15", "medium", "Automated decisions give reasons and can be reviewed"),
    _live("C16", "medium", "Data goes to declared hosts only"),
    _live("C17", "medium", "No personal data in URLs", rules=("personal-data-in-urls",)),
)  # fmt: skip

# What only documents can show: listed beside the score, in no figure of it.
ATTESTED = (
    "breach notice within 72 hours (GDPR 33)",
    "privacy notices",
    "data protection impact assessment (GDPR 35)",
    "contracts with processors (GDPR 28)",
)


def checks_of(area: Area) -> tuple[Check, ...]:
    """The checks of one score."""
    return tuple(check for check in CHECKS if check.area == area)


def registry_digest(checks: tuple[Check, ...] = CHECKS) -> str:
    """Twelve hexadecimal digits that change with any check, weight or worth of a detector."""
    lines = [repr((astuple(check), check.weight, check.detector)) for check in checks]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]
