"""What every vector index promises, run against each of them."""

import os
import sys
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient

from coldstart.errors import Conflict, InvalidInput, NotFound
from coldstart.index import Filter, Held, IndexStore, Point, Stored, VectorIndex
from coldstart.index.edge_store import EdgeIndexStore
from coldstart.index.exact import ExactIndex, ExactIndexStore
from coldstart.index.server import ServerIndexStore
from coldstart.vectors import Vector

# Local mode knows no payload indexes and says so; the store creates them for real servers.
pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning")

DIM = 4
SERVER_URL = os.environ.get("COLDSTART_TEST_QDRANT_URL")
KINDS = ["exact", "edge", "server-local", *(["server"] if SERVER_URL else [])]


def test_a_real_server_is_tested() -> None:
    if SERVER_URL is None:
        pytest.skip("COLDSTART_TEST_QDRANT_URL names no Qdrant server: only qdrant-client's local mode is tested")


@contextmanager
def opened(kind: str, root: Path) -> Iterator[IndexStore]:
    match kind:
        case "exact":
            with closing(ExactIndexStore()) as exact:
                yield exact
        case "edge":
            with closing(EdgeIndexStore(root)) as edge:
                yield edge
        case _:
            client = QdrantClient(url=SERVER_URL) if kind == "server" else QdrantClient(":memory:")
            prefix = f"test-{uuid.uuid4().hex}"
            with closing(ServerIndexStore(client, prefix=prefix)) as server:
                yield server
                for collection in server.collections():
                    client.delete_collection(f"{prefix}-{collection}")


@pytest.fixture(params=KINDS, scope="module")
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(kind: str, tmp_path: Path) -> Iterator[IndexStore]:
    with opened(kind, tmp_path) as store:
        yield store


@pytest.fixture
def index(store: IndexStore) -> VectorIndex:
    return store.create("items", DIM)


@pytest.fixture(scope="module")
def catalogue(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VectorIndex]:
    """The items of `CATALOGUE`, for tests that write nothing."""
    with opened(kind, tmp_path_factory.mktemp("catalogue")) as store:
        index = store.create("items", DIM)
        index.upsert(CATALOGUE)
        yield index


def vector(*numbers: float) -> Vector:
    return np.array(numbers + (0.0,) * (DIM - len(numbers)), dtype=np.float32)


def point(item_id: str, version: int = 1, first: float = 1.0, **payload: Any) -> Point:
    return Point(item_id, version, vector(first), payload)


def found(
    index: VectorIndex, *, limit: int = 100, where: Filter | None = None, exclude: Sequence[str] = ()
) -> list[str]:
    """Ids by falling first coordinate."""
    return [hit.item_id for hit in index.query(vector(1.0)[None], limit, where=where, exclude=exclude)[0]]


CATALOGUE = [
    point("drama", 1, 5.0, cold=True, attributes={"genre": ["Drama", "Crime"], "price": 10, "running time": "long"}),
    point("comedy", 1, 4.0, cold=False, attributes={"genre": "Comedy", "price": 9.5, "in stock": True}),
    point("crime", 1, 3.0, cold=False, attributes={"genre": ["Crime"], "price": 20.0, "in stock": False}),
    point("odd", 1, 2.0, cold=True, attributes={"genre": [], "price": "10", "einzelgröße": "1,5"}),
    point("bare", 1, 1.0, cold=1),
]


