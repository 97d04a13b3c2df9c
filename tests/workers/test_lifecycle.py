"""Another adapter takes the place of the one that is served, with real encoders, store and index, and goes back."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select, update

from adapters.artifact import load_artifact, save_artifact
from coldstart.catalog import Draft, Stage, Status
from coldstart.catalog.adapters import AdapterRecord, AdapterStatus, AdapterStore
from coldstart.catalog.engine import Database
from coldstart.catalog.models import items, outbox
from coldstart.entities import Event, Item
from coldstart.errors import Conflict, NotFound
from coldstart.index.edge_store import EdgeIndexStore
from coldstart.recommend import Request
from coldstart.settings import Settings
from tests.coldstart.experiments.toy import draft
from tests.toyshop import GREEN, Shop, make_shop, picture
from tests.workers.toy import wait_until
from workers.graduation import graduate_clicked
from workers.reconcile import reconcile
from workers.runtime import Runtime, open_runtime

ITEMS = 16  # of the toy shop


@pytest.fixture(scope="module")
def shop(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("shop"), cache=cache)


@pytest.fixture(scope="module")
def save(shop: Shop) -> Callable[..., Path]:
    """Saves another version of the shop's adapter beside it."""

    def make(name: str, *, text_encoder: str | None = None, **scales: float) -> Path:
        artifact = load_artifact(shop.artifact)
        text = artifact.text if text_encoder is None else type(artifact.text)(artifact.text.model, text_encoder)
        folder = shop.artifact.parent / name
        save_artifact(
            artifact.adapter.with_scales(**scales), folder, text=text, image=artifact.image,
            backbone_dir=shop.artifact.parent / "backbone", card=f"# The card of {name}",
        )  # fmt: skip
        return folder

    return make


@pytest.fixture(scope="module")
def other(save: Callable[..., Path]) -> Path:
    return save("other", cold=0.9, warm_content=0.1)


@pytest.fixture
def settings(shop: Shop, cache: Path, tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path / "data", adapter=shop.artifact, cache_dir=cache, relay_seconds=0.05, graduation_seconds=0
    )


@pytest.fixture
def runtime(settings: Settings, shop: Shop) -> Iterator[Runtime]:
    """A service on the shop, with one item more, that is new."""
    with open_runtime(settings) as opened:
        opened.seed(shop.dataset)
        post(opened, "sencha")
        yield opened


def post(runtime: Runtime, *item_ids: str, title: str = "Sencha tea") -> None:
    before = runtime.store.counts()[Status.RETRIEVABLE]
    fresh = len(set(item_ids) - runtime.store.get_many(item_ids).keys())
    runtime.store.accept([Draft(Item(each, title), picture=picture(GREEN)) for each in item_ids])
    runtime.wake()
    wait_until(
        lambda: all(runtime.store.get(each).status is Status.RETRIEVABLE for each in item_ids), seconds=90,
        what="retrievable",
    )  # fmt: skip
    assert runtime.store.counts()[Status.RETRIEVABLE] >= before + fresh or before < ITEMS


def made_ready(runtime: Runtime, folder: Path) -> str:
    version = runtime.register(folder).version
    wait_until(lambda: runtime.adapters.get(version).status is AdapterStatus.READY, what="readiness")
    return version


def vectors(runtime: Runtime, version: str) -> dict[str, tuple[int, list[float]]]:
    """What the collection of a kept version holds."""
    index = next(each.index for each in runtime.kept.value.every if each.version == version)
    ids = [held.item_id for page in index.scan(page=100) for held in page if not held.deleted]
    return {i: (point.version, point.vector.tolist()) for i, point in index.fetch(ids).items()}


def all_rows_tell_of(runtime: Runtime, version: str) -> bool:
    return not runtime.store.expected(after=None, limit=1000, unlike=version)


def status(runtime: Runtime) -> dict[str, AdapterStatus]:
    return {each.version: each.status for each in runtime.adapters.list_adapters()}


def test_a_search_graph_is_seen_to_before_a_version_is_ready(
    runtime: Runtime, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, AdapterStatus, int]] = []
    build = EdgeIndexStore.optimize_beside

    def watched(self: EdgeIndexStore, collection: str, *, unindexed: int, stopping: Callable[[], bool]) -> bool:
        asked.append((collection, runtime.adapters.get(collection).status, unindexed))
        return build(self, collection, unindexed=unindexed, stopping=stopping)

    monkeypatch.setattr(EdgeIndexStore, "optimize_beside", watched)
    version = made_ready(runtime, other)
    assert (version, AdapterStatus.PROJECTING, runtime.settings.graph_points) in asked


