"""For every test: exported encoders that are kept between runs, and no skipping of what has to be there."""

import logging
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from coldstart.telemetry import CHATTY

REQUIRED = "COLDSTART_TEST_REQUIRE"
"""Names, separated by commas, of servers and programs for whose want no test may be skipped."""


@pytest.fixture(scope="session")
def cache(request: pytest.FixtureRequest) -> Path:
    """Exported encoders and embeddings; `pytest --cache-clear` makes them anew."""
    assert request.config.cache is not None
    return request.config.cache.mkdir("coldstart")


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """A command that a test runs in its own process configures logging for the process: no later test reads that."""
    loggers = [logging.root, *map(logging.getLogger, CHATTY)]
    handlers, levels = logging.root.handlers[:], [logger.level for logger in loggers]
    yield
    logging.root.handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where the reason for skipping a test names what is required, the test has failed."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2]
        required = [name for name in os.environ.get(REQUIRED, "").split(",") if name]
        if missing := [name for name in required if name in reason.lower()]:
            report.outcome = "failed"
            report.longrepr = f"{REQUIRED} asks for {', '.join(missing)}: {reason}"
    return report
