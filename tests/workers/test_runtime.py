"""The whole of it in one process and in two, with real encoders, store, index and broker: nothing accepted is lost."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from adapters.artifact import load_artifact, save_artifact
from coldstart.catalog import Draft, Stage, Status
from coldstart.encoders.precision import precision_of
from coldstart.entities import Event, Item
from coldstart.errors import Conflict, InvalidInput, NotFound
from coldstart.index import VectorIndex
from coldstart.recommend import Request
from coldstart.settings import Settings
from tests import servers
from tests.coldstart.experiments.toy import draft
from tests.toyshop import GREEN, Shop, make_shop, picture
from tests.workers.toy import wait_until
from workers.drift import watch_drift
from workers.ingest import Ingestor
from workers.ingestion import make_worker
from workers.reconcile import reconcile
from workers.runtime import Runtime, open_runtime

ITEMS = 16  # of the toy shop


@pytest.fixture(scope="module")
def shop(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("shop"), cache=cache)


@pytest.fixture
def settings(shop: Shop, cache: Path, tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", adapter=shop.artifact, cache_dir=cache, relay_seconds=0.2)


@pytest.fixture
def runtime(settings: Settings, shop: Shop) -> Iterator[Runtime]:
    with open_runtime(settings) as opened:
        yield opened


def put(runtime: Runtime, *drafts: Draft) -> None:
    runtime.store.accept(drafts)
    runtime.wake()


def wait_for_all(runtime: Runtime, items: int) -> None:
    wait_until(lambda: runtime.store.counts()[Status.RETRIEVABLE] == items, seconds=90, what=f"{items} retrievable")


def test_a_new_tea_is_recommended_to_those_who_drink_tea(runtime: Runtime, shop: Shop) -> None:
    seeded = runtime.seed(shop.dataset)
    assert (seeded.embedded, seeded.due, seeded.known) == (ITEMS, 0, 0)
    wait_for_all(runtime, ITEMS)
    put(runtime, Draft(Item("sencha", "Sencha", "Sencha tea, loose leaves."), picture=picture(GREEN)))
    wait_for_all(runtime, ITEMS + 1)

    answer = runtime.recommender.recommend(Request(user_id="tea-user-0", limit=5))
    assert answer.strategy == "history"
    assert answer.adapter_version == runtime.adapter.version
    rows = {row.item_id: row for row in answer.rows}
    assert rows["sencha"].cold
    assert not rows["tea-0"].cold  # one of the two teas that this user has not met
    assert not set(runtime.adapter.seen("tea-user-0")) & set(rows)
    assert precision_of(runtime.adapter.text_fingerprint) == "fp32"
    assert precision_of(runtime.models.text.get().fingerprint) == "int8"  # and yet it is where it belongs

    assert runtime.recommender.similar("sencha", 3)[0].item_id.startswith("tea")
    by_sentence = runtime.recommender.recommend(Request(preferences="loose leaf tea for a quiet afternoon", limit=3))
    assert all(row.item_id.startswith(("tea", "sencha")) for row in by_sentence.rows)
    by_click = runtime.recommender.recommend(Request(clicked=("sencha",), limit=3))
    assert all(row.item_id.startswith("tea") for row in by_click.rows)

    runtime.store.delete("sencha")
    runtime.wake_index()
    wait_until(lambda: not runtime.index.fetch(["sencha"]))
    answer = runtime.recommender.recommend(Request(user_id="tea-user-0", limit=5))
    assert "sencha" not in [row.item_id for row in answer.rows]


def test_seeding_brings_titles_pictures_and_embeddings_and_changes_nothing_the_second_time(
    runtime: Runtime, shop: Shop
) -> None:
    runtime.seed(shop.dataset)
    wait_for_all(runtime, ITEMS)
    record = runtime.store.get("tea-1")
    assert (record.item.title, record.cold, record.modalities) == ("Black", False, ("text", "image"))
    assert runtime.store.picture("tea-1") == (shop.data / "images" / "tea-1.png").read_bytes()
    again = runtime.seed(shop.dataset)
    assert (again.embedded, again.due, again.known) == (0, 0, ITEMS)
    assert runtime.store.get("tea-1").version == record.version


def test_a_backbone_without_a_data_set_comes_in_by_ids_and_gets_its_titles_later(runtime: Runtime, shop: Shop) -> None:
    assert runtime.seed().embedded == ITEMS
    wait_for_all(runtime, ITEMS)
    assert runtime.store.get("tea-1").item == Item("tea-1", "")
    assert runtime.recommender.recommend(Request(user_id="tea-user-0", limit=1)).rows[0].item_id.startswith("tea")
    runtime.seed(shop.dataset)
    assert runtime.store.get("tea-1").item.title == "Black"


def test_arms_outlive_a_restart_and_what_was_shown_last_is_written(settings: Settings) -> None:
    """Shown at once after the start and just before the end, by a thread that would not have come round in time."""
    settings = settings.model_copy(update={"relay_seconds": 600.0})
    units = [f"u{n}" for n in range(20)]
    met: list[dict[str, str]] = []
    for run in range(2):
        with open_runtime(settings) as opened:
            if run == 0:
                opened.experiments.create(draft())
                opened.start_experiment("toy")
            answers = {unit: opened.arms.recommend(Request(limit=1), unit=unit)[1] for unit in units}
            met.append({unit: assignment.arm for unit, [assignment] in answers.items()})
    assert met[0] == met[1] and set(met[0].values()) == {"old", "new"}
    with open_runtime(settings) as opened:
        assert {(each.unit, each.arm) for each in opened.experiments.exposures("toy")} == set(met[0].items())
        assert opened.experiments.report("toy").lists == 40
        assert opened.stop_experiment("toy").stopped_at
        assert opened.arms.recommend(Request(limit=1), unit="u0")[1] == ()


def test_warming_up_needs_no_item(runtime: Runtime) -> None:
    runtime.warm_up()


def test_a_second_process_on_the_folder_is_refused(runtime: Runtime, settings: Settings) -> None:
    with pytest.raises(Conflict, match=str(settings.index_dir)), open_runtime(settings):
        pass


def test_the_parent_of_a_workers_children_has_no_model_runtime_and_no_second_thread(shop: Shop, tmp_path: Path) -> None:
    """A child that is forked while a runtime's threads run waits for ever for a lock that one of them held."""
    script = """
import sys, threading
from pathlib import Path
from coldstart.settings import Settings
import workers.main
app, queues = workers.main.make_worker(
    Settings(data_dir=Path(sys.argv[1]), adapter=Path(sys.argv[2]), broker_url="redis://127.0.0.1:1/0")
)
assert "coldstart.encode_due" in app.tasks and queues
print(sorted({"torch", "onnxruntime", "qdrant_edge"} & set(sys.modules)), threading.active_count())
"""
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), str(shop.artifact)], capture_output=True, text=True, check=True
    )
    assert run.stdout == "[] 1\n"


