"""``coldstart consume``: a process that takes events from Kafka."""

from api.cli.options import with_settings
from coldstart.settings import Settings


@with_settings()
def consume(settings: Settings) -> None:
    """Apply events from a Kafka topic, beside the service; needs Redis or PostgreSQL, which both can reach."""
    from workers.consuming import run_consumer

    run_consumer(settings)
