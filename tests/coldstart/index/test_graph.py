"""The search graph of an embedded collection, built in another process while it is asked and written to."""

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from coldstart.errors import Unavailable
from coldstart.index import Point, graph
from coldstart.index.edge import EdgeIndex
from coldstart.index.edge_store import EdgeIndexStore
from coldstart.vectors import normalise

DIM, POINTS = 16, 1500
VECTORS = normalise(np.random.default_rng(0).standard_normal((4 * POINTS, DIM), dtype=np.float32))


def point(n: int, version: int = 1, vector: int | None = None) -> Point:
    return Point(f"i{n}", version, VECTORS[n if vector is None else vector], {"n": n, "even": n % 2 == 0, "kind": "x"})


def small(folder: Path) -> None:
    """Let the engine build graphs of a thousand points, too."""
    config = json.loads((folder / "edge_config.json").read_text())
    config["optimizers"] = {"indexing_threshold": 1, "default_segment_number": 1}
    (folder / "edge_config.json").write_text(json.dumps(config))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with closing(EdgeIndexStore(tmp_path)) as store:
        index = store.create("v1", DIM)
        index.upsert([point(n) for n in range(POINTS)])
        index.delete({"i0": 2})
        store.promote("v1")
    small(tmp_path / "v1")
    return tmp_path


@pytest.fixture
def store(root: Path) -> Iterator[EdgeIndexStore]:
    store = EdgeIndexStore(root)
    yield store
    store.close()


def opened(store: EdgeIndexStore) -> EdgeIndex:
    index = store.create("v1", DIM)
    assert isinstance(index, EdgeIndex)
    return index


