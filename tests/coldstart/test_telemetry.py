"""What the process says of itself: lines that stay lines, and metrics that belong to one runtime."""

import json
import logging

import pytest

from coldstart.telemetry import JsonFormatter, Telemetry, configure_logging


def line(record: logging.LogRecord) -> dict[str, object]:
    text = JsonFormatter().format(record)
    assert "\n" not in text
    parsed: dict[str, object] = json.loads(text)
    return parsed


def test_what_is_passed_along_becomes_keys() -> None:
    record = logging.makeLogRecord({"name": "workers", "levelname": "INFO", "msg": "encoded", "items": 3})
    assert {"logger": "workers", "level": "INFO", "message": "encoded", "items": 3}.items() <= line(record).items()


def test_text_from_outside_cannot_forge_a_line() -> None:
    record = logging.makeLogRecord({"msg": "bad id: %s", "args": ('x\n{"level": "ERROR"}',)})
    assert line(record)["message"] == 'bad id: x\n{"level": "ERROR"}'


def test_an_exception_is_part_of_its_line() -> None:
    try:
        raise ValueError("broken")
    except ValueError as error:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": (ValueError, error, error.__traceback__)})
    assert "ValueError: broken" in str(line(record)["exception"])


def test_libraries_that_report_every_step_keep_to_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    logging.getLogger("celery.worker.strategy").info("task received")
    logging.getLogger("uvicorn.error").info("Waiting for application startup.")
    logging.getLogger("workers.ingest").info("encoded")
    assert [json.loads(text)["message"] for text in capsys.readouterr().err.splitlines()] == ["encoded"]


def test_two_runtimes_do_not_share_counts() -> None:
    one, other = Telemetry(), Telemetry()
    one.items.labels("retrievable").inc()
    assert b'coldstart_items_total{outcome="retrievable"} 1.0' in one.exposition()
    assert b'outcome="retrievable"' not in other.exposition()


def test_a_step_that_raises_is_timed_too() -> None:
    telemetry = Telemetry()
    with pytest.raises(ValueError, match="no"), telemetry.step("encode"):
        raise ValueError("no")
    assert b'coldstart_step_seconds_count{step="encode"} 1.0' in telemetry.exposition()
