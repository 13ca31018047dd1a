"""`swarm --help` answers in a blink; the slowest imports are named, so that a slow start can be mended."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

MOST_S = 0.3
TIMES = 7
_IMPORT = re.compile(r"^import time:\s*(\d+) \|\s*(\d+) \|\s*(\S+)$", re.MULTILINE)


def test_help_in_a_blink(tell: Callable[[str], None]) -> None:
    swarm = str(Path(sys.executable).with_name("swarm"))
    walls_s = []
    for _ in range(TIMES):
        began_s = time.perf_counter()
        done = subprocess.run([swarm, "--help"], capture_output=True, text=True, timeout=30, check=True)
        walls_s.append(time.perf_counter() - began_s)
        assert "validate" in done.stdout
    traced = subprocess.run(
        [sys.executable, "-X", "importtime", swarm, "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    imports = sorted(((int(own), name) for own, _, name in _IMPORT.findall(traced.stderr)), reverse=True)
    assert imports
    worst = ", ".join(f"{name} {own_us / 1000:.0f} ms" for own_us, name in imports[:3])
    best_s = min(walls_s)
    tell(
        f"swarm --help: best of {TIMES} {best_s:.3f} s / {MOST_S} s allowed: ratio {best_s / MOST_S:.2f}; "
        f"{len(imports)} imports, the slowest by themselves: {worst}"
    )
    assert best_s < MOST_S