def meanwhile(work: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the work done between the copy and what becomes of it."""
    build = graph.build

    def built(folder: Path, *, stopping: Callable[[], bool]) -> bool:
        work()
        return build(folder, stopping=stopping)

    monkeypatch.setattr(graph, "build", built)


def lose_points(folder: Path, *, stopping: Callable[[], bool]) -> bool:
    """What no engine should do: lose what it was to build a graph of."""
    shutil.rmtree(folder / "segments")
    shutil.rmtree(folder / "wal")
    return True


def held(index: EdgeIndex) -> dict[str, tuple[int, bool]]:
    return {each.item_id: (each.version, each.deleted) for page in index.scan(page=500) for each in page}


def test_a_graph_takes_over_with_all_that_changed_meanwhile(
    store: EdgeIndexStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = opened(store)
    assert index.unindexed() > POINTS - 2

    def change() -> None:
        index.upsert([point(n) for n in range(POINTS, 2 * POINTS)])
        index.upsert([point(1, 2, vector=7), point(2, 2)])
        index.delete({"i3": 2, "i2": 3, "never seen": 1})
        index.query(VECTORS[:1], 5, where={"kind": "x", "n": {"lt": 9}})  # makes payload indexes

    meanwhile(change, monkeypatch)
    assert store.optimize_beside("v1", unindexed=POINTS // 2)
    assert index.unindexed() < 2 * POINTS
    after = held(index)
    assert (after["i1"], after["i2"], after["i3"], after["never seen"]) == ((2, False), (3, True), (2, True), (1, True))
    assert (after["i0"], len(after), index.count()) == ((2, True), 2 * POINTS + 1, 2 * POINTS - 3)
    assert np.array_equal(index.fetch(["i1"])["i1"].vector, VECTORS[7])
    [hits] = index.query(VECTORS[9:10], 3, where={"even": False})
    assert hits[0].item_id == "i9" and {hit.payload["even"] for hit in hits} == {False}
    index.upsert([point(1, 1), point(4, 2)])  # what is older stays out
    assert (held(index)["i1"], held(index)["i4"]) == ((2, False), (2, False))
    assert sorted(each.name for each in root.iterdir() if each.is_dir()) == ["v1~1"]
    store.close()
    with closing(EdgeIndexStore(root)) as again:
        assert (again.collections(), again.live()) == (["v1"], "v1")
        assert held(opened(again)) == {**after, "i4": (2, False)}
        again.promote("v1")


def test_it_is_asked_and_written_to_all_the_while(store: EdgeIndexStore) -> None:
    index, over, errors = opened(store), threading.Event(), list[Exception]()
    written = [0]

    def ask() -> None:
        n = POINTS
        while not over.wait(0.01):
            try:
                [hits] = index.query(VECTORS[5:6], 1)
                assert hits[0].item_id == "i5"
                index.upsert([point(n)])
                n = min(n + 1, 3 * POINTS)
            except Exception as error:
                errors.append(error)
        written[0] = n

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        assert store.optimize_beside("v1", unindexed=1)
        assert store.optimize_beside("v1", unindexed=0) in (True, False)
    finally:
        over.set()
        thread.join()
    assert errors == [] and written[0] > POINTS
    assert set(held(index)) == {f"i{n}" for n in range(written[0])}


def test_few_points_need_none(store: EdgeIndexStore, root: Path) -> None:
    opened(store)
    assert not store.optimize_beside("v1", unindexed=POINTS + 1)
    assert not (root / "v1~1").exists()


def test_a_build_that_fails_or_is_stopped_changes_nothing(
    store: EdgeIndexStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = opened(store)
    before = held(index)
    assert not store.optimize_beside("v1", unindexed=1, stopping=lambda: True)
    config = root / ".growing-collection/edge_config.json"

    def break_it() -> None:
        config.write_text("{")

    meanwhile(break_it, monkeypatch)
    with pytest.raises(Unavailable, match="the search graph was not built"):
        store.optimize_beside("v1", unindexed=1)
    monkeypatch.setattr(graph, "build", lose_points)
    with pytest.raises(Unavailable, match=f"its copy holds 0 points, not {POINTS}"):
        store.optimize_beside("v1", unindexed=1)
    assert held(index) == before
    assert sorted(each.name for each in root.iterdir() if each.is_dir()) == ["v1"]


KILLED = """
import os, signal, sys
from pathlib import Path
from coldstart.index import folder, graph
from coldstart.index.edge import EdgeIndex
from coldstart.index.edge_store import EdgeIndexStore
from tests.coldstart.index.test_graph import DIM, POINTS, point

step = sys.argv[2]
store = EdgeIndexStore(Path(sys.argv[1]))
index = store.create("v1", DIM)
build, current, move = graph.build, folder.Generations.make_current, EdgeIndex.move_to

def die(): os.kill(os.getpid(), signal.SIGKILL)

def build_(*arguments, **options):
    index.upsert([point(POINTS)])
    if step == "building": die()
    return build(*arguments, **options)

def move_(self, *arguments, **options):
    if step == "built": die()
    return move(self, *arguments, **options)

def current_(self, *arguments):
    if step == "caught up": die()
    current(self, *arguments)
    if step == "current": die()

graph.build, folder.Generations.make_current, EdgeIndex.move_to = build_, current_, move_
store.optimize_beside("v1", unindexed=1)
die()
"""


@pytest.mark.parametrize(
    ("step", "left"),
    [("building", "v1"), ("built", "v1"), ("caught up", "v1"), ("current", "v1~1"), ("done", "v1~1")],
)
def test_killed_at_any_step_nothing_is_lost(root: Path, step: str, left: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(root), step], cwd=Path(__file__).parents[3], capture_output=True, text=True
    )
    assert done.returncode == -9, done.stderr
    deadline = time.monotonic() + 20
    with closing(EdgeIndexStore(root)) as store:
        found = held(opened(store))
        assert len(found) == POINTS + 1 and found["i0"] == (2, True) and f"i{POINTS}" in found
        assert sorted(each.name for each in root.iterdir() if each.is_dir()) == [left]
        store.promote("v1")
    assert time.monotonic() < deadline


def test_a_dropped_collection_may_come_again(store: EdgeIndexStore, root: Path) -> None:
    opened(store)
    assert store.optimize_beside("v1", unindexed=1)
    store.create("v2", DIM)
    store.promote("v2")
    store.drop("v1")
    assert store.collections() == ["v2"]
    assert opened(store).count() == 0 and (root / "v1").is_dir()
