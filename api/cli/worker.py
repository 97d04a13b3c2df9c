"""``coldstart worker``: a process that encodes for the service."""

from api.cli.options import with_settings
from coldstart.settings import Settings


@with_settings()
def worker(settings: Settings) -> None:
    """Encode what is due, beside the service; needs a broker and a database that both can reach."""
    from workers.main import run_worker

    run_worker(settings)