class TestWrites:
    def test_a_written_point_comes_back(self, index: VectorIndex) -> None:
        payload = {"cold": True, "title": "Ünïcode 🎬", "attributes": {"genre": ["Drama", "Crime"], "price": 9.5}}
        index.upsert([Point("a", 7, vector(1, 2, 3, 4), payload)])

        fetched = index.fetch(["a", "unknown"])
        assert list(fetched) == ["a"]
        assert fetched["a"].version == 7
        assert index.look_up(["a", "unknown"]) == {"a": Stored("a", 7, payload)}
        assert fetched["a"].payload == payload
        assert fetched["a"].vector.dtype == np.float32
        assert fetched["a"].vector.tolist() == [1, 2, 3, 4]

        [[hit]] = index.query(vector(1, 1, 1, 1)[None], 10)
        assert (hit.item_id, hit.score, hit.version, hit.payload) == ("a", 10.0, 7, payload)

    @pytest.mark.parametrize(("second", "kept"), [(1, "first"), (2, "first"), (3, "second")])
    def test_only_a_newer_version_replaces(self, index: VectorIndex, second: int, kept: str) -> None:
        index.upsert([point("a", 2, 1.0, name="first")])
        index.upsert([point("a", second, 5.0, name="second")])
        [[hit]] = index.query(vector(1.0)[None], 10)
        assert hit.payload["name"] == kept
        assert hit.score == (5.0 if kept == "second" else 1.0)
        assert index.count() == 1

    def test_a_replacement_leaves_no_old_payload(self, index: VectorIndex) -> None:
        index.upsert([point("a", 1, old=1)])
        index.upsert([point("a", 2, new=1)])
        assert index.fetch(["a"])["a"].payload == {"new": 1}
        assert found(index, where={"old": 1}) == []

    def test_the_newest_of_a_batch_wins(self, index: VectorIndex) -> None:
        index.upsert([point("a", 2, n=2), point("b", 1), point("a", 3, n=3), point("a", 1, n=1)])
        assert index.fetch(["a"])["a"].payload == {"n": 3}
        assert index.count() == 2

    def test_versions_of_one_batch_are_judged_apart(self, index: VectorIndex) -> None:
        index.upsert([point("a", 5), point("b", 5)])
        index.upsert([point("a", 4, n="stale"), point("b", 6, n="fresh"), point("c", 1, n="new")])
        payloads = {item_id: stored.payload for item_id, stored in index.fetch(["a", "b", "c"]).items()}
        assert payloads == {"a": {}, "b": {"n": "fresh"}, "c": {"n": "new"}}

    def test_a_large_batch_is_written_whole(self, index: VectorIndex) -> None:
        index.upsert([point(f"i{n}", n + 1, float(n)) for n in range(600)])
        assert index.count() == 600
        assert found(index, limit=2) == ["i599", "i598"]

    def test_empty_calls_do_nothing(self, index: VectorIndex) -> None:
        index.upsert([])
        index.delete({})
        assert index.fetch([]) == {}
        assert index.count() == 0
        assert index.query(vector(1.0)[None], 5) == [[]]

    def test_the_caller_may_reuse_its_payload(self, index: VectorIndex) -> None:
        payload: dict[str, Any] = {"tags": ["x"]}
        index.upsert([Point("a", 1, vector(1.0), payload)])
        payload["tags"].append("y")
        assert index.fetch(["a"])["a"].payload == {"tags": ["x"]}

    def test_any_text_is_an_id(self, index: VectorIndex) -> None:
        twins = ["sku", "SKU", "sku ", "\u00c5", "A\u030a"]
        ids = [*twins, "1", "-1", "null", "🎬", "../../etc/passwd", 'a"b\\c', "x" * 256]
        index.upsert([point(item_id, 1, float(-n)) for n, item_id in enumerate(ids)])
        assert found(index) == ids
        assert found(index, exclude=ids[1:]) == ids[:1]
        assert {item_id: stored.item_id for item_id, stored in index.fetch(ids).items()} == {i: i for i in ids}


