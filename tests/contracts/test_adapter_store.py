"""What the store of adapter versions promises, asked of SQLite and of a real PostgreSQL server."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from coldstart.catalog.adapters import AdapterIdentity, AdapterStatus, AdapterStore, look_up
from coldstart.errors import Conflict, NotFound

REGISTERED, PROJECTING, READY, LIVE, PREVIOUS, RETIRED, FAILED = AdapterStatus


@pytest.fixture
def store(url: str) -> Iterator[AdapterStore]:
    store = AdapterStore(url, clock=lambda: 1e6)
    yield store
    store.close()


def named(version: str, *, backbone: str = "b", text: str = "t") -> AdapterIdentity:
    return AdapterIdentity(version, f"/adapters/{version}", backbone, text, "i", f"# {version}")


def status(store: AdapterStore) -> dict[str, AdapterStatus]:
    return {each.version: each.status for each in store.list_adapters()}


def made_ready(store: AdapterStore, version: str) -> None:
    store.register(named(version))
    store.projecting(version, projected=0, total=3)
    store.ready(version, items=3)


def test_from_a_folder_to_what_is_served_and_back(store: AdapterStore) -> None:
    assert store.open(named("v1")).status is LIVE and store.keeps_only("v1")
    assert store.register(named("v2")).status is REGISTERED and not store.keeps_only("v1")
    store.projecting("v2", projected=1, total=3)
    found = store.get("v2")
    assert (found.status, found.projected, found.total, found.identity) == (PROJECTING, 1, 3, named("v2"))
    store.ready("v2", items=3)
    assert store.promote("v2").status is LIVE and status(store) == {"v1": PREVIOUS, "v2": LIVE}
    assert store.rollback().version == "v1" and status(store) == {"v1": LIVE, "v2": READY}
    store.promote("v2")
    made_ready(store, "v3")
    store.promote("v3")
    assert status(store) == {"v1": RETIRED, "v2": PREVIOUS, "v3": LIVE}
    assert store.retire("v2").status is RETIRED
    with pytest.raises(Conflict, match="no version to roll back to"):
        store.rollback()
    assert store.register(named("v1")).status is REGISTERED


@pytest.mark.parametrize("word", [REGISTERED, PROJECTING, LIVE, PREVIOUS, RETIRED, FAILED])
def test_only_what_is_ready_is_promoted(store: AdapterStore, word: AdapterStatus) -> None:
    store.open(named("v1"))
    store.register(named("v2"))
    match word:
        case AdapterStatus.PROJECTING:
            store.projecting("v2", projected=0, total=0)
        case AdapterStatus.FAILED:
            store.fail("v2", "a reason\0")
            assert store.get("v2").error == "a reason\ufffd"
        case AdapterStatus.RETIRED:
            store.retire("v2")
        case AdapterStatus.LIVE | AdapterStatus.PREVIOUS:
            store.ready("v2", items=0)
            store.promote("v2")
    version = "v1" if word is PREVIOUS else "v2"
    assert store.get(version).status is word
    with pytest.raises(Conflict, match=f"the version is {word}"):
        store.promote(version)
    with pytest.raises(NotFound):
        store.promote("v9")


def test_of_many_promotions_at_once_each_is_a_step_from_the_one_before(store: AdapterStore, url: str) -> None:
    store.open(named("v1"))
    made_ready(store, "v2")

    def promote(_: int) -> bool:
        with closing(AdapterStore(url)) as own:
            try:
                own.promote("v2")
            except Conflict:
                return False
            return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(promote, range(6))) == 1
    assert status(store) == {"v1": PREVIOUS, "v2": LIVE}


def test_encoders_in_another_precision_are_no_others(store: AdapterStore) -> None:
    store.open(named("v1"))
    assert store.register(named("v2", text="t+int8.1")).status is REGISTERED


def test_what_does_not_fit_is_refused_and_one_candidate_is_enough(store: AdapterStore) -> None:
    store.open(named("v1"))
    with pytest.raises(Conflict, match="backbone"):
        store.register(named("v2", backbone="another"))
    with pytest.raises(Conflict, match="encoders"):
        store.register(named("v2", text="another"))
    store.register(named("v2"))
    assert store.register(named("v2")).status is REGISTERED  # the same once more
    with pytest.raises(Conflict, match="coldstart adapters retire v2"):
        store.register(named("v3"))
    with pytest.raises(Conflict, match="live"):
        store.retire("v1")


def test_what_is_said_too_late_of_a_candidate_changes_nothing(store: AdapterStore) -> None:
    store.open(named("v1"))
    made_ready(store, "v2")
    store.retire("v2")
    store.projecting("v2", projected=1, total=2)
    store.ready("v2", items=2)
    store.fail("v2", "late")
    store.fail("v1", "it is live")
    assert status(store) == {"v1": LIVE, "v2": RETIRED}


def test_a_promotion_outranks_the_settings_until_they_name_another(store: AdapterStore, url: str) -> None:
    assert look_up(url, "v1") is None
    store.open(named("v1"))
    made_ready(store, "v2")
    store.promote("v2")
    assert store.open(named("v1")).version == "v2"
    found = look_up(url, "v1")
    assert found is not None and found.version == "v2" and look_up(url, "v3") is None
    assert store.open(named("v3")).version == "v3" and status(store) == {"v1": RETIRED, "v2": PREVIOUS, "v3": LIVE}
    assert store.open(named("v3")).version == "v3"
    assert store.open(named("v2")).version == "v2" and status(store)["v3"] is PREVIOUS


def test_an_adapter_of_other_encoders_leaves_nothing_to_go_back_to(store: AdapterStore) -> None:
    store.open(named("v1"))
    made_ready(store, "v2")
    assert store.open(named("v3", text="another")).version == "v3"
    assert status(store) == {"v3": LIVE}


def test_a_catalogue_that_is_not_there_is_not_made_by_looking(url: str) -> None:
    assert look_up(url, "v1") is None
    with closing(AdapterStore(url)) as store:  # which does make it
        assert store.list_adapters() == []
