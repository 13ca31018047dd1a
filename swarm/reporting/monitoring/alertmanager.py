"""An Alertmanager configuration that fits the rules: pages and tickets apart, a page hides its ticket."""

from __future__ import annotations

from swarm.core.report import Report
from swarm.reporting.escape import one_line

FILENAME = "monitoring/alertmanager.yml"

_TEXT = """\
# Two receivers without an address: fill in where pages and tickets go (webhook_configs, email_configs, …).
# https://prometheus.io/docs/alerting/latest/configuration/
route:
  receiver: tickets
  group_by: [alertname, job]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 12h
  routes:
    - matchers: ['severity="page"']
      receiver: pages
      group_wait: 10s
      repeat_interval: 1h
inhibit_rules:
  # One fire, one call: while a budget burns fast, its slower alerts stay quiet.
  - source_matchers: ['severity="page"']
    target_matchers: ['severity="ticket"']
    equal: [job, slo]
receivers:
  - name: pages
  - name: tickets
"""


def alertmanager_config(report: Report) -> str:
    """The configuration as YAML."""
    return f"# Written by swarm for {one_line(report.run.target)} in run {one_line(report.run.id)}.\n{_TEXT}"