class TestDeletes:
    def test_a_deleted_point_is_gone(self, index: VectorIndex) -> None:
        index.upsert([point("a", 1, 2.0, cold=True), point("b", 1, 1.0, cold=True)])
        index.delete({"a": 2})
        assert found(index) == ["b"]
        assert found(index, where={"cold": True}) == ["b"]
        assert list(index.fetch(["a", "b"])) == ["b"]
        assert index.count() == 1

    def test_a_late_older_upsert_stays_out(self, index: VectorIndex) -> None:
        index.upsert([point("a", 1)])
        index.delete({"a": 5})
        for version in (2, 4, 5):
            index.upsert([point("a", version)])
        assert found(index) == []
        assert index.count() == 0

    def test_deleting_the_unknown_keeps_older_upserts_out(self, index: VectorIndex) -> None:
        index.delete({"never seen": 5})
        assert index.count() == 0
        index.upsert([point("never seen", 4)])
        assert found(index) == []

    def test_a_newer_upsert_revives(self, index: VectorIndex) -> None:
        index.delete({"a": 5})
        index.upsert([point("a", 6)])
        assert found(index) == ["a"]
        assert index.count() == 1

    def test_an_older_delete_is_ignored(self, index: VectorIndex) -> None:
        index.upsert([point("a", 5)])
        index.delete({"a": 4})
        assert found(index) == ["a"]


class TestScan:
    def test_everything_is_told_once_in_pages_tombstones_too(self, index: VectorIndex) -> None:
        index.upsert([point(f"i{n}", n + 1) for n in range(25)])
        index.delete({"i3": 100, "never seen": 7})
        pages = list(index.scan(page=10))
        assert max(map(len, pages)) <= 10
        told = sorted((held for page in pages for held in page), key=lambda held: held.item_id)
        live = [Held(f"i{n}", n + 1, False) for n in range(25) if n != 3]
        assert told == sorted([*live, Held("i3", 100, True), Held("never seen", 7, True)], key=lambda h: h.item_id)

    def test_nothing(self, index: VectorIndex) -> None:
        assert [held for page in index.scan(page=10) for held in page] == []

    def test_writes_between_pages_hide_nothing_that_stays(self, index: VectorIndex) -> None:
        index.upsert([point(f"i{n}") for n in range(30)])
        told: list[str] = []
        for number, page in enumerate(index.scan(page=7)):
            told += [held.item_id for held in page]
            index.upsert([point(f"new-{number}"), point(f"i{number}", 2)])
        assert {item_id for item_id in told if item_id.startswith("i")} == {f"i{n}" for n in range(30)}
        assert len(told) == len(set(told))


class TestRefusals:
    @pytest.mark.parametrize(
        "bad",
        [
            vector(np.nan),
            vector(np.inf),
            vector(0.0, -np.inf),
            vector(3e38, 3e38),
            np.ones(DIM + 1, dtype=np.float32),
            np.ones((1, DIM), dtype=np.float32),
        ],
        ids=["nan", "inf", "minus inf", "overflow", "width", "axes"],
    )
    def test_a_bad_vector_is_refused_with_its_batch(self, catalogue: VectorIndex, bad: Vector) -> None:
        with pytest.raises(InvalidInput, match="bad item"):
            catalogue.upsert([point("good"), Point("bad item", 1, bad)])
        assert catalogue.count() == len(CATALOGUE)

    @pytest.mark.parametrize("bad", [[np.nan] * DIM, [np.inf] * DIM, [3e38] * DIM, [1.0] * (DIM - 1)])
    def test_a_bad_query_is_refused(self, catalogue: VectorIndex, bad: list[float]) -> None:
        with pytest.raises(InvalidInput, match="query"):
            catalogue.query(np.array([bad], dtype=np.float32), 5)

    def test_a_limit_below_one_is_refused(self, catalogue: VectorIndex) -> None:
        with pytest.raises(InvalidInput, match="limit"):
            catalogue.query(vector(1.0)[None], 0)

    @pytest.mark.parametrize("item_id", ["", "a\0b", "\ud800", "x" * 257])
    def test_an_impossible_id_is_refused(self, catalogue: VectorIndex, item_id: str) -> None:
        with pytest.raises(InvalidInput):
            catalogue.upsert([point(item_id)])
        with pytest.raises(InvalidInput):
            catalogue.delete({item_id: 1})
        assert catalogue.count() == len(CATALOGUE)

    @pytest.mark.parametrize("version", [0, -1, 2**53])
    def test_an_impossible_version_is_refused(self, catalogue: VectorIndex, version: int) -> None:
        with pytest.raises(InvalidInput, match="version"):
            catalogue.upsert([point("a", version)])

    @pytest.mark.parametrize(
        "payload",
        [{"version": 3}, {"deleted": True}, {"item_id": "b"}, {"price": np.nan}, {"tags": {"x"}}, {"text": "\ud800"}],
    )
    def test_a_bad_payload_is_refused(self, catalogue: VectorIndex, payload: dict[str, Any]) -> None:
        with pytest.raises(InvalidInput, match="bad item"):
            catalogue.upsert([Point("bad item", 1, vector(1.0), payload)])


