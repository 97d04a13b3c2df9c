"""The only reader of the environment. A setting is a flag, a ``COLDSTART_*`` variable and a TOML key of one name."""

import difflib
import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coldstart.errors import InvalidInput

PREFIX = "COLDSTART_"
CONFIG_FILE = "coldstart.toml"
INDEX_CACHE_MB = 256


class Settings(BaseModel):
    """Everything a deployment can choose; frozen, read once, passed as an argument."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Field(Path("coldstart-data"), description="Folder of the embedded state")
    adapter: Path | None = Field(None, description="Adapter artifact to serve; default DATA_DIR/artifacts/adapter")
    backbone: Path | None = Field(None, description="Backbone artifact; default the one that the adapter names")
    cache_dir: Path = Field(Path("~/.cache/coldstart"), description="Exported models and embeddings, safe to delete")
    database_url: str | None = Field(None, description="SQLAlchemy URL; default SQLite in the data folder")
    broker_url: str = Field("memory://", description="Celery broker; memory:// runs the worker inside the service")
    qdrant_url: str | None = Field(None, description="Qdrant server; default Qdrant Edge in the data folder")
    qdrant_api_key: str | None = Field(None, description="Key of the Qdrant server", repr=False)
    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on")
    processes: int = Field(
        1,
        ge=1,
        le=64,
        description="Service processes on that address; more than 1 share a Qdrant server and PostgreSQL",
    )
    drain_seconds: float = Field(0.0, ge=0, description="Go on so long after SIGTERM, not ready, before ending")
    require_keys: bool = Field(True, description="Demand an API key once there is one; off only on loopback addresses")
    rate_limit: float | None = Field(
        None, gt=0, le=1e5, description="Requests a second of each key or address; none by default"
    )
    rate_burst: int = Field(20, ge=1, description="Requests that may come at once under rate_limit")
    redis_url: str | None = Field(
        None, description="Redis of recent behaviour and of rates; rates default to the broker, where it is Redis"
    )
    kafka_brokers: str | None = Field(None, description="HOST:PORT,... to consume events from; none by default")
    kafka_topic: str = Field("coldstart-events", min_length=1, description="Topic of events")
    kafka_dead_letter_topic: str = Field(
        "coldstart-events-dead", min_length=1, description="Topic for messages that cannot be used"
    )
    kafka_group: str = Field("coldstart", min_length=1, description="Consumer group")
    kafka_session_seconds: float = Field(
        10.0, ge=0.1, description="A consumer that is silent for so long loses its partitions to others"
    )
    kafka_metrics_port: int | None = Field(
        None, ge=1, le=65535, description="Port of coldstart consume's own metrics; none by default"
    )
    embedded_consumer: bool = Field(
        True, description="Consume events inside the service process, where there are brokers"
    )
    embedded_worker: bool = Field(True, description="Encode inside the service process")
    encoder_runtime: Literal["auto", "torch", "onnx"] = Field("auto", description="torch, onnx, or what is there")
    encoder_precision: Literal["auto", "fp32", "fp16", "int8"] = Field(
        "auto",
        description="fp32, fp16, int8, or auto: fp32 to train, int8 to serve where the model bears it",
    )
    encoder_url: str | None = Field(
        None, description="http(s):// or grpc(s):// server of the KServe v2 protocol, as Triton, that runs the encoders"
    )
    encoder_text_name: str = Field("coldstart-text", min_length=1, description="The text encoder's name there")
    encoder_image_name: str = Field("coldstart-image", min_length=1, description="The picture encoder's name there")
    encoder_timeout_seconds: float = Field(10.0, gt=0, description="How long to wait for an answer from there")
    encoder_memory_mb: int = Field(
        64, ge=0, description="Embeddings kept in memory, so that an unchanged text or picture is not encoded again"
    )
    threads: int = Field(1, ge=1, description="Threads of each encoder, and of products of matrices")
    claim_batch: int = Field(32, ge=1, le=1000, description="Items claimed and encoded together")
    worker_processes: int = Field(1, ge=1, description="Processes that one coldstart worker encodes in")
    worker_memory_mb: int = Field(2000, ge=200, description="Such a process is replaced above it, and ends at twice it")
    lease_seconds: float = Field(120.0, gt=0, description="How long a batch may take before its worker is ended")
    read_deadline_seconds: float = Field(0.5, gt=0, description="How long a recommendation waits for PostgreSQL")
    cold_share: float = Field(0.1, ge=0, le=1, description="Share of a list for new items that are owed impressions")
    newcomer_impressions: int = Field(100, ge=0, description="How often each new item is owed to be shown")
    newcomer_days: float = Field(14.0, gt=0, description="Days within which it is")
    diversity: float = Field(0.0, ge=0, le=1, description="0 ranks by score alone, 1 by difference alone")
    half_life_days: float = Field(14.0, gt=0, description="Days in which an event loses half its weight; not tuned")
    max_backlog: int = Field(50_000, ge=1, description="Posted items that may wait; more are answered 429")
    max_attempts: int = Field(5, ge=1, description="Tries before an item is dead-lettered")
    relay_seconds: float = Field(1.0, gt=0, description="Pause between two looks for items left behind")
    reconcile_seconds: float = Field(86_400.0, gt=0, description="Pause between two comparisons of catalogue and index")
    index_cache_mb: int = Field(
        INDEX_CACHE_MB, ge=0, description="What an embedded index remembers of points, for each adapter that is kept"
    )
    graph_points: int = Field(
        10_000, ge=0, description="Embedded points in no search graph from which on one is built beside; 0: never"
    )
    graduation_seconds: float = Field(60.0, ge=0, description="Pause between two moves of items by clicks; 0: never")
    max_body_bytes: int = Field(12_000_000, ge=1024, description="Largest request body")
    max_image_bytes: int = Field(8_000_000, ge=1024, description="Largest picture file")
    max_image_pixels: int = Field(25_000_000, ge=1, description="Largest picture, in pixels")
    image_hosts: tuple[str, ...] = Field((), description="Hosts that picture addresses may name; none by default")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least severe level logged")

    @property
    def catalog_url(self) -> str:
        """The database of items, events and outbox."""
        return self.database_url or f"sqlite:///{self.data_dir / 'catalog.sqlite3'}"

    @property
    def embeds_catalog(self) -> bool:
        """Whether the catalogue is a file of this machine, and reading it no matter of a network."""
        return self.catalog_url.startswith("sqlite")

    @property
    def rates_url(self) -> str | None:
        """The Redis in which processes count requests together; ``None`` where each counts its own."""
        return self.redis_url or (self.broker_url if self.broker_url.startswith(("redis://", "rediss://")) else None)

    @property
    def adapter_dir(self) -> Path:
        """The adapter artifact to serve."""
        return self.adapter or self.data_dir / "artifacts" / "adapter"

    @property
    def backbone_dir(self) -> Path:
        """The backbone artifact to train on."""
        return self.backbone or self.data_dir / "artifacts" / "backbone"

    @property
    def cache(self) -> Path:
        """The cache folder, with ``~`` resolved."""
        return self.cache_dir.expanduser()

    @property
    def index_dir(self) -> Path:
        """Where the embedded index lives."""
        return self.data_dir / "index"


def load_settings(*, config: Path | None = None, environ: dict[str, str] | None = None, **flags: Any) -> Settings:
    """Merge the TOML file, the environment and the flags, the later ones winning; ``None`` flags are not given.

    Raises
    ------
    InvalidInput
        For an unknown name or an unusable value, naming the setting, its source and the nearest known name.
    """
    return trace_settings(config=config, environ=environ, **flags)[0]


def trace_settings(
    *, config: Path | None = None, environ: dict[str, str] | None = None, **flags: Any
) -> tuple[Settings, dict[str, str]]:
    """The settings as `load_settings` reads them, and of each that is not a default the source.

    Raises
    ------
    InvalidInput
        For an unknown name or an unusable value, naming the setting, its source and the nearest known name.
    """
    path = config or Path(CONFIG_FILE)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}

    def add(name: str, value: Any, source: str) -> None:
        if name not in Settings.model_fields:
            near = difflib.get_close_matches(name, Settings.model_fields, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else "See coldstart serve --help"
            raise InvalidInput(f"the setting {name!r} is unknown", subject=source, remedy=hint)
        values[name], sources[name] = value, source

    if path.exists():
        try:
            for name, value in tomllib.loads(path.read_text()).items():
                add(name, value, str(path))
        except tomllib.TOMLDecodeError as error:
            raise InvalidInput(f"the file is not TOML: {error}", subject=str(path)) from None
    elif config is not None:
        raise InvalidInput("the settings file does not exist", subject=str(config))
    for key, value in (os.environ if environ is None else environ).items():
        if key.startswith(PREFIX) and not key.startswith(PREFIX + "TEST_"):
            name = key.removeprefix(PREFIX).lower()
            add(name, tuple(filter(None, value.split(","))) if name == "image_hosts" else value, key)
    for name, value in flags.items():
        if value is not None:
            add(name, value, f"--{name.replace('_', '-')}")
    try:
        return Settings(**values), sources
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise InvalidInput(
            f"{name} cannot be {first['input']!r}: it {first['msg'].removeprefix('Input ')}",
            subject=sources.get(name, name),
        ) from None
