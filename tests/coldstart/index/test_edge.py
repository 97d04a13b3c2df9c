"""What only the embedded index can promise: one owner, and nothing lost when the process dies."""

import logging
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import qdrant_edge

from coldstart.errors import Conflict, Unavailable
from coldstart.index import Filter, Point, index_store_of, open_index_store
from coldstart.index.edge_store import EdgeIndexStore
from coldstart.index.exact import ExactIndexStore
from coldstart.settings import Settings

DIM = 4

WRITER = """
import itertools, sys
from pathlib import Path
import numpy as np
from coldstart.index import Point
from coldstart.index.edge_store import EdgeIndexStore
from coldstart.index.exact import ExactIndexStore

index = EdgeIndexStore(Path(sys.argv[1])).create("items", 4)
index.upsert([Point("gone", 1, np.ones(4, dtype=np.float32))])
index.delete({"gone": 2})
for n in itertools.count():
    index.upsert([Point(f"i{n}", n + 1, np.full(4, n, dtype=np.float32), {"n": n})])
    print(n, flush=True)
"""

SECOND = """
import sys
from pathlib import Path
from coldstart.errors import Conflict
from coldstart.index.edge_store import EdgeIndexStore
from coldstart.index.exact import ExactIndexStore

try:
    EdgeIndexStore(Path(sys.argv[1]))
except Conflict as refusal:
    sys.exit(f"refused: {refusal}")
"""


def point(item_id: str, version: int = 1, first: float = 1.0) -> Point:
    return Point(item_id, version, np.array([first, 0, 0, 0], dtype=np.float32))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EdgeIndexStore]:
    store = EdgeIndexStore(tmp_path)
    yield store
    store.close()


def test_it_is_the_default(tmp_path: Path) -> None:
    store = open_index_store(root=tmp_path / "not there yet")
    assert isinstance(store, EdgeIndexStore)
    assert store.collections() == []
    store.close()


def test_settings_name_their_store(tmp_path: Path) -> None:
    store = index_store_of(Settings(data_dir=tmp_path))
    assert isinstance(store, EdgeIndexStore) and (tmp_path / "index").is_dir()
    store.close()


def test_what_was_written_is_there_after_opening_again(tmp_path: Path) -> None:
    store = EdgeIndexStore(tmp_path)
    index = store.create("v1", DIM)
    index.upsert([point("a", 3), point("b", 3)])
    index.delete({"b": 4})
    store.promote("v1")
    store.close()

    store = EdgeIndexStore(tmp_path)
    assert (store.collections(), store.live()) == (["v1"], "v1")
    index = store.create("v1", DIM)
    index.upsert([point("a", 2, 9.0), point("b", 3)])
    assert {item_id: stored.version for item_id, stored in index.fetch(["a", "b"]).items()} == {"a": 3}
    assert index.count() == 1
    with pytest.raises(Conflict, match="v1"):
        store.create("v1", DIM + 1)
    store.close()


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = [int(next(writer.stdout)) for _ in range(300)]
        writer.kill()
        acknowledged += [int(line) for line in writer.stdout if line.endswith("\n")]

    store = EdgeIndexStore(tmp_path)
    index = store.create("items", DIM)
    stored = index.fetch([f"i{n}" for n in acknowledged])
    assert [stored[f"i{n}"].payload["n"] for n in acknowledged] == acknowledged
    assert index.count() in (len(acknowledged), len(acknowledged) + 1)  # the last one may have missed its receipt
    index.upsert([point("gone", 1)])
    assert index.fetch(["gone"]) == {}
    store.close()


def test_no_write_comes_between_the_check_and_the_write(store: EdgeIndexStore, monkeypatch: pytest.MonkeyPatch) -> None:
    index = store.create("v1", DIM)
    older_checked, newer_written = threading.Event(), threading.Event()

    def slow_flags(payload: Mapping[str, Any]) -> list[str]:
        if payload["version"] == 1:  # the older write has compared versions and is about to be applied
            older_checked.set()
            newer_written.wait(0.2)
        return []

    monkeypatch.setattr("coldstart.index.edge.flags", slow_flags)
    older = threading.Thread(target=index.upsert, args=([point("a", 1)],))
    older.start()
    assert older_checked.wait(30)
    index.upsert([point("a", 2)])
    newer_written.set()
    older.join()
    assert index.fetch(["a"])["a"].version == 2