class TestFilters:
    @pytest.mark.parametrize(
        ("where", "expected"),
        [
            ({}, ["drama", "comedy", "crime", "odd", "bare"]),
            ({"cold": True}, ["drama", "odd"]),
            ({"cold": False}, ["comedy", "crime"]),
            ({"cold": [True, False]}, ["drama", "comedy", "crime", "odd"]),
            ({"cold": 1}, ["bare"]),
            ({"cold": "true"}, []),
            ({"attributes.genre": "Crime"}, ["drama", "crime"]),
            ({"attributes.genre": ["Comedy", "Drama"]}, ["drama", "comedy"]),
            ({"attributes.genre": "crime"}, []),
            ({"attributes.genre": []}, []),
            ({"attributes.price": 10}, ["drama"]),
            ({"attributes.price": 10.0}, ["drama"]),
            ({"attributes.price": "10"}, ["odd"]),
            ({"attributes.price": [9.5, "10", 20]}, ["comedy", "crime", "odd"]),
            ({"attributes.price": {"gte": 9.5, "lt": 20}}, ["drama", "comedy"]),
            ({"attributes.price": {"gt": 9.5, "lte": 20}}, ["drama", "crime"]),
            ({"attributes.price": {"gt": 20}}, []),
            ({"attributes.running time": "long"}, ["drama"]),
            ({"attributes.in stock": True}, ["comedy"]),
            ({"attributes.in stock": False}, ["crime"]),
            ({"attributes.einzelgröße": "1,5"}, ["odd"]),
            ({"attributes.absent": "x"}, []),
            ({"cold": False, "attributes.genre": "Crime"}, ["crime"]),
            ({"cold": True, "attributes.price": {"lt": 11}}, ["drama"]),
            ({"attributes.genre": {"not": "Crime"}}, ["comedy", "odd", "bare"]),
            ({"attributes.genre": {"not": ["Crime", "Comedy"]}}, ["odd", "bare"]),
            ({"attributes.genre": {"not": []}}, ["drama", "comedy", "crime", "odd", "bare"]),
            ({"attributes.price": {"not": {"gt": 9.5}}}, ["comedy", "odd", "bare"]),
            ({"cold": {"not": True}}, ["comedy", "crime", "bare"]),
            ({"cold": {"not": False}, "attributes.genre": "Crime"}, ["drama"]),
        ],
    )
    def test_conditions(self, catalogue: VectorIndex, where: Filter, expected: list[str]) -> None:
        assert found(catalogue, where=where) == expected

    def test_one_path_takes_every_kind_of_condition(self, index: VectorIndex) -> None:
        index.upsert(CATALOGUE)
        for _ in range(2):
            assert found(index, where={"attributes.price": "10"}) == ["odd"]
            assert found(index, where={"attributes.price": {"gte": 10}}) == ["drama", "crime"]

    def test_a_filter_used_before_sees_what_is_written_later(self, index: VectorIndex) -> None:
        where: Filter = {"attributes.genre": "Crime", "attributes.price": {"gte": 10}}
        index.upsert(CATALOGUE)
        assert found(index, where=where) == ["drama", "crime"]
        index.upsert([point("crime", 2, 3.0), point("new", 1, 2.0, attributes={"genre": "Crime", "price": 11})])
        assert found(index, where=where) == ["drama", "new"]

    @pytest.mark.parametrize(
        "where",
        [
            {"price": {}},
            {"price": {"over": 3}},
            {"price": {"gt": "3"}},
            {"price": {"gt": np.inf}},
            {"price": np.nan},
            {"price": None},
            {"price": {"not": None}},
            {"price": {"not": {"not": 1}}},
            {"price": {"not": 1, "gt": 0}},
            {"a..b": 1},
            {'a"b': 1},
            {"": 1},
        ],
    )
    def test_a_filter_that_says_nothing_is_refused(self, catalogue: VectorIndex, where: dict[str, Any]) -> None:
        with pytest.raises(InvalidInput):
            found(catalogue, where=where)

    def test_excluded_items_make_room(self, catalogue: VectorIndex) -> None:
        assert found(catalogue, limit=2, exclude=["drama", "crime", "unknown"]) == ["comedy", "odd"]
        assert found(catalogue, where={"cold": True}, exclude=["drama"]) == ["odd"]

    def test_answers_come_in_the_order_of_the_queries(self, index: VectorIndex) -> None:
        index.upsert([Point("x", 1, vector(1, 0)), Point("y", 1, vector(0, 1))])
        answers = index.query(np.stack([vector(0, 1), vector(1, 0), vector(-1, 0)]), 1)
        assert [[hit.item_id for hit in hits] for hits in answers] == [["y"], ["x"], ["y"]]


