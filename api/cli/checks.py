"""What ``coldstart doctor`` looks at. One failing check does not stop the others.

Nothing here changes anything but the cache, into which encoders are exported.
"""

import os
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from PIL import Image
from sqlalchemy import func, make_url, select

from adapters.serving import ServedAdapter
from coldstart.catalog import Status
from coldstart.catalog.engine import Database
from coldstart.catalog.models import api_keys, items
from coldstart.catalog.schema import alembic_config
from coldstart.encoders.precision import precision_of
from coldstart.errors import ColdstartError, Conflict
from coldstart.index import index_store_of
from coldstart.settings import Settings
from workers.app import MEMORY, is_in_process, make_app
from workers.choosing import served_adapter
from workers.models import models_of

PACKAGES = ("coldstart-service", "fastapi", "celery", "sqlalchemy", "qdrant-edge-py", "onnxruntime", "torch")
SECRETS = frozenset({"qdrant_api_key", "database_url", "broker_url", "qdrant_url", "redis_url"})


class State(StrEnum):
    """How it looks."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination."""

    state: State
    subject: str
    what: str
    remedy: str | None = None


def examine(settings: Settings, sources: Mapping[str, str]) -> Iterator[Finding]:
    """Check after check, in the order in which a service starts."""
    yield _versions()
    yield Finding(State.OK, "settings", _described(settings, sources))
    yield _attempt("folder", lambda: _folder(settings.data_dir))
    yield _attempt("database", lambda: _database(settings))
    yield _attempt("keys", lambda: _keys(settings))
    try:
        adapter = served_adapter(settings)
    except ColdstartError as error:
        yield _failed("adapter", error)
    else:
        yield Finding(
            State.OK, "adapter",
            f"version {adapter.version}, {adapter.dim} numbers an item; files are whole, backbone is "
            f"{adapter.backbone.kind} {adapter.backbone.sha256[:12]}",
        )  # fmt: skip
        yield _attempt("index", lambda: _index(settings, adapter))
        yield _attempt("encoders", lambda: _encoders(settings, adapter))
    yield _attempt("broker", lambda: _broker(settings))


