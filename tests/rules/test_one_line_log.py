"""The module that log-forging adds, run for real: one line a record, and everything else as it was."""

from __future__ import annotations

import importlib.util
import io
import logging
import logging.handlers
import pickle
import queue
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import swarm.rules.security.surface.log_forging as rule

FORGED = "Ada\r\nINFO:root:admin logged in\x1b[2K\u2028\x85"


@pytest.fixture
def module(tmp_path: Path) -> Iterator[ModuleType]:
    factory = logging.getLogRecordFactory()
    text = (Path(rule.__file__).parent / "one_line_log.txt").read_text(encoding="utf-8")
    (tmp_path / "one_line_log.py").write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("one_line_log", tmp_path / "one_line_log.py")
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules["one_line_log"] = made
    spec.loader.exec_module(made)
    yield made
    logging.setLogRecordFactory(factory)
    del sys.modules["one_line_log"]


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    logger, stream = logging.getLogger("test.one_line"), io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s:%(message)s"))
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    yield logger, stream
    logger.removeHandler(handler)


def test_what_a_sender_wrote_stays_on_its_line(module: ModuleType, log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    logger.info("lead %s", FORGED)
    assert stream.getvalue().count("\n") == 2  # a service that was not mended
    module.keep_records_on_one_line()
    module.keep_records_on_one_line()
    stream.truncate(0)
    stream.seek(0)
    logger.info("lead %s", FORGED)
    logger.info(f"lead {FORGED}")
    logger.info("tab\t%d %%\n", 5)
    lines = stream.getvalue().split("\n")
    told = "INFO:lead Ada\\r\\nINFO:root:admin logged in\\x1b[2K\\x2028\\x85"
    assert lines == [told, told, "INFO:tab\t5 %", ""]


def test_a_traceback_is_told_whole_and_begins_no_line(
    module: ModuleType, log: tuple[logging.Logger, io.StringIO]
) -> None:
    logger, stream = log
    module.keep_records_on_one_line()
    try:
        raise ValueError(FORGED)
    except ValueError:
        logger.exception("failed")
    lines = stream.getvalue().rstrip("\n").split("\n")
    assert lines[:2] == ["ERROR:failed", "Traceback (most recent call last):"]
    assert all(line.startswith("  ") for line in lines[2:])
    assert any("raise ValueError(FORGED)" in line for line in lines) and any(
        "ValueError: Ada" in line for line in lines
    )
    assert "\x1b" not in stream.getvalue()


def test_a_factory_that_is_there_already_goes_on(module: ModuleType, log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log

    class Own(logging.LogRecord):
        pass

    def plain(*args: object, **kwargs: object) -> logging.LogRecord:
        record = logging.LogRecord(*args, **kwargs)  # type: ignore[arg-type]
        record.request_id = "r1"
        return record

    logging.setLogRecordFactory(plain)
    module.keep_records_on_one_line()
    logger.info("%s", FORGED)
    assert stream.getvalue().count("\n") == 1
    record = logger.makeRecord("x", logging.INFO, "f", 1, "m", (), None)
    assert record.__dict__["request_id"] == "r1" and isinstance(record, module.OneLineRecord)
    logging.setLogRecordFactory(Own)
    module.keep_records_on_one_line()
    assert type(logger.makeRecord("x", logging.INFO, "f", 1, "m", (), None)) is Own


def test_records_can_go_through_a_queue(module: ModuleType, log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, _ = log
    module.keep_records_on_one_line()
    kept: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    handler = logging.handlers.QueueHandler(kept)
    logger.addHandler(handler)
    logger.info("lead %s", FORGED)
    logger.removeHandler(handler)
    assert "\\r\\n" in pickle.loads(pickle.dumps(kept.get())).getMessage()


def test_it_can_be_turned_off(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    before = logging.getLogRecordFactory()
    monkeypatch.setenv("ONE_LINE_LOG", "0")
    module.keep_records_on_one_line()
    assert logging.getLogRecordFactory() is before