class TestStore:
    def test_opening_again_finds_what_is_there(self, store: IndexStore) -> None:
        store.create("b", DIM).upsert([point("x")])
        store.create("a", DIM)
        assert store.create("b", DIM).count() == 1
        assert store.create("b", DIM).dim == DIM
        assert store.collections() == ["a", "b"]

    def test_another_width_is_a_conflict(self, store: IndexStore) -> None:
        store.create("a", DIM)
        with pytest.raises(Conflict, match="a: the collection holds vectors of 4 numbers, not 5"):
            store.create("a", 5)

    def test_promotion(self, store: IndexStore) -> None:
        assert store.live() is None
        store.create("v1", DIM)
        store.create("v2", DIM)
        store.promote("v1")
        assert store.live() == "v1"
        store.promote("v2")
        assert store.live() == "v2"
        assert store.collections() == ["v1", "v2"]
        with pytest.raises(NotFound, match="v3"):
            store.promote("v3")
        assert store.live() == "v2"

    def test_dropping(self, store: IndexStore) -> None:
        store.create("v1", DIM).upsert([point("x")])
        store.create("v2", DIM)
        store.promote("v2")
        with pytest.raises(Conflict, match="v2"):
            store.drop("v2")
        store.drop("v1")
        assert store.collections() == ["v2"]
        with pytest.raises(NotFound, match="v1"):
            store.drop("v1")
        assert store.create("v1", DIM + 1).count() == 0

    def test_collections_do_not_mix(self, store: IndexStore) -> None:
        store.create("v1", DIM).upsert([point("x")])
        assert found(store.create("v2", DIM)) == []

    @pytest.mark.parametrize("name", ["", "live", "../up", "a/b", ".hidden", "x" * 101, "a b"])
    def test_an_unusable_name_is_refused(self, store: IndexStore, name: str) -> None:
        with pytest.raises(InvalidInput, match="name"):
            store.create(name, DIM)