def _attempt(subject: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Exception as error:  # an examination reports whatever it meets
        return _failed(subject, error)


def _failed(subject: str, error: Exception) -> Finding:
    if isinstance(error, ColdstartError):
        what = f"{error.subject}: {error.what}" if error.subject else error.what
        return Finding(State.FAIL, subject, what, error.remedy)
    return Finding(State.FAIL, subject, repr(error))


def _versions() -> Finding:
    found, missing = [f"python {platform.python_version()}"], []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    if {"onnxruntime", "torch"} <= set(missing):
        remedy = "Install them with: pip install 'coldstart-service[train]'"
        return Finding(State.FAIL, "versions", f"{', '.join(found)}; no encoder runtime", remedy)
    return Finding(State.OK, "versions", ", ".join(found))


def _described(settings: Settings, sources: Mapping[str, str]) -> str:
    chosen = [
        f"{name} from {source}" if name in SECRETS else f"{name} = {getattr(settings, name)} from {source}"
        for name, source in sources.items()
    ]
    return "; ".join(chosen) or "all at their defaults"


def _folder(folder: Path) -> Finding:
    existing = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not os.access(existing, os.W_OK):
        return Finding(State.FAIL, "folder", f"{existing} cannot be written", "Change its owner, or set --data-dir")
    if existing != folder:
        return Finding(State.WARN, "folder", f"{folder} does not exist yet", "It is made at the first start")
    return Finding(State.OK, "folder", f"{folder} can be written")


def _database(settings: Settings) -> Finding:
    url = make_url(settings.catalog_url)
    name = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        return Finding(State.WARN, "database", f"{name} does not exist yet", "It is made at the first start")
    database = Database(settings.catalog_url)
    try:
        with database.read() as tx:
            stored = MigrationContext.configure(tx).get_current_revision()
            known = ScriptDirectory.from_config(alembic_config(tx)).get_current_head()
    finally:
        database.close()
    if stored != known:
        remedy = "Start the service: it brings the tables up to date"
        return Finding(State.WARN, "database", f"{name} has tables of version {stored}, this is {known}", remedy)
    return Finding(State.OK, "database", f"{name} answers, tables of version {stored}")


def _keys(settings: Settings) -> Finding:
    if not settings.require_keys:
        return Finding(State.OK, "keys", "no key is asked for, as require_keys is off: for loopback addresses only")
    if _database(settings).state is not State.OK:
        return Finding(State.WARN, "keys", "there is no table of API keys yet", "It is made at the first start")
    database = Database(settings.catalog_url)
    try:
        with database.read() as tx:
            made, revoked = tx.execute(select(func.count(), func.count(api_keys.c.revoked_at))).one()
    finally:
        database.close()
    if made == 0:
        return Finding(State.OK, "keys", "there is no API key: everybody is served, on loopback addresses only")
    if made == revoked:
        remedy = "Make one with: coldstart keys create --scope admin"
        return Finding(State.WARN, "keys", f"all API keys ({made}) are revoked: nobody is served", remedy)
    return Finding(State.OK, "keys", f"{made - revoked} valid API keys, {revoked} revoked; every request needs one")


def _index(settings: Settings, adapter: ServedAdapter) -> Finding:
    if settings.qdrant_url is None and not settings.index_dir.exists():
        return Finding(State.WARN, "index", "there is none yet", "It is made at the first start")
    try:
        indexes = index_store_of(settings)
    except Conflict as error:
        return Finding(State.WARN, "index", error.what, "Ask the service itself: GET /health/ready and GET /status")
    try:
        if adapter.version not in indexes.collections():
            remedy = "Start the service: it makes one and fills it"
            return Finding(State.WARN, "index", f"no collection for adapter {adapter.version}", remedy)
        points = indexes.create(adapter.version, adapter.dim).count()
    finally:
        indexes.close()
    if _database(settings).state is not State.OK:
        remedy = "Start the service: it makes them and fills the index anew"
        return Finding(State.WARN, "index", f"{points} points, and no tables of this version beside them", remedy)
    database = Database(settings.catalog_url)  # not the store, which would make the tables and bring them up to date
    try:
        with database.read() as tx:
            retrievable = tx.scalar(select(func.count()).where(items.c.status == Status.RETRIEVABLE))
    finally:
        database.close()
    if points != retrievable:
        remedy = "Start the service: what is due is applied; if this stays, rebuild the index"
        return Finding(State.WARN, "index", f"{points} points for {retrievable} retrievable items", remedy)
    return Finding(State.OK, "index", f"{points} points, as many as there are retrievable items")


def _encoders(settings: Settings, adapter: ServedAdapter) -> Finding:
    models = models_of(adapter, settings)
    text = models.text.get().encode(["a walnut desk lamp"])
    image = models.image.get().encode([Image.new("RGB", (64, 64))])
    if not (np.isfinite(text).all() and np.isfinite(image).all()):
        return Finding(State.FAIL, "encoders", "they give numbers that are not finite", "Install their packages again")
    names = " and ".join(
        f"{trained.model} in {precision_of(encoder.get().fingerprint)}"
        for trained, encoder in ((adapter.artifact.text, models.text), (adapter.artifact.image, models.image))
    )
    return Finding(State.OK, "encoders", f"{names} encode, as the adapter knows them")


def _broker(settings: Settings) -> Finding:
    app = make_app(settings.broker_url)
    if is_in_process(settings.broker_url):
        return Finding(State.OK, "broker", f"{MEMORY}: the worker runs inside the service")
    with app.connection_for_write() as connection:
        name = connection.as_uri()
        try:
            connection.ensure_connection(max_retries=1, timeout=3)
        except connection.connection_errors as error:
            remedy = "Start it or set --broker-url; items wait in the database meanwhile"
            return Finding(State.FAIL, "broker", f"{name} does not answer: {error}", remedy)
    return Finding(State.OK, "broker", f"{name} answers")
