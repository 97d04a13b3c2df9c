"""The Celery application: every setting, in one place.

Messages are wake-up calls without arguments. The database row is the queue of record, so a message may be lost, doubled
or late without harm; what the settings secure is that a broker's ordinary misfortunes cost little time.
"""

from importlib.util import find_spec
from typing import Any

from celery import Celery
from kombu.entity import Queue

from coldstart.errors import InvalidInput, MissingExtra

ENCODE = "encode"
INDEX = "index"
QUEUES = (ENCODE, INDEX)
MEMORY = "memory://"
REDIS = ("redis", "rediss", "sentinel")
RABBITMQ = ("amqp", "amqps", "pyamqp")

# Of the lease: a task that reaches the first is interrupted; one that reaches the lease's end, which it hangs in native
# code for, loses its process. It must never be delivered a second time while it still runs.
SOFT_LIMIT, VISIBILITY = 0.75, 1.5
# A wake-up that waited longer has been overtaken by the relay, which looks at the database itself.
WAKE_EXPIRES_S = 60
CONNECT_TIMEOUT_S = 2.0


def make_app(broker_url: str, *, lease_s: float = 120.0, memory_mb: int = 2000) -> Celery:
    """A Celery application on the broker; ``memory://`` reaches only the threads of this process.

    Parameters
    ----------
    lease_s : float
        How long a task may take: then what it claimed is due again.
    memory_mb : int
        Resident memory above which a worker's child is replaced after its task.

    Raises
    ------
    InvalidInput
        Where the URL is of no broker that the settings below are made for.
    MissingExtra
        Where the package for this broker is not installed.
    """
    _check(broker_url)
    app = Celery("coldstart", set_as_current=False)
    if is_in_process(broker_url):
        app.conf.update(broker_url="localhost", broker_transport="workers.inprocess:Transport")
    else:
        app.conf.update(broker_url=broker_url)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        result_serializer="json",
        # No result backend: an item's status lives in its row.
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_time_limit=lease_s,
        task_soft_time_limit=SOFT_LIMIT * lease_s,
        task_queues=[_queue(name, broker_url) for name in QUEUES],
        task_default_queue=ENCODE,
        task_create_missing_queues=False,
        task_publish_retry=False,
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_proc_alive_timeout=60,
        worker_max_tasks_per_child=10_000,
        worker_max_memory_per_child=1000 * memory_mb,
        worker_soft_shutdown_timeout=10.0,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        # The worker also runs as a thread of the service, whose output and logging are not its own.
        worker_redirect_stdouts=False,
        worker_hijack_root_logger=False,
        broker_connection_timeout=CONNECT_TIMEOUT_S,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_pool_limit=2,
        broker_transport_options=_transport_options(broker_url, lease_s),
    )
    return app


def is_in_process(broker_url: str) -> bool:
    """Whether the broker is this process: no other can be a worker then."""
    return broker_url.startswith(MEMORY)


def _check(broker_url: str) -> None:
    """Celery itself would find out in the worker's thread, with nobody there to be told."""
    scheme = _scheme(broker_url)
    if not is_in_process(broker_url) and scheme not in (*REDIS, *RABBITMQ):
        raise InvalidInput(
            "the URL names no broker that is supported", subject="broker_url",
            remedy="Write memory://, redis://HOST:6379/0 or amqp://USER:PASSWORD@HOST//",
        )  # fmt: skip
    if scheme in REDIS and find_spec("redis") is None:
        raise MissingExtra("redis", extra="redis", purpose="A broker on Redis")


def _scheme(broker_url: str) -> str:
    """``redis`` of ``redis+socket:///var/run/redis.sock``; "" where there is none."""
    return broker_url.partition("://")[0].partition("+")[0] if "://" in broker_url else ""


def _queue(name: str, broker_url: str) -> Queue:
    """RabbitMQ's queues are replicated and bounded; other brokers take no arguments."""
    bounded = {"x-queue-type": "quorum", "x-max-length": 10_000, "x-overflow": "drop-head"}
    arguments = bounded if _scheme(broker_url) in RABBITMQ else {}
    return Queue(name, routing_key=name, queue_arguments=arguments)  # type: ignore[no-untyped-call]


def _transport_options(broker_url: str, lease_s: float) -> dict[str, Any]:
    """What each transport calls its patience, in seconds."""
    if is_in_process(broker_url):
        return {}
    if _scheme(broker_url) in REDIS:
        return {
            "visibility_timeout": VISIBILITY * lease_s,
            "unacked_mutex_expire": 10,
            "socket_connect_timeout": CONNECT_TIMEOUT_S,
            # Above the blocking pop's own second, below anyone's patience.
            "socket_timeout": 5.0,
            "socket_keepalive": True,
            "retry_on_timeout": False,
        }
    return {"confirm_publish": True, "confirm_timeout": 5.0}