def test_from_a_folder_to_what_is_served_and_back(runtime: Runtime, other: Path) -> None:
    old = runtime.adapter.version
    encoded_at = runtime.store.get("sencha").encoded_at
    before = runtime.recommend(Request(user_id="tea-user-0", limit=5))[0]
    new = made_ready(runtime, other)
    assert runtime.adapter.version == old and vectors(runtime, new).keys() == vectors(runtime, old).keys()
    record = runtime.adapters.get(new)
    assert record.identity.card == "# The card of other" and record.projected == record.total == ITEMS + 1

    assert runtime.lifecycle.promote(new).status is AdapterStatus.LIVE
    answer = runtime.recommend(Request(user_id="tea-user-0", limit=5))[0]
    assert answer.adapter_version == runtime.adapter.version == new
    assert [row.score for row in answer.rows] != [row.score for row in before.rows]
    assert runtime.similar("sencha", 3)[1] == new
    assert status(runtime) == {old: AdapterStatus.PREVIOUS, new: AdapterStatus.LIVE}
    wait_until(lambda: all_rows_tell_of(runtime, new), what="the rows")
    assert runtime.store.get("sencha").encoded_at == encoded_at
    assert reconcile(runtime.store, runtime.index, adapter_version=new).repaired == 0

    post(runtime, "matcha")
    runtime.store.delete("tea-0")
    runtime.wake_index()
    wait_until(lambda: "tea-0" not in vectors(runtime, new))
    assert runtime.lifecycle.rollback().version == old
    assert runtime.recommend(Request(user_id="tea-user-0", limit=5))[0].adapter_version == old
    assert status(runtime) == {old: AdapterStatus.LIVE, new: AdapterStatus.READY}
    wait_until(lambda: all_rows_tell_of(runtime, old), what="the rows")
    assert "matcha" in vectors(runtime, old) and "tea-0" not in vectors(runtime, old)
    assert reconcile(runtime.store, runtime.index, adapter_version=old).repaired == 0


def test_a_version_that_is_filled_beside_is_what_it_would_be_alone(
    runtime: Runtime, settings: Settings, other: Path, shop: Shop, tmp_path: Path
) -> None:
    """Also an item that clicks have moved, one that was put again, and one that came in after it was ready."""
    runtime.store.record_events([Event(f"e{n}", f"tea-user-{n}", "sencha", 1.0) for n in range(4)])
    assert graduate_clicked(runtime.store, runtime.adapter, runtime.telemetry) == 1
    runtime.wake_index()
    wait_until(lambda: runtime.store.get("sencha").status is Status.RETRIEVABLE and not runtime.store.due(Stage.INDEX))
    new = made_ready(runtime, other)
    post(runtime, "matcha")
    runtime.store.record_events([Event("m", "tool-user-1", "matcha", 1.0)])
    assert graduate_clicked(runtime.store, runtime.adapter, runtime.telemetry) == 1
    runtime.wake_index()
    wait_until(lambda: vectors(runtime, new)["matcha"][0] == 2, what="the move")
    beside = vectors(runtime, new)
    alone = settings.model_copy(update={"data_dir": tmp_path / "alone", "adapter": other})
    with open_runtime(alone) as fresh:
        fresh.seed(shop.dataset)
        post(fresh, "sencha", "matcha")
        fresh.store.record_events([Event(f"e{n}", f"tea-user-{n}", "sencha", 1.0) for n in range(4)])
        fresh.store.record_events([Event("m", "tool-user-1", "matcha", 1.0)])
        assert graduate_clicked(fresh.store, fresh.adapter, fresh.telemetry) == 2
        fresh.wake_index()
        wait_until(lambda: vectors(fresh, new)["matcha"][0] == vectors(fresh, new)["sencha"][0] == 2)
        expected = vectors(fresh, new)
    assert beside.keys() == expected.keys()
    for item_id, (version, vector) in expected.items():
        assert beside[item_id][0] == version
        np.testing.assert_allclose(beside[item_id][1], vector, atol=1e-3)