def test_threads_that_race_leave_the_newest(index: VectorIndex, kind: str) -> None:
    if kind == "server-local":
        pytest.skip("qdrant-client's local mode is not made for threads")
    threads, rounds, items = 8, 25, 40
    start_together = threading.Barrier(threads, timeout=60)
    errors: list[BaseException] = []

    def write(thread: int) -> None:
        try:
            for turn in range(rounds):
                # Each item gets each version once, from one thread; the newest of every tenth is a delete.
                versions = {f"{turn}-{n}": (thread + n) % threads + 1 for n in range(items)}
                gone = {i: v for i, v in versions.items() if i.endswith("7") and v == threads}
                start_together.wait()
                index.upsert([point(i, v, float(v), written=v) for i, v in versions.items() if i not in gone])
                index.delete(gone)
                index.query(vector(1.0)[None], 5)
        except BaseException as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads change places between almost any two steps
    workers = [threading.Thread(target=write, args=(thread,)) for thread in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    sys.setswitchinterval(interval)

    assert errors == []
    ids = [f"{turn}-{n}" for turn in range(rounds) for n in range(items)]
    alive = sorted(item_id for item_id in ids if not item_id.endswith("7"))
    stored = index.fetch(ids)
    assert sorted(stored) == alive
    assert {(p.version, p.payload["written"]) for p in stored.values()} == {(threads, threads)}
    assert sorted(found(index, limit=len(ids))) == alive
    assert index.count() == len(alive)


@pytest.mark.parametrize(
    "where",
    [None, {"cold": True}, {"group": ["g1", "g3"]}, {"price": {"gte": 20, "lt": 60}}, {"price": {"not": {"gte": 50}}}],
)
def test_answers_equal_the_oracle(store: IndexStore, where: Filter | None) -> None:
    rng = np.random.default_rng(1)
    dim, n = 16, 400
    vectors = rng.standard_normal((n, dim)).astype(np.float32)
    points = [
        Point(f"i{i}", 1 + i % 3, vectors[i], {"cold": i % 5 == 0, "group": f"g{i % 4}", "price": float(i % 100)})
        for i in range(n)
    ]
    deletes = {f"i{i}": 9 for i in range(0, n, 7)}
    exclude = [f"i{i}" for i in range(0, n, 11)]
    queries = rng.standard_normal((10, dim)).astype(np.float32)

    def answers(index: VectorIndex) -> tuple[list[list[str]], list[float]]:
        index.upsert(points)
        index.delete(deletes)
        hits = index.query(queries, 20, where=where, exclude=exclude)
        return [[hit.item_id for hit in row] for row in hits], [hit.score for row in hits for hit in row]

    ids, scores = answers(store.create("items", dim))
    expected_ids, expected_scores = answers(ExactIndex(dim))
    assert ids == expected_ids
    assert scores == pytest.approx(expected_scores, rel=1e-4, abs=1e-5)


Batch = tuple[str, list[tuple[str, int]]]
BATCHES: st.SearchStrategy[list[Batch]] = st.lists(
    st.tuples(
        st.sampled_from(["upsert", "delete"]),
        st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 6)), min_size=1, max_size=4),
    ),
    max_size=12,
)


def test_any_interleaving_equals_a_dict(store: IndexStore) -> None:
    index, oracle = store.create("items", DIM), ExactIndex(DIM)
    live_before, runs = 0, iter(range(10_000))

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(BATCHES)
    def run(batches: list[Batch]) -> None:
        nonlocal live_before
        run = next(runs)  # each run has ids of its own, so one collection serves them all
        model: dict[str, tuple[int, bool]] = {}
        for action, rows in batches:
            rows = [(f"{run}-{item}", version) for item, version in rows]
            if action == "delete":
                apply(model, dict(rows).items(), alive=False)
            else:
                apply(model, rows, alive=True)
            for target in (index, oracle):
                if action == "delete":
                    target.delete(dict(rows))
                else:
                    target.upsert([point(i, v, score_of(i, v), run=run, written=v) for i, v in rows])
        live = {item_id: version for item_id, (version, alive) in model.items() if alive}
        for target in (index, oracle):
            stored = target.fetch(list(model))
            assert {item_id: p.version for item_id, p in stored.items()} == live
            assert {item_id: p.payload["written"] for item_id, p in stored.items()} == live
            hits = target.query(vector(1.0)[None], 10, where={"run": run})[0]
            assert [(hit.item_id, hit.version) for hit in hits] == sorted(live.items(), key=lambda row: -score_of(*row))
            assert target.count() == live_before + len(live)
        live_before += len(live)

    run()


def apply(model: dict[str, tuple[int, bool]], rows: Iterable[tuple[str, int]], *, alive: bool) -> None:
    for item_id, version in rows:
        if version > model.get(item_id, (0, False))[0]:
            model[item_id] = (version, alive)


def score_of(item_id: str, version: int) -> float:
    return float(version * 3 + "abc".index(item_id[-1]))
