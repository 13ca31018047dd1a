"""`swarm scan`: findings alone."""

from __future__ import annotations

from typing import Annotated

import typer

from swarm.cli.options import ConfigFile, TargetWord

NAME = "scan"
SHORT = "Find problems in the code; starts nothing"


def command(
    target: TargetWord = None,
    config: ConfigFile = None,
    json: Annotated[bool, typer.Option("--json", help="Findings as JSON on stdout.")] = False,
    fail_on: Annotated[
        list[str] | None, typer.Option("--fail-on", help="severity:high and the like; repeatable.", metavar="RULE")
    ] = None,
) -> int:
    """Find problems in the code: no patches, no load, nothing started.

    Example: swarm scan reference --fail-on severity:high
    """
    import json as encoder
    from dataclasses import asdict

    from swarm.analysis.bandit_scan import bandit_findings, join
    from swarm.analysis.dataflow.settled import unsettled
    from swarm.analysis.index import build_index
    from swarm.analysis.source import SourceTree
    from swarm.cli.run_folders import config_of, config_words
    from swarm.cli.say import next_command, say
    from swarm.config.choice import choose
    from swarm.core.errors import UsageError
    from swarm.core.fail_on import check_fail_on, reasons_to_fail
    from swarm.core.findings import severity_rank
    from swarm.core.report import Report, RunInfo
    from swarm.core.wording import counted
    from swarm.rules.scan import scan
    from swarm.target.tree.place import resolve_place

    check_fail_on(fail_on or ())
    for rule in fail_on or ():
        if not rule.startswith("severity:"):
            raise UsageError(f"--fail-on {rule} needs measurements, and scan makes none; use it with: swarm run")
    choice = choose(target, config)
    # nothing is run: a check of CI may have no environment
    read_only = choice.target.model_copy(update={"python": None})
    place = resolve_place(choice.target_name, read_only, choice.folder)
    tree = SourceTree.load(place.path)
    index = build_index(tree)
    every = unsettled(index, join(scan(index), bandit_findings(place.path, tree.modules)))
    findings = sorted(every, key=lambda f: severity_rank(f.severity))
    info = RunInfo("scan", "", "", 0.0, "", choice.target_name, "", "", "complete")
    reasons = reasons_to_fail(fail_on or (), Report(info, findings=tuple(findings)))
    if json:
        say(encoder.dumps([{"id": f.id, **asdict(f)} for f in findings], indent=2, ensure_ascii=False))
        return 1 if reasons else 0
    for finding in findings:
        place_of = f"{finding.file}:{finding.line}" if finding.line else finding.file or "service"
        kind = "" if finding.mendable else " (advice)"
        say(f"{finding.severity:9} {place_of:36} {finding.rule:26} {finding.title}{kind}")
    for path, reason in tree.unparsed:
        say(f"not analysed: {path}: {reason}")
    mendable = sum(finding.mendable for finding in findings)
    say(
        f"{counted(len(findings), 'finding')} in {counted(len(tree.modules), 'file')}; swarm run mends {mendable}, "
        f"the others are advice (swarm explain {findings[0].rule if findings else 'RULE'} tells why and how)"
        if findings
        else f"no findings in {counted(len(tree.modules), 'file')}"
    )
    for reason in reasons:
        say(f"fails: {reason}")
    next_command(" ".join(["swarm run", choice.target_name, *config_words(config_of(choice))]))
    return 1 if reasons else 0