def test_what_cannot_be_served_is_refused_and_says_why(
    runtime: Runtime, save: Callable[..., Path], other: Path, tmp_path: Path
) -> None:
    with pytest.raises(Conflict, match="no version to roll back"):
        runtime.lifecycle.rollback()
    with pytest.raises(NotFound, match="no such adapter version"):
        runtime.lifecycle.promote("feedbeef")
    with pytest.raises(NotFound, match="holds no adapter"):
        runtime.register(tmp_path / "nowhere")
    with pytest.raises(Conflict, match="its encoders are"):
        runtime.register(save("stranger", text_encoder="another"))
    with pytest.raises(Conflict, match="live"):
        runtime.lifecycle.promote(runtime.adapter.version)
    with pytest.raises(Conflict, match="is live"):
        runtime.lifecycle.retire(runtime.adapter.version)
    new = runtime.adapters.register(identity_of(runtime, other)).version  # nobody has looked yet
    with pytest.raises(Conflict, match=r"registered|projecting"):
        runtime.lifecycle.promote(new)


def identity_of(runtime: Runtime, folder: Path):  # type: ignore[no-untyped-def]
    from adapters.serving import ServedAdapter
    from workers.choosing import identify

    return identify(ServedAdapter.load(folder), folder)


def test_the_newest_promotion_drops_what_is_no_longer_the_way_back(
    runtime: Runtime, save: Callable[..., Path], other: Path
) -> None:
    first = runtime.adapter.version
    second = made_ready(runtime, other)
    with pytest.raises(Conflict, match=f"{second} is ready"):
        runtime.register(save("third", cold=2.5))
    assert runtime.register(other).status is AdapterStatus.READY  # of one that is kept, once more
    runtime.lifecycle.promote(second)
    third = made_ready(runtime, save("third", cold=2.5))
    runtime.lifecycle.promote(third)
    assert status(runtime) == {
        first: AdapterStatus.RETIRED, second: AdapterStatus.PREVIOUS, third: AdapterStatus.LIVE
    }  # fmt: skip
    wait_until(lambda: collections(runtime) == sorted([second, third]), what="the drop")
    assert runtime.register(runtime.settings.adapter_dir).version == first
    wait_until(lambda: runtime.adapters.get(first).status is AdapterStatus.READY)
    assert vectors(runtime, first).keys() == vectors(runtime, third).keys()
    runtime.lifecycle.retire(first)
    wait_until(lambda: collections(runtime) == sorted([second, third]), what="the drop")


def owed(runtime: Runtime) -> int:
    """Rows of the outbox, also those that are being worked at."""
    with closing(Database(runtime.settings.catalog_url)) as database, database.read() as tx:
        return tx.execute(select(func.count()).select_from(outbox)).scalar_one()


def collections(runtime: Runtime) -> list[str]:
    return sorted(each.name for each in runtime.settings.index_dir.iterdir() if each.is_dir() and each.name[0] != ".")


def test_a_version_with_no_place_for_an_item_fails_and_says_which(runtime: Runtime, save: Callable[..., Path]) -> None:
    """Vectors beyond what can be multiplied: no collection takes them, and no list would be any use."""
    version = runtime.register(save("wild", cold=1e30)).version
    wait_until(lambda: runtime.adapters.get(version).status is AdapterStatus.FAILED, what="the failure")
    assert "sencha" in (runtime.adapters.get(version).error or "")
    assert runtime.recommend(Request(user_id="tea-user-0", limit=3))[0].rows
    with pytest.raises(Conflict, match="failed"):
        runtime.lifecycle.promote(version)