def test_no_adapter_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="Train one"), open_runtime(Settings(data_dir=tmp_path)):
        pass


def test_a_service_for_which_nobody_could_encode_is_refused(settings: Settings) -> None:
    alone = settings.model_copy(update={"embedded_worker": False})
    with pytest.raises(InvalidInput, match="nobody would encode"), open_runtime(alone):
        pass


def test_a_worker_of_its_own_needs_a_broker(settings: Settings) -> None:
    with pytest.raises(InvalidInput, match="COLDSTART_BROKER_URL"):
        make_worker(settings)


def test_a_lost_index_is_written_again_without_encoding(settings: Settings, shop: Shop) -> None:
    with open_runtime(settings) as runtime:
        runtime.seed(shop.dataset)
        wait_for_all(runtime, ITEMS)
    shutil.rmtree(settings.index_dir)
    with open_runtime(settings) as runtime:
        wait_for_all(runtime, ITEMS)
        assert runtime.index.count() == ITEMS
        assert not runtime.encoder.opened


def digest(index: VectorIndex) -> str:
    """Of everything live in the index: ids, versions and vectors."""
    live = [held.item_id for page in index.scan(page=100) for held in page if not held.deleted]
    points = index.fetch(sorted(live))
    told = sha256()
    for item_id in sorted(points):
        told.update(f"{item_id}\0{points[item_id].version}\0".encode() + points[item_id].vector.tobytes())
    return told.hexdigest()


def test_an_index_made_again_from_nothing_equals_the_one_that_was_lost(settings: Settings, shop: Shop) -> None:
    with open_runtime(settings) as runtime:
        runtime.seed(shop.dataset)
        for title in ("Sencha", "Sencha, second edition"):
            put(runtime, Draft(Item("sencha", title), picture=picture(GREEN)))
        wait_for_all(runtime, ITEMS + 1)
        runtime.store.delete("tea-0")
        runtime.wake_index()
        wait_until(lambda: runtime.index.count() == ITEMS)
        before = digest(runtime.index)
    shutil.rmtree(settings.index_dir)
    with open_runtime(settings) as runtime:
        wait_for_all(runtime, ITEMS)
        assert digest(runtime.index) == before
        assert reconcile(runtime.store, runtime.index, adapter_version=runtime.adapter.version).repaired == 0


