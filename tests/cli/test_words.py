"""Every command's help, and wrong words: one clear line each, and the contract's exit code."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from swarm.cli.main import guarded
from tests.cli.conftest import Cli
from tests.cli.tiny import AGENTS, SWARM, run_program, swarm_environment, write_service

COMMANDS = ("run", "scan", "bench", "apply", "rollback", "report", "runs", "validate", "explain", "doctor")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(cli: Cli, command: str) -> None:
    said = cli(command, "--help")
    assert said.code == 0
    assert f"Example: swarm {command}" in said.out


def test_list_of_commands_is_whole(cli: Cli) -> None:
    said = cli("-h")
    assert said.code == 0
    for command in COMMANDS:
        (line,) = [line for line in said.out.splitlines() if line.split()[:1] == [command]]
        assert not line.endswith("...")


def test_help_answers_in_a_blink() -> None:
    def once() -> float:
        """Seconds of the processor: on a busy machine the answer waits for its turn, which is not its fault."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([str(SWARM), "--help"], capture_output=True, check=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(once() for _ in range(5)) < 0.3


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from swarm.cli.main import guarded; guarded(['run', '--help']); "
        "heavy = {'anthropic', 'yaml', 'libcst', 'aiohttp', 'httpx', 'jinja2', 'bandit', 'rich.live'}; "
        "found = heavy & set(sys.modules); print(found, file=sys.stderr); sys.exit(len(found))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, done.stderr


WRONG = [
    (("run", "--nosuch"), 2, "No such option: --nosuch"),
    (("frobnicate",), 2, "No such command 'frobnicate'"),
    (("run", "--deadline", "soon"), 2, "--deadline"),
    (("run", "--deadline", "0"), 2, "--deadline 0 must be more than 0"),
    (("run", "--deadline", "nan"), 2, "--deadline nan must be more than 0"),
    (("run", "--budget-tokens", "-1"), 2, "--budget-tokens -1 must be more than 0"),
    (("run", "--pattern", "paralel"), 2, "did you mean 'parallel'"),
    (("run", "--provider", "antropic"), 2, "did you mean 'anthropic'"),
    (("run", "--provider", "anthropic"), 2, "needs ANTHROPIC_API_KEY"),
    (("run", "--swarm", "nosuch"), 2, "no swarm 'nosuch'"),
    (("run", "--only", "nobody"), 2, "no such specialist"),
    (("run", "--fail-on", "severity:hihg"), 2, "did you mean 'high'"),
    (("run", "nosuch"), 3, "no target 'nosuch' in agents.yaml; it has tiny"),
    (("scan", "tinny"), 3, "did you mean 'tiny'"),
    (("scan", "--fail-on", "targets"), 2, "scan makes none"),
    (("bench", "nosuch"), 3, "no target 'nosuch'"),
    (("bench", "--rate", "0"), 2, "--rate 0 must be more than 0"),
    (("run", "-c", "nosuch.yaml"), 2, "nosuch.yaml"),
    (("validate", "-c", "nosuch.yaml"), 2, "nosuch.yaml"),
    (("explain", "sequential-await"), 2, "did you mean 'sequential-awaits'"),
    (("report",), 2, "no run in reports; make one with: swarm run"),
    (("report", "nosuch"), 2, "no run 'nosuch' in reports"),
    (("apply",), 2, "no run in reports"),
    (("rollback",), 2, "no run in reports"),
]


@pytest.mark.parametrize(("words", "code", "told"), WRONG, ids=[" ".join(words) for words, _, _ in WRONG])
def test_wrong_words(cli: Cli, tmp_path: Path, words: tuple[str, ...], code: int, told: str) -> None:
    write_service(tmp_path)
    said = cli(*words)
    assert (said.code, said.out) == (code, "")
    assert told in said.err
    assert len(said.err.splitlines()) <= 2
    assert all(line.startswith("swarm: ") for line in said.err.splitlines())
    assert not (tmp_path / "reports").exists()


def test_no_words_shows_the_help(cli: Cli) -> None:
    said = cli()
    assert said.code == 2
    assert "Commands:" in said.out


def test_bug_is_told_as_ours_and_debug_shows_it(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_service(tmp_path)
    monkeypatch.setattr("swarm.config.choice.load_agents", lambda source: 1 / 0)
    said = cli("scan")
    assert said.code == 70
    assert said.err.splitlines()[0] == "swarm: a bug of swarm's: ZeroDivisionError: division by zero"
    monkeypatch.setenv("SWARM_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        guarded(["scan"])


MISTAKES = """
version: 1
sqad:
  specialists:
    fast: {target_metrics: ["webhook_procesing_time < 500ms"]}
targets:
  tiny:
    path: .
    strat: "python app.py --port {port}"
"""


@pytest.mark.parametrize("command", ["validate", "run", "scan"])
def test_every_mistake_of_the_config_has_its_line(cli: Cli, tmp_path: Path, command: str) -> None:
    write_service(tmp_path, agents=MISTAKES)
    said = cli(command)
    assert said.code == 2
    assert "agents.yaml:4:" in said.err and "did you mean 'webhook_processing_time'" in said.err
    assert "agents.yaml:8:" in said.err and "did you mean 'start'" in said.err
    assert not (tmp_path / "reports").exists()


def test_tool_that_is_none(cli: Cli, tmp_path: Path) -> None:
    write_service(tmp_path, agents=f"{AGENTS}\nsqad:\n  specialists:\n    fast: {{tools: [Raed]}}\n")
    said = cli("validate")
    assert said.code == 2
    assert "'Raed'" in said.err and "did you mean 'Read'" in said.err


def test_yaml_that_is_none(cli: Cli, tmp_path: Path) -> None:
    write_service(tmp_path, agents="version: 1\ntargets: [unclosed\n")
    said = cli("run")
    assert said.code == 2
    assert len(said.err.splitlines()) <= 2 and "agents.yaml:" in said.err


def test_path_that_is_none(cli: Cli, tmp_path: Path) -> None:
    write_service(tmp_path, agents=AGENTS.replace("path: .", "path: nowhere"))
    for command in ("run", "scan", "validate", "bench"):
        said = cli(command)
        assert said.code == 3
        assert "nowhere" in said.err and len(said.err.splitlines()) <= 2


@pytest.mark.parametrize("words", [["explain"], ["explain", "sequential-awaits"], ["scan"], ["--help"]])
def test_reader_that_left_early(tmp_path: Path, words: list[str]) -> None:
    write_service(tmp_path)
    command = f"{SWARM} {' '.join(words)} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_closed_stdout_and_a_poor_encoding(tmp_path: Path) -> None:
    closed = subprocess.run(
        ["bash", "-c", f"{SWARM} explain >&-"], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
    )
    assert (closed.returncode, closed.stderr) == (0, "")
    write_service(tmp_path)
    env = swarm_environment(tmp_path / "tmp", PYTHONIOENCODING="ascii")
    poor = run_program("doctor", cwd=tmp_path, env=env)
    assert "bug" not in poor.stderr
    assert "? needs nothing" in poor.stdout
