"""Connections to Redis that somebody waits on for long are only advised to have a limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rules.mending import find, write

QUEUE = "import redis\nfrom rq import Queue\n\nstore = redis.from_url('redis://r')\nqueue = Queue(connection=store)\n"


@pytest.mark.parametrize(
    ("worker", "mendable"),
    [
        ("", True),
        ("from rq import Worker\n\nfrom jobs import store\n\nWorker(['default'], connection=store).work()\n", False),
        ("from rq.worker import SimpleWorker\n", False),
    ],
)
def test_connection_that_a_worker_may_share_keeps_waiting(tmp_path: Path, worker: str, mendable: bool) -> None:
    write(tmp_path, {"jobs.py": QUEUE, "worker.py": worker, "requirements.txt": "redis==5.0\nrq\n"})
    assert [finding.mendable for finding in find(tmp_path, "missing-timeout")] == [mendable]
