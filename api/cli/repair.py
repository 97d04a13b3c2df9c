"""What ``coldstart doctor --reconcile`` does beyond looking: what differs between catalogue and index is owed again."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict

from api.cli.checks import Finding, State
from coldstart.catalog import open_item_store
from coldstart.errors import ColdstartError, Conflict, NotFound
from coldstart.index import index_store_of
from coldstart.settings import Settings
from workers.choosing import served_adapter
from workers.reconcile import Reconciled, reconcile

SUBJECT = "reconcile"


def repair(settings: Settings) -> Iterator[Finding]:
    """The figures as one finding, or why there are none."""
    try:
        found = _reconciled(settings)
    except Conflict as error:
        remedy = f"{error.remedy}. A service compares by itself, every {settings.reconcile_seconds:.0f} s"
        yield Finding(State.FAIL, SUBJECT, error.what, remedy)
    except ColdstartError as error:
        yield Finding(State.FAIL, SUBJECT, error.what, error.remedy)
    else:
        figures = json.dumps(asdict(found))
        if found.repaired:
            remedy = "Start the service, if it does not run: it writes to the index what is owed"
            yield Finding(State.WARN, SUBJECT, figures, remedy)
        else:
            yield Finding(State.OK, SUBJECT, figures)


def _reconciled(settings: Settings) -> Reconciled:
    adapter = served_adapter(settings)
    if settings.qdrant_url is None and not settings.index_dir.exists():
        raise NotFound("there is no index yet", remedy="Start the service: it makes one and fills it")
    with closing(index_store_of(settings)) as indexes:
        if adapter.version not in indexes.collections():
            raise NotFound(f"no collection for adapter {adapter.version}", remedy="Start the service: it makes one")
        index = indexes.create(adapter.version, adapter.dim)
        with closing(open_item_store(settings.catalog_url)) as store:
            return reconcile(store, index, adapter_version=adapter.version)
