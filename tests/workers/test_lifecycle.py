"""Another adapter takes the place of the one that is served, with real encoders, store and index, and goes back."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from adapters.artifact import load_artifact, save_artifact
from coldstart.catalog import Draft, Status
from coldstart.catalog.adapters import AdapterStatus, AdapterStore
from coldstart.entities import Event, Item
from coldstart.errors import Conflict, NotFound
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
    page = runtime.store.settled(adapter_version=None, after=None, limit=1000)
    return all(item.vector is None or item.adapter_version == version for item in page)


def status(runtime: Runtime) -> dict[str, AdapterStatus]:
    return {each.version: each.status for each in runtime.adapters.list_adapters()}


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
    wait_until(lambda: runtime.store.get("sencha").status is Status.RETRIEVABLE and not runtime.store.due("index"))
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
    with pytest.raises(Conflict, match="nothing to roll back|no version to roll back"):
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
    with pytest.raises(Conflict, match="registered|projecting"):
        runtime.lifecycle.promote(new)


def identity_of(runtime: Runtime, folder: Path):  # type: ignore[no-untyped-def]
    from adapters.serving import ServedAdapter
    from workers.choosing import identify

    return identify(ServedAdapter.load(folder), folder)
