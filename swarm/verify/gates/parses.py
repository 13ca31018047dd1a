"""Gate `parses`: every changed Python file compiles under the target's own interpreter."""

from __future__ import annotations

from swarm.core.patches import GateResult
from swarm.core.ports import CommandLimits
from swarm.target.running.environment import child_environment
from swarm.verify.lab import Lab, Trial

_COMPILE = """
import sys
for path in sys.argv[1:]:
    with open(path, 'rb') as file:
        compile(file.read(), path, 'exec')
"""


async def check(lab: Lab, trial: Trial) -> GateResult:
    """Compile what the judged patches changed."""
    changed = sorted({p for patch in trial.judged for p in patch.files if p.endswith(".py")})
    present = [path for path in changed if (trial.copy.path / path).exists()]
    if not present:
        return GateResult("parses", None, "no Python file changed")
    tmp = lab.folder("compile")
    env = child_environment(lab.place, trial.copy, lab.target, tmp, None, {})
    files = [str(trial.copy.path / path) for path in present]
    argv = [str(lab.place.python), "-c", _COMPILE, *files]
    result = await lab.sandbox.run(argv, trial.copy.cwd, env, CommandLimits(timeout_s=60))
    if result.exit_code == 0:
        return GateResult("parses", True, f"{len(present)} files compile", result.duration_s)
    last = result.output.strip().splitlines()[-1:] or ["the interpreter gave no message"]
    return GateResult("parses", False, last[0], result.duration_s)