def test_a_running_service_finds_by_itself_what_its_index_lost(settings: Settings, shop: Shop) -> None:
    with open_runtime(settings.model_copy(update={"reconcile_seconds": 0.2})) as runtime:
        runtime.seed(shop.dataset)
        wait_for_all(runtime, ITEMS)
        before = digest(runtime.index)
        lost = runtime.index.fetch(["tea-0"])["tea-0"]
        runtime.index.delete({"tea-0": lost.version + 1})
        runtime.index.upsert([replace(lost, item_id="stranger")])
        wait_until(lambda: runtime.store.get("tea-0").version == lost.version + 2, what="the loss to be noticed")
        wait_until(lambda: list(runtime.index.fetch(["tea-0", "stranger"])) == ["tea-0"], what="the repair")
        assert (runtime.index.fetch(["tea-0"])["tea-0"].vector == lost.vector).all()
        assert digest(runtime.index) != before  # by the version


def save_other(shop: Shop, folder: Path) -> Path:
    """Another version of the shop's adapter, below the folder."""
    artifact = load_artifact(shop.artifact)
    save_artifact(
        artifact.adapter.with_scales(warm_content=0.1), folder / "other", text=artifact.text, image=artifact.image,
        backbone_dir=shop.artifact.parent / "backbone", card="",
    )  # fmt: skip
    return folder / "other"


def settled(runtime: Runtime) -> list[str]:
    """The items that are in the index as the catalogue says, or buried in it."""
    page = runtime.store.settled(adapter_version=runtime.adapter.version, after=None, limit=1000)
    return [item.item_id for item in page]


def test_a_running_service_moves_new_items_by_their_clicks(settings: Settings, shop: Shop) -> None:
    with open_runtime(settings.model_copy(update={"graduation_seconds": 0.2})) as runtime:
        runtime.seed(shop.dataset)
        put(runtime, Draft(Item("thing", "Something")))
        wait_for_all(runtime, ITEMS + 1)
        before = runtime.index.fetch(["thing"])["thing"]
        retrievable_at = runtime.store.get("thing").retrievable_at
        runtime.store.record_events([Event("e", "tea-user-1", "thing", 1.0)])
        wait_until(lambda: runtime.index.fetch(["thing"])["thing"].version == before.version + 1, what="the move")
        after = runtime.index.fetch(["thing"])["thing"]
        assert (after.vector != before.vector).any() and after.payload == before.payload
        item = runtime.store.get("thing")
        assert (item.clicks, item.status, item.retrievable_at) == (1, Status.RETRIEVABLE, retrievable_at)
        assert reconcile(runtime.store, runtime.index, adapter_version=runtime.adapter.version).repaired == 0


def test_another_adapter_gets_every_item_into_its_own_space(settings: Settings, shop: Shop, tmp_path: Path) -> None:
    with open_runtime(settings) as runtime:
        runtime.seed(shop.dataset)
        wait_for_all(runtime, ITEMS)
        before = runtime.index.fetch(["tea-0"])["tea-0"].vector
    with open_runtime(settings.model_copy(update={"adapter": save_other(shop, tmp_path)})) as runtime:
        wait_for_all(runtime, ITEMS)
        assert runtime.index.count() == ITEMS
        assert runtime.store.get("tea-0").adapter_version == runtime.adapter.version
        assert (runtime.index.fetch(["tea-0"])["tea-0"].vector != before).any()


def test_another_adapter_remembers_what_it_knows_of_items_without_content(
    settings: Settings, shop: Shop, tmp_path: Path
) -> None:
    with open_runtime(settings) as runtime:
        runtime.seed()
        wait_for_all(runtime, ITEMS)
    other = settings.model_copy(update={"adapter": save_other(shop, tmp_path)})
    found = []
    for data_dir in (settings.data_dir, tmp_path / "fresh"):
        with open_runtime(other.model_copy(update={"data_dir": data_dir})) as runtime:
            runtime.seed()
            wait_for_all(runtime, ITEMS)
            found.append((runtime.index.fetch(["tea-0"])["tea-0"].vector, runtime.store.get("tea-0").modalities))
    (vector, modalities), (fresh_vector, fresh_modalities) = found
    np.testing.assert_allclose(vector, fresh_vector, atol=1e-5)
    assert modalities == fresh_modalities == ("text", "image")


