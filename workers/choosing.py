"""Which adapter a process serves: what was promoted last, unless the settings have come to name another since."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.artifact import load_artifact, read_card
from adapters.serving import ServedAdapter
from coldstart.catalog.adapters import AdapterIdentity, AdapterRecord, AdapterStore, look_up
from coldstart.errors import Conflict, NotFound
from coldstart.settings import Settings


def identify(adapter: ServedAdapter, folder: Path) -> AdapterIdentity:
    """What the registry keeps of an adapter's folder."""
    return AdapterIdentity(
        version=adapter.version, folder=str(folder.resolve()), backbone=adapter.backbone.sha256,
        text_encoder=adapter.text_fingerprint, image_encoder=adapter.image_fingerprint, card=read_card(folder),
    )  # fmt: skip


def readable(records: Sequence[AdapterRecord], live: AdapterIdentity) -> frozenset[str]:
    """Versions whose embeddings the live one can place: those of the same encoders."""
    return frozenset(each.version for each in records if each.identity.encoders == live.encoders)


@dataclass(frozen=True)
class Chosen:
    """What a starting service serves, what is `readable` to it, and whether it was live, or kept beside it, before."""

    adapter: ServedAdapter
    readable: frozenset[str]
    kept: bool


def open_adapter(settings: Settings, registry: AdapterStore) -> Chosen:
    """The adapter that a starting service is to serve, from now on the live one.

    Raises
    ------
    NotFound
        Where there is no adapter yet, or the promoted one is gone.
    Conflict
        Where it is damaged or does not fit its backbone.
    """
    configured = ServedAdapter.load(settings.adapter_dir, backbone=settings.backbone)
    kept = registry.chosen(configured.version) is not None
    record = registry.open(identify(configured, settings.adapter_dir))
    adapter = configured if record.version == configured.version else _load(settings, record)
    return Chosen(adapter, readable(registry.list_adapters(), record.identity), kept)


def adapter_folder(settings: Settings) -> Path:
    """Where the adapter lies that a service on these settings serves or would serve; changes nothing."""
    return _folder(settings, load_artifact(settings.adapter_dir, backbone=settings.backbone).version)


def served_adapter(settings: Settings) -> ServedAdapter:
    """What lies in `adapter_folder`; the configured adapter is read once, be it that or not."""
    configured = ServedAdapter.load(settings.adapter_dir, backbone=settings.backbone)
    folder = _folder(settings, configured.version)
    return configured if folder == settings.adapter_dir else ServedAdapter.load(folder, backbone=settings.backbone)


def _folder(settings: Settings, configured: str) -> Path:
    record = look_up(settings.catalog_url, configured)
    return settings.adapter_dir if record is None or record.version == configured else Path(record.identity.folder)


def _load(settings: Settings, record: AdapterRecord) -> ServedAdapter:
    """A promoted version, from where it lay when it was registered."""
    folder = Path(record.identity.folder)
    remedy = "Bring its folder back, or serve another version with: coldstart adapters rollback, or promote"
    try:
        adapter = ServedAdapter.load(folder, backbone=settings.backbone)
    except NotFound:
        raise NotFound(
            f"the adapter {record.version} was promoted, and is gone", subject=str(folder), remedy=remedy
        ) from None
    if adapter.version != record.version:
        what = f"the adapter {record.version} was promoted, and the folder holds {adapter.version} by now"
        raise Conflict(what, subject=str(folder), remedy=remedy)
    return adapter
