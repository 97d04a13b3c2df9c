"""A deployment saved and brought back: whole, into an empty place, or not at all."""

import json
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from adapters.artifact import load_artifact, save_artifact
from adapters.serving import ServedAdapter
from coldstart.catalog import Draft, Status, open_item_store
from coldstart.catalog.adapters import AdapterStatus, AdapterStore
from coldstart.entities import Item
from coldstart.errors import ColdstartError, Conflict, InvalidInput, NotFound
from coldstart.settings import Settings
from tests.toyshop import Shop, make_shop
from workers.backup import MANIFEST, back_up, read_manifest, restore
from workers.choosing import identify, open_adapter


@pytest.fixture(scope="module")
def shop(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("shop"), cache=cache)


@pytest.fixture
def settings(shop: Shop, tmp_path: Path) -> Settings:
    """A deployment of two items, its artifacts in its own folder."""
    made = Settings(data_dir=tmp_path / "state")
    shutil.copytree(shop.artifact, made.adapter_dir)
    shutil.copytree(shop.artifact.parent / "backbone", made.backbone_dir)
    with closing(open_item_store(made.catalog_url)) as store:
        store.accept([Draft(Item("a", "A")), Draft(Item("b", "B"))])
    return made


@pytest.fixture
def backup(settings: Settings, tmp_path: Path) -> Path:
    back_up(settings, tmp_path / "backup")
    return tmp_path / "backup"


@pytest.fixture
def bare(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "bare")


def test_a_bare_machine_gets_all_of_it(settings: Settings, backup: Path, bare: Settings) -> None:
    told: set[str] = set()
    restored = restore(backup, bare, on_progress=lambda name, done, total: told.add(name))
    assert restored.items[Status.PENDING] == 2 and "catalog.sqlite3" in told
    assert load_artifact(bare.adapter_dir).version == load_artifact(settings.adapter_dir).version
    with closing(open_item_store(bare.catalog_url)) as store, closing(open_item_store(settings.catalog_url)) as old:
        assert store.list_items(limit=9) == old.list_items(limit=9)


def test_the_manifest_names_every_file_and_nobody_else_may_read_it(backup: Path) -> None:
    files = {str(path.relative_to(backup)) for path in backup.rglob("*") if path.is_file()}
    assert files - {MANIFEST} == set(read_manifest(backup).files)
    assert {"catalog.sqlite3", "artifacts/adapter/config.json", "artifacts/backbone/backbone.json"} < files
    assert backup.stat().st_mode & 0o777 == 0o700


def test_the_artifacts_go_where_the_settings_say(backup: Path, tmp_path: Path) -> None:
    elsewhere = Settings(data_dir=tmp_path / "bare", adapter=tmp_path / "models/adapter")
    restore(backup, elsewhere)
    assert (tmp_path / "models/backbone/backbone.json").exists()  # where the adapter says that it is
    apart = Settings(data_dir=tmp_path / "other", adapter=tmp_path / "x/adapter", backbone=tmp_path / "y")
    restore(backup, apart)
    assert (tmp_path / "y/backbone.json").exists() and load_artifact(tmp_path / "x/adapter", backbone=tmp_path / "y")


def test_a_deployment_is_not_restored_over(settings: Settings, backup: Path, bare: Settings) -> None:
    with pytest.raises(Conflict, match=r"catalog\.sqlite3: there is a catalogue.*another data folder"):
        restore(backup, settings)
    bare.index_dir.mkdir(parents=True)
    (bare.index_dir / "live").write_text("of something else")
    with pytest.raises(Conflict, match=r"index: there is an index.*Move it away"):
        restore(backup, bare)
    shutil.rmtree(bare.index_dir)
    bare.adapter_dir.mkdir(parents=True)
    (bare.adapter_dir / "config.json").write_text("{}")
    with pytest.raises(Conflict, match="adapter: there is another adapter"):
        restore(backup, bare)
    assert not bare.backbone_dir.exists() and not (bare.data_dir / "catalog.sqlite3").exists()


def test_artifacts_that_are_there_already_are_left_alone(shop: Shop, backup: Path, tmp_path: Path) -> None:
    """As where the catalogue alone was lost, or a restore was killed."""
    settings = Settings(data_dir=tmp_path / "bare", adapter=shop.artifact)
    before = {path: path.stat().st_mtime_ns for path in shop.artifact.parent.rglob("*")}
    assert restore(backup, settings).items[Status.PENDING] == 2
    assert {path: path.stat().st_mtime_ns for path in shop.artifact.parent.rglob("*")} == before


