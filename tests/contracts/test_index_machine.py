"""Any order of writes, redeliveries, crashes and looks, on every index, against a dict."""

import os
import shutil
import tempfile
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from qdrant_client import QdrantClient

from coldstart.index import Held, IndexStore, Point, VectorIndex
from coldstart.index.edge_store import EdgeIndexStore
from coldstart.index.exact import ExactIndexStore
from coldstart.index.server import ServerIndexStore

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning")

DIM = 3
ITEMS = ("a", "A", "ä", "🎬", "x" * 200, "../up", "a b")
CRASHES = 3  # at most, of each run
WRITES = st.lists(st.tuples(st.sampled_from(ITEMS), st.integers(1, 9)), min_size=1, max_size=5)


def written(item_id: str, version: int) -> Point:
    """What a writer has of an item at a version; redelivered, it is the same."""
    score = version * len(ITEMS) + ITEMS.index(item_id) + 1
    return Point(item_id, version, np.array([score, 1, 0], dtype=np.float32), {"version of": item_id, "v": version})


class Machine(RuleBasedStateMachine):
    """The index under test, and what it should hold: version and whether it lives, by id."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.crashes = 0
        self.model: dict[str, tuple[int, bool]] = {}
        self.delivered: list[tuple[str, list[tuple[str, int]]]] = []
        self.store = self.opened()
        self.index: VectorIndex = self.store.create("items", DIM)

    def opened(self) -> IndexStore:
        """An empty store."""
        raise NotImplementedError

    def reopened(self) -> IndexStore:
        """The store as another process finds it after the death of this one."""
        raise NotImplementedError

    def _apply(self, what: str, writes: list[tuple[str, int]]) -> None:
        if what == "upsert":
            self.index.upsert([written(*write) for write in writes])
        else:
            self.index.delete(dict(writes))
        for item_id, version in writes if what == "upsert" else dict(writes).items():
            if version > self.model.get(item_id, (0, False))[0]:
                self.model[item_id] = (version, what == "upsert")

    @rule(writes=WRITES)
    def upsert(self, writes: list[tuple[str, int]]) -> None:
        self.delivered.append(("upsert", writes))
        self._apply("upsert", writes)

    @rule(writes=WRITES)
    def delete(self, writes: list[tuple[str, int]]) -> None:
        self.delivered.append(("delete", writes))
        self._apply("delete", writes)

    @precondition(lambda self: self.delivered)
    @rule(data=st.data())
    def redeliver(self, data: st.DataObject) -> None:
        before = dict(self.model)
        self._apply(*data.draw(st.sampled_from(self.delivered)))
        assert self.model == before

    @precondition(lambda self: self.crashes < CRASHES)
    @rule()
    def crash(self) -> None:
        self.crashes += 1
        self.store = self.reopened()
        self.index = self.store.create("items", DIM)

    @rule()
    def optimize(self) -> None:
        self.index.optimize()

    @rule(page=st.integers(1, 9))
    def scan(self, page: int) -> None:
        told = [held for part in self.index.scan(page=page) for held in part]
        assert sorted(told, key=lambda held: held.item_id) == [
            Held(item_id, version, not alive) for item_id, (version, alive) in sorted(self.model.items())
        ]

    @rule(limit=st.integers(1, 9), exclude=st.lists(st.sampled_from(ITEMS), max_size=2))
    def query(self, limit: int, exclude: list[str]) -> None:
        best = sorted(self._live() - set(exclude), key=lambda item_id: -self._point(item_id).vector[0])
        [hits] = self.index.query(np.array([[1, 0, 0]], dtype=np.float32), limit, exclude=exclude)
        assert [(hit.item_id, hit.version) for hit in hits] == [(i, self.model[i][0]) for i in best[:limit]]

    @invariant()
    def holds_what_was_written(self) -> None:
        found = self.index.fetch(ITEMS)
        assert {item_id: (point.version, point.payload["v"]) for item_id, point in found.items()} == {
            item_id: (self.model[item_id][0],) * 2 for item_id in self._live()
        }
        assert all((point.vector == self._point(item_id).vector).all() for item_id, point in found.items())
        assert self.index.count() == len(found)

    def _live(self) -> set[str]:
        return {item_id for item_id, (_, alive) in self.model.items() if alive}

    def _point(self, item_id: str) -> Point:
        return written(item_id, self.model[item_id][0])

    def teardown(self) -> None:
        self._stack.close()


class ExactMachine(Machine):
    """In memory: nothing outlives the process, so a crash is none."""

    def opened(self) -> IndexStore:
        return ExactIndexStore()

    def reopened(self) -> IndexStore:
        return self.store


class EdgeMachine(Machine):
    """A crash leaves the files as they are at that moment: neither flushed nor closed."""

    template: Path  # an empty index, which is copied sooner than made

    def opened(self) -> IndexStore:
        memory = Path("/dev/shm")  # noqa: S108 (where there is one: forcing files to a disk takes most of the time)
        folder = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
        self._folder = Path(self._stack.enter_context(folder))
        self._lives, self._life = count(), self.template
        return self.reopened()

    def reopened(self) -> IndexStore:
        left, self._life = self._life, self._folder / str(next(self._lives))
        shutil.copytree(left, self._life, copy_function=copy_sparse)
        return self._stack.enter_context(closing(EdgeIndexStore(self._life)))


def copy_sparse(source: str, target: str) -> None:
    """Copy a file without its holes: most of the 130 MB of a collection, however small, are holes."""
    with open(source, "rb") as reader, open(target, "wb") as writer:
        writer.truncate(os.fstat(reader.fileno()).st_size)
        at = 0
        while True:
            try:
                at = os.lseek(reader.fileno(), at, os.SEEK_DATA)
            except OSError:  # nothing but a hole from here on
                return
            end = os.lseek(reader.fileno(), at, os.SEEK_HOLE)
            os.pwrite(writer.fileno(), os.pread(reader.fileno(), end - at, at), at)
            at = end


class ServerMachine(Machine):
    """Ours dies, and the server (here qdrant-client's local mode) goes on."""

    def opened(self) -> IndexStore:
        self._client = QdrantClient(":memory:")
        return ServerIndexStore(self._client)

    def reopened(self) -> IndexStore:
        return ServerIndexStore(self._client)


@pytest.mark.parametrize("machine", [ExactMachine, EdgeMachine, ServerMachine])
def test_no_order_of_events_tells_an_index_from_a_dict(machine: type[Machine], tmp_path: Path) -> None:
    if machine is EdgeMachine:
        EdgeMachine.template = tmp_path / "template"
        with closing(EdgeIndexStore(EdgeMachine.template)) as edge:
            edge.create("items", DIM)
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=15, stateful_step_count=30, deadline=None, database=None, derandomize=True),
    )