def test_a_second_process_is_refused(store: EdgeIndexStore, tmp_path: Path) -> None:
    second = subprocess.run([sys.executable, "-c", SECOND, str(tmp_path)], capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert f"refused: {tmp_path}: the folder is in use by process {os.getpid()}. Stop that process" in second.stderr


def test_a_second_store_in_the_process_is_refused(store: EdgeIndexStore, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match=f"in use by process {os.getpid()}"):
        EdgeIndexStore(tmp_path)
    store.close()
    EdgeIndexStore(tmp_path).close()


def test_leftovers_of_a_killed_creation_or_drop_are_cleared(tmp_path: Path) -> None:
    for name in (".new-collection", ".dropped-collection"):
        (tmp_path / name / "segments").mkdir(parents=True)
    store = EdgeIndexStore(tmp_path)
    assert store.collections() == []
    assert sorted(child.name for child in tmp_path.iterdir()) == ["owner"]
    store.close()


def test_use_after_close_says_which_collection(store: EdgeIndexStore) -> None:
    index = store.create("v1", DIM)
    store.close()
    with pytest.raises(Unavailable, match="v1: the embedded index failed"):
        index.upsert([point("a")])
    with pytest.raises(Unavailable, match="v1"):
        index.query(np.ones((1, DIM), dtype=np.float32), 5)


def test_a_damaged_collection_says_what_to_do(store: EdgeIndexStore, tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    with pytest.raises(Unavailable, match=r"v1: .*remove it and rebuild"):
        store.create("v1", DIM)


def test_foreign_points_are_left_out_and_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = EdgeIndexStore(tmp_path)
    store.create("v1", DIM).upsert([point("a", 1, 1.0)])
    store.close()
    stranger = uuid.uuid4()
    shard = qdrant_edge.EdgeShard.load(str(tmp_path / "v1"))
    shard.update(
        qdrant_edge.UpdateOperation.upsert_points(
            [
                qdrant_edge.Point(stranger, [9.0, 0, 0, 0], {"item_id": "a", "version": 7}),
                qdrant_edge.Point(77, [8.0, 0, 0, 0], {}),
            ]
        )
    )
    shard.close()

    store = EdgeIndexStore(tmp_path)
    with caplog.at_level(logging.ERROR):
        [hits] = store.create("v1", DIM).query(np.ones((1, DIM), dtype=np.float32), 10)
    assert [(hit.item_id, hit.version) for hit in hits] == [("a", 1)]
    assert str(stranger) in caplog.text
    assert "77" in caplog.text
    store.close()


def test_the_search_graph_keeps_every_promise(store: EdgeIndexStore) -> None:
    # Wide vectors pass the engine's threshold for building a graph (10 MB) with few points.
    rng = np.random.default_rng(0)
    dim, n = 2_048, 1_400
    vectors = rng.standard_normal((n, dim)).astype(np.float32)
    index = store.create("v1", dim)
    index.upsert([Point(f"i{i}", 1, vectors[i], {"even": i % 2 == 0}) for i in range(n)])
    index.delete({"i0": 2})
    index.optimize()
    assert index._shard.info().indexed_vectors_count > 0  # type: ignore[attr-defined]

    index.upsert([Point("i0", 1, vectors[0]), Point("i2", 2, vectors[2]), Point("new", 1, 2 * vectors[1])])
    index.delete({"i1": 2})
    assert index.count() == n - 1
    answers = index.query(vectors[:4], 5)
    assert [[hit.item_id for hit in hits][:1] for hits in answers[1:]] == [["new"], ["i2"], ["i3"]]
    assert not {"i0", "i1"} & {hit.item_id for hits in index.query(vectors[:4], n) for hit in hits}
    assert {hit.payload["even"] for hit in index.query(vectors[4:5], 50, where={"even": False})[0]} == {False}


def test_the_log_is_flushed_as_it_grows(store: EdgeIndexStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coldstart.index.edge._FLUSH_EVERY", 3)
    index = store.create("v1", DIM)
    index.upsert([point("a"), point("b")])
    assert index._unflushed == 2  # type: ignore[attr-defined]
    index.upsert([point("a"), point("c")])
    assert index._unflushed == 0  # type: ignore[attr-defined]
    assert index.count() == 3


def test_payload_indexes_do_not_grow_without_end(store: EdgeIndexStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coldstart.index.edge._MAX_PAYLOAD_INDEXES", 3)
    index = store.create("v1", DIM)
    index.upsert([Point("a", 1, np.ones(DIM, dtype=np.float32), {f"k{n}": "x" for n in range(5)})])
    for n in range(5):
        [hits] = index.query(np.ones((1, DIM), dtype=np.float32), 5, where={f"k{n}": "x"})
        assert [hit.item_id for hit in hits] == ["a"]
    assert set(index._shard.info().payload_schema) == {"_flags", "k0", "k1"}  # type: ignore[attr-defined]


def test_what_is_remembered_is_told_anew_once_it_was_written(store: EdgeIndexStore) -> None:
    index = store.create("items", DIM)
    ones = np.ones(DIM, dtype=np.float32)
    index.upsert([Point("a", 1, ones, {"n": 1}), Point("b", 1, ones, {"n": 1})])

    def told() -> list[dict[str, tuple[int, Any]]]:
        hits = index.query(ones[None], 5)[0]
        stored, points = index.look_up(["a", "b"]), index.fetch(["a", "b"])
        return [
            {each.item_id: (each.version, each.payload) for each in of}
            for of in (hits, stored.values(), points.values())
        ]

    assert told() == told() == [{"a": (1, {"n": 1}), "b": (1, {"n": 1})}] * 3
    index.upsert([Point("a", 2, -ones, {"n": 2})])
    index.delete({"b": 2})
    assert told() == told() == [{"a": (2, {"n": 2})}] * 3
    assert index.fetch(["a"])["a"].vector.tolist() == (-ones).tolist()


@pytest.mark.parametrize("excluded", [0, 3, 60, 70])
@pytest.mark.parametrize("over", [0, 3, 20, 100])
def test_taking_away_afterwards_finds_what_a_filter_finds(store: EdgeIndexStore, excluded: int, over: int) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((100, DIM)).astype(np.float32)
    points = [Point(f"i{n}", 1, vector, {"n": n, "even": n % 2 == 0}) for n, vector in enumerate(vectors)]
    query = rng.standard_normal((1, DIM)).astype(np.float32)
    order = [f"i{n}" for n in np.argsort(-(vectors @ query[0]))]
    ended = [
        replace(each, payload={**each.payload, "expires_at": 5.0}) for each in points if each.item_id in order[:over]
    ]
    index, oracle = store.create("items", DIM), ExactIndexStore().create("items", DIM)
    for each in (index, oracle):
        each.upsert([*points, *ended])
    not_over: Filter = {"expires_at": {"not": {"lte": 5.0}}}
    for where in ({}, {"even": True}, not_over, {"even": True, **not_over}):
        found, wanted = (
            [hit.item_id for hit in each.query(query, 10, where=where, exclude=order[:excluded])[0]]
            for each in (index, oracle)
        )
        assert found == wanted, where