@pytest.mark.parametrize(
    "name", ["catalog.sqlite3", "artifacts/adapter/weights.safetensors", "artifacts/adapter/card.md"]
)
@pytest.mark.parametrize("how", ["altered", "missing"])
def test_a_backup_that_is_not_whole_is_refused_with_the_file(backup: Path, bare: Settings, name: str, how: str) -> None:
    if how == "missing":
        (backup / name).unlink()
    else:
        raw = bytearray((backup / name).read_bytes())
        raw[len(raw) // 2] ^= 1
        (backup / name).write_bytes(raw)
    with pytest.raises(Conflict, match=f"{name} is .*older backup"):
        restore(backup, bare)
    assert not bare.data_dir.exists()


@pytest.mark.parametrize("name", ["../../outside", "/etc/passwd", "artifacts/adapter/..", "artifacts/adapter/a/b", "x"])
def test_a_manifest_leads_nowhere_else(backup: Path, bare: Settings, name: str) -> None:
    document = json.loads((backup / MANIFEST).read_text())
    document["files"][name] = "0" * 64
    (backup / MANIFEST).write_text(json.dumps(document))
    with pytest.raises(Conflict, match=r"manifest\.json is damaged or altered"):
        restore(backup, bare)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 1, "files": []}'])
def test_a_manifest_that_says_nothing_is_refused(backup: Path, bare: Settings, text: str) -> None:
    (backup / MANIFEST).write_text(text)
    with pytest.raises(Conflict, match=r"manifest\.json is damaged or altered"):
        restore(backup, bare)


def test_a_format_of_the_future_is_named(backup: Path) -> None:
    (backup / MANIFEST).write_text('{"format": 99}')
    with pytest.raises(Conflict, match=r"format 99.*version of coldstart that made it"):
        read_manifest(backup)


def test_a_folder_without_a_manifest_is_no_backup(tmp_path: Path, bare: Settings) -> None:
    with pytest.raises(NotFound, match="no backup, or one that was not finished"):
        restore(tmp_path, bare)


def test_a_backup_goes_back_into_its_own_kind_of_database(backup: Path, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "bare", database_url="postgresql://nobody@127.0.0.1:1/shop")
    with pytest.raises(InvalidInput, match=r"a catalogue on sqlite.*postgresql"):
        restore(backup, settings)


def test_what_cannot_be_saved_leaves_no_folder(settings: Settings, tmp_path: Path) -> None:
    (settings.adapter_dir / "weights.safetensors").write_bytes(b"damaged")
    with pytest.raises(ColdstartError, match=r"weights\.safetensors is damaged"):
        back_up(settings, tmp_path / "backup")
    with pytest.raises(NotFound, match="no adapter"):
        back_up(Settings(data_dir=tmp_path / "nothing"), tmp_path / "backup")
    assert {path.name for path in tmp_path.iterdir()} == {"state"}


def test_an_old_backup_is_not_written_over(settings: Settings, backup: Path) -> None:
    before = read_manifest(backup)
    with pytest.raises(Conflict, match="backup: it is there already"):
        back_up(settings, backup)
    assert read_manifest(backup) == before


def test_what_was_promoted_is_saved_and_served_where_it_is_brought_back(
    settings: Settings, bare: Settings, tmp_path: Path
) -> None:
    artifact = load_artifact(settings.adapter_dir)
    promoted = save_artifact(
        artifact.adapter.with_scales(cold=0.5), tmp_path / "promoted", text=artifact.text, image=artifact.image,
        backbone_dir=settings.backbone_dir, card="",
    )  # fmt: skip
    configured = ServedAdapter.load(settings.adapter_dir)
    with closing(AdapterStore(settings.catalog_url)) as registry:
        registry.open(identify(configured, settings.adapter_dir))
        registry.register(identify(ServedAdapter.load(tmp_path / "promoted"), tmp_path / "promoted"))
        registry.ready(promoted, items=0)
        registry.promote(promoted)
    assert back_up(settings, tmp_path / "backup").adapter == promoted
    restore(tmp_path / "backup", bare)
    assert load_artifact(bare.adapter_dir).version == promoted
    with closing(AdapterStore(bare.catalog_url)) as registry:
        assert open_adapter(bare, registry).adapter.version == promoted
        status = {each.version: each.status for each in registry.list_adapters()}
    assert status == {configured.version: AdapterStatus.PREVIOUS, promoted: AdapterStatus.LIVE}
