"""Metrics and log lines. Metrics belong to a `Telemetry` that is passed along, so two runtimes never share counts."""

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_TTR = (0.01, 0.02, 0.04, 0.06, 0.1, 0.15, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 1800.0)
CHATTY = ("aiokafka", "alembic", "celery", "httpcore", "httpx", "kombu", "sentence_transformers", "uvicorn")
_BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1000)


METRICS_DIR = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which prometheus_client is told, before it is imported, of a folder that processes share."""
# What a gauge tells is the same for all processes (how much waits, what is served): whoever looked last is right.
_gauge = partial(Gauge, multiprocess_mode="mostrecent")


class Telemetry:
    """The metrics of one process, in the names of Prometheus: base units, counters ending in ``_total``.

    Where several processes serve one address each of them tells of all: counts are added up, also those of processes
    that have ended.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._shared = os.environ.get(METRICS_DIR)
        self._statuses: set[tuple[str, str]] = set()
        self.items = Counter(
            "coldstart_items",
            "Items by what became of a try: retrievable, deleted, encoded, stale, failed",
            ["outcome"],
            registry=self.registry,
        )
        self.picture_errors = Counter(
            "coldstart_picture_errors", "Pictures that could not be used", registry=self.registry
        )
        self.contents = Counter(
            "coldstart_contents",
            "Texts and pictures whose embedding was needed, by where it came from: encoded, remembered",
            ["modality", "source"],
            registry=self.registry,
        )
        self.time_to_recommendable = Histogram(
            "coldstart_time_to_recommendable_seconds",
            "From accepted to retrievable",
            buckets=_TTR,
            registry=self.registry,
        )
        self.step_seconds = Histogram(
            "coldstart_step_seconds", "Time of one step of a batch", ["step"], buckets=_FAST, registry=self.registry
        )
        self.batch_items = Histogram(
            "coldstart_batch_items", "Items in a claimed batch", ["stage"], buckets=_BATCH, registry=self.registry
        )
        self.due = _gauge("coldstart_due_items", "Items that wait for a stage", ["stage"], registry=self.registry)
        self.backlog = _gauge(
            "coldstart_backlog_items", "Posted items that are neither retrievable nor dead", registry=self.registry
        )
        self.recommendations = Counter(
            "coldstart_recommendations", "Lists made, by the rung that answered", ["strategy"], registry=self.registry
        )
        self.events = Counter(
            "coldstart_events", "Events reported: recorded, duplicate", ["outcome"], registry=self.registry
        )
        self.events_on_unknown_items = Counter(
            "coldstart_events_on_unknown_items",
            "Recorded events on items never in the catalogue",
            registry=self.registry,
        )

        self.drift = _gauge(
            "coldstart_embedding_drift",
            "How far the newest items' mean embedding is from training's, in spreads of the latter",
            ["modality"],
            registry=self.registry,
        )
        self.owed = _gauge(
            "coldstart_owed_newcomers", "New items that are owed impressions still", registry=self.registry
        )
        self.graduated = Counter(
            "coldstart_graduated_items", "Times that a new item was moved by its clicks", registry=self.registry
        )
        self.click_weight = _gauge(
            "coldstart_graduated_click_weight",
            "Mean weight of the clicks in the vectors of the items that were moved last",
            registry=self.registry,
        )
        self.rows = Counter(
            "coldstart_recommended_rows", "Rows of lists, by whether the item is cold", ["cold"], registry=self.registry
        )
        self.exposures = Counter(
            "coldstart_exposures", "Lists shown in experiments: logged, dropped", ["outcome"], registry=self.registry
        )

        self.adapters = _gauge(
            "coldstart_adapter_status",
            "1 for where each adapter version stands",
            ["version", "status"],
            registry=self.registry,
        )
        self.projected = _gauge(
            "coldstart_adapter_projected_ratio",
            "Share of the items that the adapter version that is being projected has",
            registry=self.registry,
        )
        self.swaps = Counter("coldstart_adapter_swaps", "Times that another adapter was served", registry=self.registry)

        self.kafka_messages = Counter(
            "coldstart_kafka_messages", "Messages taken: applied, dead_lettered", ["outcome"], registry=self.registry
        )
        self.kafka_lag = _gauge(
            "coldstart_kafka_lag_messages",
            "Messages not taken yet, by partition",
            ["partition"],
            registry=self.registry,
        )
        self.kafka_paused = _gauge(
            "coldstart_kafka_paused", "1 while the database is away and nothing is fetched", registry=self.registry
        )

    def encoded(self, modality: str, remembered: int, encoded: int) -> None:
        """Embeddings of a batch were needed."""
        self.contents.labels(modality, "remembered").inc(remembered)
        self.contents.labels(modality, "encoded").inc(encoded)

    def listed(self, strategy: str, *, cold: int, rows: int) -> None:
        """A list was made, of so many rows."""
        self.recommendations.labels(strategy).inc()
        self.rows.labels("true").inc(cold)
        self.rows.labels("false").inc(rows - cold)

    def tell_adapters(self, statuses: Mapping[str, str]) -> None:
        """Where each adapter version stands now."""
        now = set(statuses.items())
        for version, status in self._statuses - now:
            self.forget(self.adapters, version, status)
        for version, status in now:
            self.adapters.labels(version, status).set(1)
        self._statuses = now

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step of a batch, also where it raises."""
        start = perf_counter()
        try:
            yield
        finally:
            self.step_seconds.labels(name).observe(perf_counter() - start)

    def forget(self, gauge: Gauge, *labels: str) -> None:
        """These labels have no value any more; among several processes, where nothing can be removed, it is 0."""
        if self._shared is None:
            gauge.remove(*labels)
        else:
            gauge.labels(*labels).set(0)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        if self._shared is None:
            return generate_latest(self.registry)
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody, path=self._shared)  # type: ignore[no-untyped-call]
        return generate_latest(everybody)


_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line, whatever text is logged; what a call passes in ``extra`` becomes further keys."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure_logging(level: str) -> None:
    """Send the process's log lines to standard error as JSON; libraries that report every step keep to warnings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for library in CHATTY:
        logging.getLogger(library).setLevel(max(logging.WARNING, logging.getLevelName(level)))
