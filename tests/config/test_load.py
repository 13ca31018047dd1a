"""agents.yaml: the seed's block loads as it stands, and every mistake is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.config.choice import choose
from swarm.config.load import ConfigMistakes, load_agents
from swarm.core.errors import TargetError, UsageError

SEED = """\
ghl_optimization_swarm:
  coordinator: "ghl-integration-architect"
  model: "sonnet"
  pattern: "parallel"

  specialists:
    ghl_performance_optimizer:
      model: "sonnet"
      description: "GHL webhook processing latency optimization <500ms"
      tools: ["Bash", "Read", "Performance-Analysis", "API-Testing"]
      focus: "webhook-latency-reduction"
      target_metrics:
        - "webhook_processing_time < 500ms"
        - "api_response_time < 150ms"
        - "database_write_time < 50ms"

    ghl_security_hardener:
      model: "opus"  # Security requires advanced reasoning
      description: "GHL API security validation and webhook integrity"
      tools: ["Read", "Security-Scanners", "API-Testing", "Compliance-Tools"]
      focus: "api-security-enhancement"
      validation_areas:
        - "webhook_signature_validation"
        - "input_sanitization"
        - "rate_limiting"
        - "api_key_rotation"

    ghl_api_optimizer:
      model: "sonnet"
      description: "GHL API call efficiency and error handling optimization"
      tools: ["Read", "API-Testing", "Error-Analysis", "Bash"]
      focus: "api-integration-reliability"
      optimization_targets:
        - "api_call_batching"
        - "retry_logic_optimization"
        - "connection_pooling"
        - "error_recovery"

    ghl_monitoring_specialist:
      model: "haiku"  # Fast monitoring setup
      description: "GHL integration monitoring and alerting setup"
      tools: ["Bash", "Monitoring-Tools", "Alerting-Setup"]
      focus: "observability-enhancement"
      monitoring_scope:
        - "webhook_processing_metrics"
        - "api_rate_limiting_alerts"
        - "error_pattern_detection"
        - "performance_dashboards"
"""

TARGET = """\
targets:
  hook:
    path: .
    start: "python app.py --port {port}"
"""


def write(folder: Path, text: str, name: str = "agents.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_seed_block_loads_unmodified(tmp_path: Path) -> None:
    agents = load_agents(write(tmp_path, SEED))
    swarm = agents.swarms["ghl_optimization_swarm"]
    assert list(swarm.specialists) == [
        "ghl_performance_optimizer",
        "ghl_security_hardener",
        "ghl_api_optimizer",
        "ghl_monitoring_specialist",
    ]
    assert swarm.specialists["ghl_security_hardener"].validation_areas[2] == "rate_limiting"


def test_a_swarm_alone_takes_its_target_from_the_folder(tmp_path: Path) -> None:
    seed = write(tmp_path, SEED, "seed.yaml")
    write(tmp_path, TARGET)
    choice = choose(None, seed, here=tmp_path)
    assert (choice.swarm_name, choice.target_name) == ("ghl_optimization_swarm", "hook")


def test_targets_alone_get_the_default_swarm(tmp_path: Path) -> None:
    write(tmp_path, TARGET)
    choice = choose("hook", None, here=tmp_path)
    assert len(choice.swarm.specialists) == 4


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("s:\n  patern: single\n  specialists: {a: {}}\n", 2, "did you mean 'pattern'"),
        ("s:\n  pattern: paralel\n  specialists: {a: {}}\n", 2, "did you mean 'parallel'"),
        ("s:\n  specialists:\n    a:\n      tools: [Read, Raed]\n", 4, "did you mean 'Read'"),
        ("s:\n  specialists:\n    a:\n      target_metrics: ['webhook_latncy < 5ms']\n", 4, "'webhook_latency'"),
        ("s:\n  specialists:\n    a:\n      target_metrics: ['webhook_latency < 5 kg']\n", 4, "use ms"),
        ("s:\n  specialists: {}\n", 2, "at least one specialist"),
        ("targets:\n  t:\n    path: x\n", 2, "is missing"),
        ("targets:\n  t:\n    path: x\n    start: y\n    load: {rate: -1}\n", 5, "greater than 0"),
        (
            "targets:\n  t:\n    path: x\n    start: y\n    upstreams:\n      - {name: q, routes: [{path: /}]}\n",
            6,
            "needs `env`",
        ),
        ("targets:\n  t:\n    path: x\n    start: y\n    start: z\n", 5, "stands twice"),
        ("s: [unclosed\n", 2, "is not YAML"),
    ],
)
def test_each_mistake_has_its_line_and_its_mend(tmp_path: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigMistakes) as caught:
        load_agents(write(tmp_path, text))
    assert any(m.line == line and words in f"{m.where} {m.message}" for m in caught.value.mistakes), str(caught.value)


def test_all_mistakes_come_at_once(tmp_path: Path) -> None:
    text = "s:\n  patern: a\n  specialists: {a: {tools: [Read]}}\ntargets:\n  t: {path: x, start: y, healt: /}\n"
    with pytest.raises(ConfigMistakes) as caught:
        load_agents(write(tmp_path, text))
    assert [m.line for m in caught.value.mistakes] == [2, 5]


def test_an_unknown_target_or_swarm_is_named_with_a_near_one(tmp_path: Path) -> None:
    write(tmp_path, SEED + TARGET)
    with pytest.raises(TargetError, match="did you mean 'hook'"):
        choose("hok", None, here=tmp_path)
    with pytest.raises(UsageError, match="no swarm 'x'"):
        choose(None, None, "x", here=tmp_path)


def test_no_config_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no agents\.yaml"):
        choose(None, None, here=tmp_path)
    with pytest.raises(TargetError, match="no such folder"):
        choose("nowhere", None, here=tmp_path)
