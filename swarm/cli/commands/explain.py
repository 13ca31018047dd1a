"""`swarm explain`: what a rule is about."""

from __future__ import annotations

from typing import Annotated

import typer

NAME = "explain"
SHORT = "Tell a rule's why, examples and mend"


def command(
    rule: Annotated[
        str | None, typer.Argument(metavar="RULE", help="A rule's id; the whole list where none is named.")
    ] = None,
) -> int:
    """Tell a rule's why, a bad and a good example, its fix, its sources; without RULE the whole list.

    Example: swarm explain sequential-awaits
    """
    import inspect

    from swarm.cli.say import next_command, say
    from swarm.core.errors import UsageError
    from swarm.core.metrics import did_you_mean
    from swarm.rules.registry import all_rules

    rules = {known.id: known for known in all_rules()}
    if rule is None:
        for known in sorted(rules.values(), key=lambda r: (r.category, r.id)):
            mends = "mends" if any(example.after for example in known.bad) else "advises"
            say(f"{known.category:12} {known.id:28} {known.severity:9} {mends:8} {known.title}")
        say(f"{len(rules)} rules; `mends` patches the code, `advises` tells what to do")
        next_command(f"swarm explain {next(iter(rules))}")
        return 0
    if rule not in rules:
        raise UsageError(f"no rule {rule!r}{did_you_mean(rule, rules)}; `swarm explain` lists them")
    known = rules[rule]
    say(f"{known.id}: {known.title}")
    say(f"{known.category}, {known.severity}" + (f", {', '.join(known.cwe)}" if known.cwe else ""))
    say()
    say(inspect.cleandoc(type(known).__doc__ or ""))
    for example in known.bad[:1]:
        say("\nBad:\n" + _indented(example.before))
        if example.after:
            say("Mended:\n" + _indented(example.after))
    for good in known.good[:1]:
        say("Good:\n" + _indented(good))
    if known.sources:
        say("Sources: " + ", ".join(known.sources))
    next_command("swarm scan")
    return 0


def _indented(text: str) -> str:
    return "".join(f"    {line}".rstrip() + "\n" for line in text.strip("\n").splitlines())
