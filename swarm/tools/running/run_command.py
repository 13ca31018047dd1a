"""Tool: one command in the sandbox, on a copy of the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from swarm.core.errors import ToolFailed
from swarm.core.masking import tells_secret, without_password
from swarm.core.ports import CommandLimits
from swarm.tools.tool import Answer, Arguments, Tool, as_json, capped

if TYPE_CHECKING:
    from swarm.tools.workbench import Workbench

_OUTPUT_CHARS = 12_000
STAND_IN = "not-the-real-value-0123456789abcdef"


class RunCommandArguments(Arguments):
    """The words of the command."""

    argv: list[str] = Field(min_length=1, max_length=64, description="program and arguments; no shell")
    timeout_s: float = Field(60.0, gt=0, le=120)


class RunCommand(Tool):
    """Runs on a copy of its own: what it writes reaches neither the user's tree nor other tools."""

    name = "run_command"
    group = "Bash"
    description = (
        "Runs one command (a list of words, no shell) in a sandboxed copy of the target, its interpreter "
        "first in PATH and no network but loopback. It sees the copy, programs and libraries alone, and stand-ins "
        "for secrets. Gives exit code and output."
    )
    arguments = RunCommandArguments

    async def run(self, arguments: RunCommandArguments, bench: Workbench) -> Answer:
        """The exit code is null where a limit ended it. Raises ToolFailed where nothing would hold a command back."""
        from swarm.target.running.environment import child_environment
        from swarm.target.running.sandbox import ONLY_COPY, ProcessLimits

        if isinstance(bench.sandbox, ProcessLimits):
            raise ToolFailed("no command is run: without bubblewrap it could read all of this machine; go on without")
        copy = await bench.command_copy()
        tmp = bench.scratch / "commands-tmp"
        tmp.mkdir(parents=True, exist_ok=True)
        env = child_environment(bench.place, copy, bench.target, tmp, None, {})
        # A model chose the words, and may have had them from the target: nothing to be read but the copy, and no
        # secret, for a command could print one in a form that no mask knows.
        env = {name: STAND_IN if tells_secret(name) else without_password(value) for name, value in env.items()}
        env[ONLY_COPY] = "1"
        async with bench.lease.working():
            result = await bench.sandbox.run(
                arguments.argv, copy.cwd, env, CommandLimits(timeout_s=arguments.timeout_s)
            )
        return Answer(
            as_json(
                {
                    "exit_code": result.exit_code,
                    "ended_by": result.ended_by,
                    "duration_s": round(result.duration_s, 2),
                    "output": capped(bench.mask(result.output), _OUTPUT_CHARS),
                }
            )
        )