def test_two_changes_at_once_are_one_too_many(runtime: Runtime, other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = made_ready(runtime, other)
    begun, go_on = threading.Event(), threading.Event()
    promote = runtime.adapters.promote

    def slowly(version: str) -> AdapterRecord:
        begun.set()
        assert go_on.wait(20)
        return promote(version)

    monkeypatch.setattr(runtime.adapters, "promote", slowly)
    first = threading.Thread(target=runtime.lifecycle.promote, args=[new])
    first.start()
    assert begun.wait(20)
    try:
        with pytest.raises(Conflict, match="another version is being promoted"):
            runtime.lifecycle.promote(new)
    finally:
        go_on.set()
        first.join()
    assert runtime.adapter.version == new


def test_whoever_has_begun_ends_with_the_version_that_was_live_then(
    runtime: Runtime, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = runtime.adapter.version, made_ready(runtime, other)
    adapter = runtime.adapter
    known = adapter.user_vector

    def promoted_meanwhile(user_id: str) -> object:
        if runtime.adapter.version == old:
            runtime.lifecycle.promote(new)
        return known(user_id)

    monkeypatch.setattr(adapter, "user_vector", promoted_meanwhile)
    answer, _ = runtime.recommend(Request(user_id="tea-user-0", limit=5))
    assert answer.adapter_version == old and runtime.adapter.version == new
    query = known("tea-user-0")
    assert query is not None
    own = vectors(runtime, old)
    assert all(
        row.score == pytest.approx(float(np.array(own[row.item_id][1]) @ query), rel=1e-4) for row in answer.rows
    )


def test_experiments_and_new_items_owed_places_go_on_after_a_swap(runtime: Runtime, other: Path) -> None:
    runtime.experiments.create(draft())
    runtime.start_experiment("toy")
    before = runtime.recommend(Request(limit=3), unit="u1")[1]
    new = made_ready(runtime, other)
    runtime.lifecycle.promote(new)
    answer, after = runtime.recommend(Request(user_id="tool-user-0", limit=5), unit="u1")
    assert before == after and answer.adapter_version == new
    assert runtime.kept.value.live.floor.owed_among(["sencha"]) == 1
    runtime.recommend(Request(user_id="tool-user-0", limit=5), unit="u2")
    wait_until(lambda: len(runtime.experiments.exposures("toy")) == 3, what="what both versions have shown")


def test_items_that_come_and_go_while_versions_change_are_in_every_version(runtime: Runtime, other: Path) -> None:
    old, new = runtime.adapter.version, made_ready(runtime, other)
    over = threading.Event()

    def live() -> None:
        n = 0
        while not over.is_set():
            runtime.store.accept([Draft(Item(f"new-{n % 40}", f"Tea number {n}"))])
            if n % 3 == 0 and n > 40:
                runtime.store.delete(f"new-{(n + 7) % 40}")
            runtime.wake()
            runtime.wake_index()
            n += 1
            over.wait(0.005)

    writer = threading.Thread(target=live)
    writer.start()
    try:
        for _ in range(10):
            runtime.lifecycle.promote(new)
            assert runtime.recommend(Request(user_id="tea-user-0"))[0].adapter_version == new
            runtime.lifecycle.rollback()
            assert runtime.recommend(Request(user_id="tea-user-0"))[0].adapter_version == old
    finally:
        over.set()
        writer.join()
    wait_until(lambda: owed(runtime) == 0, what="an end")
    wait_until(lambda: all_rows_tell_of(runtime, old), what="the rows")
    assert runtime.store.counts()[Status.RETRIEVABLE] == runtime.index.count()
    assert reconcile(runtime.store, runtime.index, adapter_version=old).repaired == 0
    mine, beside = vectors(runtime, old), vectors(runtime, new)
    assert {i: version for i, (version, _) in mine.items()} == {i: version for i, (version, _) in beside.items()}


def test_a_restart_serves_what_was_promoted_until_the_settings_name_another(
    settings: Settings, shop: Shop, other: Path, save: Callable[..., Path]
) -> None:
    with open_runtime(settings) as runtime:
        runtime.seed(shop.dataset)
        post(runtime, "sencha")
        old, new = runtime.adapter.version, made_ready(runtime, other)
        runtime.lifecycle.promote(new)
    with open_runtime(settings) as runtime:
        assert runtime.adapter.version == new and status(runtime)[old] is AdapterStatus.PREVIOUS
        wait_until(lambda: all_rows_tell_of(runtime, new), what="the rows")
        assert runtime.index.count() == ITEMS + 1 and not runtime.encoder.opened
        assert runtime.lifecycle.rollback().version == old
    with AdapterStoreOf(settings) as registry:
        registry.promote(new)  # by the command line, say, while nothing runs
    with open_runtime(settings) as runtime:
        assert runtime.adapter.version == new
        assert runtime.store.counts()[Status.RETRIEVABLE] == ITEMS + 1  # it missed nothing
    third = settings.model_copy(update={"adapter": save("third", cold=2.5)})
    with open_runtime(third) as runtime:
        assert runtime.adapter.version not in (old, new)
        wait_until(lambda: runtime.store.counts()[Status.RETRIEVABLE] == ITEMS + 1, what="every item")
        wait_until(lambda: all_rows_tell_of(runtime, runtime.adapter.version), what="the rows")
        assert status(runtime)[new] is AdapterStatus.PREVIOUS and not runtime.encoder.opened
        assert runtime.store.counts()[Status.RETRIEVABLE] == runtime.index.count() == ITEMS + 1


class AdapterStoreOf:
    """The registry, from outside."""

    def __init__(self, settings: Settings) -> None:
        self._store = AdapterStore(settings.catalog_url)

    def __enter__(self) -> AdapterStore:
        return self._store

    def __exit__(self, *_: object) -> None:
        self._store.close()


def test_a_promoted_adapter_whose_folder_is_gone_says_what_to_do(
    settings: Settings, shop: Shop, save: Callable[..., Path]
) -> None:
    folder = save("moved", cold=0.7)
    with open_runtime(settings) as runtime:
        old, new = runtime.adapter.version, made_ready(runtime, folder)
        runtime.lifecycle.promote(new)
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(NotFound, match="rollback"), open_runtime(settings):
        pass
    with AdapterStoreOf(settings) as registry:
        registry.rollback()
    with open_runtime(settings) as runtime:
        assert runtime.adapter.version == old
        assert status(runtime)[new] is AdapterStatus.FAILED


KILLED = """
import os, signal, sys
from contextlib import closing
from pathlib import Path
from coldstart.catalog.adapters import AdapterRecord, AdapterStatus, AdapterStore
from coldstart.settings import Settings
from workers import lifecycle, projecting
from workers.runtime import open_runtime

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

settings, folder, point = Settings.model_validate_json(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
with open_runtime(settings) as runtime:
    if point == "projecting":
        projecting.PAGE, put, calls = 4, projecting.put, []
        def some(*args):
            calls.append(1)
            return put(*args) if len(calls) < 3 else die()
        projecting.put = some
    if point == "checking":
        lifecycle.check = die
    version = runtime.register(folder).version
    while runtime.adapters.get(version).status is not AdapterStatus.READY:
        pass
    if point == "before_swap":
        runtime.kept.replace = die
    if point == "before_alias":
        type(runtime.lifecycle._indexes).promote = die
    if point == "restating":
        lifecycle.restate = die
    runtime.lifecycle.promote(version)
    while True:
        pass
"""


@pytest.mark.parametrize("point", ["projecting", "checking", "before_swap", "before_alias", "restating"])
def test_whenever_it_is_killed_a_restart_goes_on(settings: Settings, shop: Shop, other: Path, point: str) -> None:
    with open_runtime(settings) as runtime:
        runtime.seed(shop.dataset)
        post(runtime, "sencha")
        old = runtime.adapter.version
    command = [sys.executable, "-c", KILLED, settings.model_dump_json(), str(other), point]
    assert subprocess.run(command, timeout=120).returncode == -signal.SIGKILL
    with open_runtime(settings) as runtime:
        [new] = {each.version for each in runtime.adapters.list_adapters()} - {old}
        if point in ("projecting", "checking"):
            assert runtime.adapter.version == old
            wait_until(lambda: runtime.adapters.get(new).status is AdapterStatus.READY, what="readiness")
            runtime.lifecycle.promote(new)
        assert runtime.adapter.version == new
        wait_until(lambda: all_rows_tell_of(runtime, new), what="the rows")
        assert runtime.index.count() == ITEMS + 1 and not runtime.encoder.opened
        assert reconcile(runtime.store, runtime.index, adapter_version=new).repaired == 0
        assert runtime.lifecycle.rollback().version == old
        assert vectors(runtime, old).keys() == vectors(runtime, new).keys()


def test_what_a_worker_did_not_write_beside_is_put_right_after_the_swap(runtime: Runtime, other: Path) -> None:
    """One of another process, say, that had begun before it knew of the new version."""
    new = made_ready(runtime, other)
    candidate = runtime.kept.value.others[0]
    points = candidate.index.fetch(["sencha", "tea-1"])
    with closing(Database(runtime.settings.catalog_url)) as database, database.write() as tx:
        ids = [items.c.item_id == item_id for item_id in ("sencha", "tea-1")]
        tx.execute(update(items).where(ids[0]).values(version=points["sencha"].version + 1))
        tx.execute(update(items).where(ids[1]).values(version=points["tea-1"].version + 1))
    runtime.lifecycle.promote(new)
    wait_until(lambda: all_rows_tell_of(runtime, new) and owed(runtime) == 0, what="an end")
    after = candidate.index.fetch(["sencha", "tea-1"])
    assert all(after[i].version == points[i].version + 1 for i in points)
    assert reconcile(runtime.store, runtime.index, adapter_version=new).repaired == 0