def test_going_back_to_an_adapter_brings_nothing_back_that_was_deleted(
    settings: Settings, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_runtime(settings) as runtime:
        runtime.seed(shop.dataset)
        wait_for_all(runtime, ITEMS)
    with open_runtime(settings.model_copy(update={"adapter": save_other(shop, tmp_path)})) as runtime:
        runtime.store.delete("tea-0")
        wait_for_all(runtime, ITEMS - 1)
        wait_until(lambda: "tea-0" in settled(runtime), what="the tombstone")
    # Not for an instant: also where no worker has had its turn yet.
    monkeypatch.setattr(Ingestor, "apply_due", lambda _: 0)
    with open_runtime(settings) as runtime:
        assert runtime.index.fetch(["tea-0", "tea-1"]).keys() == {"tea-1"}
    monkeypatch.undo()
    with open_runtime(settings) as runtime:
        wait_for_all(runtime, ITEMS - 1)
        wait_until(lambda: runtime.index.count() == ITEMS - 1)
        assert not runtime.index.fetch(["tea-0"])


POST_AND_WAIT = """
import sys, pathlib
from coldstart.catalog import Draft
from coldstart.entities import Item
from coldstart.settings import Settings
from workers.drift import watch_drift
from workers.runtime import open_runtime
with open_runtime(Settings.model_validate_json(sys.argv[1])) as runtime:
    for n in range(100):
        runtime.store.accept([Draft(Item(f"new-{n}", f"Tea number {n}"))])
        runtime.wake()
    print("accepted", flush=True)
    while runtime.index.count() < 100:
        print(runtime.index.count(), flush=True)
"""


def test_what_a_killed_process_accepted_becomes_retrievable_once(settings: Settings) -> None:
    settings = settings.model_copy(update={"claim_batch": 4})
    process = subprocess.Popen(
        [sys.executable, "-c", POST_AND_WAIT, settings.model_dump_json()], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as said:
        assert next(said) == "accepted\n"
        done = next(int(line) for line in said if 0 < int(line))
        process.send_signal(signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    assert done < 100
    with open_runtime(settings) as runtime:
        wait_for_all(runtime, 100)
        assert runtime.index.count() == 100
        assert {runtime.store.get(f"new-{n}").version for n in range(100)} == {1}
        assert runtime.store.due(Stage.ENCODE) == runtime.store.due(Stage.INDEX) == 0


WORK = """
import sys
from coldstart.settings import Settings
from workers.main import run_worker
run_worker(Settings.model_validate_json(sys.argv[1]))
"""


def test_workers_of_their_own_encode_for_the_service_that_owns_the_index(settings: Settings) -> None:
    with servers.redis() as url:
        settings = settings.model_copy(update={"broker_url": url, "embedded_worker": False})
        worker = subprocess.Popen([sys.executable, "-c", WORK, settings.model_dump_json()], env=os.environ)
        try:
            with open_runtime(settings) as runtime:
                put(runtime, *(Draft(Item(f"new-{n}", "A tea"), picture=picture()) for n in range(20)))
                put(runtime, Draft(Item("broken", "A tea"), picture=b"junk"))
                wait_for_all(runtime, 21)
                assert runtime.index.count() == 21
                assert runtime.store.get("broken").picture_error
                assert not runtime.encoder.opened
                runtime.store.delete("new-0")
                runtime.wake_index()
                wait_until(lambda: not runtime.index.fetch(["new-0"]))
        finally:
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(20) == 0


def test_drift_is_told_of_each_modality(runtime: Runtime, shop: Shop) -> None:
    runtime.seed(shop.dataset)
    wait_for_all(runtime, ITEMS)
    put(runtime, *(Draft(Item(f"drift-{n}", "Quantum field theory", "Lectures on gauge bosons.")) for n in range(4)))
    wait_for_all(runtime, ITEMS + 4)
    watch_drift(runtime.store, runtime.adapter, runtime.telemetry)
    value = runtime.telemetry.registry.get_sample_value
    assert value("coldstart_embedding_drift", {"modality": "text"}) > 0.3  # type: ignore[operator]
    assert value("coldstart_embedding_drift", {"modality": "image"}) == 0.0
