"""The checks of `swarm doctor`."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from swarm.cli.check import Check
from swarm.cli.prerequisites import check_target
from swarm.cli.running import check_writable
from swarm.config.choice import CONFIG_NAME
from swarm.config.load import load_agents
from swarm.config.schema import AgentsFile
from swarm.core.errors import SwarmError, UsageError
from swarm.core.wording import counted
from swarm.models.choose import choose_provider
from swarm.target.running.sandbox import choose_sandbox
from swarm.target.tree.place import resolve_place


def check_machine(out: Path) -> Iterator[Check]:
    """What every run needs or likes to have."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield Check("python", "ok", f"{version} ({os.cpu_count()} cores)")
    provider, reason = choose_provider("auto", os.environ)
    if provider == "offline":
        yield Check(
            "model",
            "optional",
            f"offline playbook: {reason}",
            "needs nothing; set ANTHROPIC_API_KEY to send Claude instead",
        )
    else:
        yield Check("model", "ok", f"{provider}: {reason}")
    yield _loopback()
    yield _program("git", "`swarm apply` works with it", "install git", needed=True)
    sandbox = choose_sandbox()
    if sandbox.name == "bubblewrap":
        yield Check("sandbox", "ok", sandbox.name)
    else:
        yield Check(
            "sandbox",
            "optional",
            sandbox.name,
            "install bubblewrap for a stronger sandbox (apt-get install bubblewrap)",
        )
    yield _program(
        "promtool",
        "checks the monitoring rules",
        "install Prometheus (apt-get install prometheus)",
        needed=False,
    )
    yield _program("amtool", "checks the alerts' receivers", "install Prometheus' Alertmanager", needed=False)
    yield _reports(out)


def _reports(out: Path) -> Check:
    there = out.exists()
    try:
        check_writable(out)
    except UsageError as error:
        return Check("reports", "missing", str(error).partition(";")[0], "name another folder with --out")
    if not there:
        out.rmdir()
    return Check("reports", "ok", f"{out} is writable")


def _loopback() -> Check:
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
    except OSError as error:
        return Check("ports", "missing", f"no free port on 127.0.0.1: {error}", "allow loopback sockets")
    return Check("ports", "ok", "free ports on 127.0.0.1")


def _program(name: str, why: str, remedy: str, *, needed: bool) -> Check:
    path = shutil.which(os.environ.get(f"SWARM_{name.upper()}", name))
    if path:
        return Check(name, "ok", why)
    return Check(name, "missing" if needed else "optional", f"not found; {why}", remedy)


def check_targets(config: Path | None) -> Iterator[Check]:
    """The agents of agents.yaml, and each target: its path, its interpreter, and then all of it at work."""
    source = config or Path(CONFIG_NAME)
    if not source.exists():
        yield Check("config", "missing", f"no {source}", "swarm init PATH writes one")
        return
    try:
        agents = load_agents(source)
    except SwarmError as error:
        yield Check("config", "missing", str(error).splitlines()[0], "swarm validate shows every mistake")
        return
    yield Check(
        "config", "ok", f"{source}: {counted(len(agents.swarms), 'swarm')}, {counted(len(agents.targets), 'target')}"
    )
    yield from _swarms(agents)
    for name, target in agents.targets.items():
        try:
            place = resolve_place(name, target, agents.folder())
        except SwarmError as error:
            yield Check(f"target {name}", "missing", str(error), f"mend targets.{name} in {source}")
            continue
        done = subprocess.run(
            [str(place.python), "-c", "import sys; print(sys.version.split()[0])"],
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            yield Check(f"target {name}", "missing", f"{place.python} does not run", f"set targets.{name}.python")
        else:
            yield Check(f"target {name}", "ok", f"{place.path.name}/, Python {done.stdout.strip()}")
            yield from check_target(name, target, place)


def _swarms(agents: AgentsFile) -> Iterator[Check]:
    """Whether each swarm's agents can work: who coordinates, and what tools the specialists have."""
    if not agents.swarms:
        yield Check("agents", "ok", "the swarm that comes with swarm (agents.yaml names none)")
    for name, swarm in agents.swarms.items():
        idle = [who for who, specialist in swarm.specialists.items() if not specialist.tools]
        words = f"{counted(len(swarm.specialists), 'specialist')}, pattern {swarm.pattern}"
        if idle:
            words += f"; without tools: {', '.join(idle)}"
        yield Check(f"agents {name}", "optional" if idle else "ok", words, "name their tools" if idle else "")
