"""What every item store promises, asked of SQLite and of a real PostgreSQL server."""

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from coldstart.catalog import (
    Accepted,
    Claim,
    Draft,
    Embeddings,
    Encoded,
    ItemRecord,
    ItemStore,
    Once,
    Settled,
    Stage,
    Status,
    repeating,
)
from coldstart.catalog.repeating import KEPT_S
from coldstart.catalog.store import SqlItemStore
from coldstart.entities import Attributes, Event, Item
from coldstart.errors import ColdstartError, Conflict, InFlight, InvalidInput, NotFound

LEASE_S = 60.0
MAX_ATTEMPTS = 3


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float = 1.0) -> float:
        self.now += seconds
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(url: str, clock: Clock) -> Iterator[ItemStore]:
    store = SqlItemStore(url, clock=clock)
    yield store
    store.close()


def draft(
    item_id: str, *, title: str = "a title", picture: bytes | None = None, source_version: int | None = None
) -> Draft:
    return Draft(Item(item_id, title), picture=picture, source_version=source_version)


def accept(store: ItemStore, *drafts: Draft, priority: int = 0) -> list[Accepted]:
    answers = store.accept(drafts, priority=priority)
    return [answer for answer in answers if isinstance(answer, Accepted) or pytest.fail(str(answer))]


def claim(store: ItemStore, stage: Stage = Stage.ENCODE, *, limit: int = 100) -> list[Claim]:
    return store.claim(stage, limit=limit, lease_s=LEASE_S, max_attempts=MAX_ATTEMPTS)


def fail(
    store: ItemStore, claims: Sequence[Claim], reason: str = "the encoder failed", *, retry_in_s: float = 10.0
) -> None:
    store.fail(versions(claims), reason, retry_in_s=retry_in_s, max_attempts=MAX_ATTEMPTS)


def ids(claims: Sequence[Claim]) -> list[str]:
    return [claim.record.item.item_id for claim in claims]


def versions(claims: Sequence[Claim]) -> dict[str, int]:
    return {claim.record.item.item_id: claim.record.version for claim in claims}


def encode(record: ItemRecord, *, vector: Sequence[float] = (1.0, 2.0), picture_error: str | None = None) -> Encoded:
    return Encoded(
        item_id=record.item.item_id,
        version=record.version,
        embeddings=Embeddings(text=np.ones(3, dtype=np.float32), image=None),
        vector=np.array(vector, dtype=np.float32),
        gates={"text": 0.75},
        cold=True,
        adapter_version="adapter-1",
        picture_error=picture_error,
    )


def encode_all(store: ItemStore, claims: Sequence[Claim], *, lease_s: float | None = None) -> list[str]:
    return store.encoded([encode(claim.record) for claim in claims], lease_s=lease_s)


def deliver(store: ItemStore) -> None:
    """Play a worker and an indexer until nothing is due."""
    while claims := claim(store):
        encode_all(store, claims)
    while claims := claim(store, Stage.INDEX):
        store.done(versions(claims))


class TestTheWayOfAnItem:
    def test_each_step_is_recorded_with_its_time(self, store: ItemStore, clock: Clock) -> None:
        item = Item("a", "Red shoe", "soft", "https://shop/a.png", {"genre": "shoe", "tags": ["x", "y"], "price": 9.5})
        answers = store.accept([Draft(item, picture=b"png")])
        assert answers == [Accepted("a", 1, clock.now)]
        accepted_at = clock.now
        record = store.get("a")
        assert (record.item, record.version, record.status) == (item, 1, Status.PENDING)
        assert (record.accepted_at, record.claimed_at, record.encoded_at) == (accepted_at, None, None)
        assert (store.due(Stage.ENCODE), store.due(Stage.INDEX)) == (1, 0)

        claimed_at = clock.tick()
        [claimed] = claim(store)
        assert (claimed.record.item, claimed.record.version, claimed.attempts) == (item, 1, 1)
        assert (claimed.picture, claimed.vector) == (b"png", None)
        assert store.get("a").status is Status.ENCODING
        assert store.due(Stage.ENCODE) == 0

        encoded_at = clock.tick()
        assert store.encoded([encode(claimed.record, vector=[1.5, -2.0], picture_error="broken")]) == ["a"]
        assert (store.due(Stage.ENCODE), store.due(Stage.INDEX)) == (0, 1)

        [claimed] = claim(store, Stage.INDEX)
        assert claimed.vector is not None
        assert claimed.vector.tolist() == [1.5, -2.0]
        assert claimed.vector.dtype == np.float32
        assert claimed.record.status is Status.ENCODING

        retrievable_at = clock.tick()
        store.done({"a": 1})
        record = store.get("a")
        assert record.status is Status.RETRIEVABLE
        assert (record.accepted_at, record.claimed_at) == (accepted_at, claimed_at)
        assert (record.encoded_at, record.retrievable_at) == (encoded_at, retrievable_at)
        assert (record.modalities, record.gates, record.cold) == (("text",), {"text": 0.75}, True)
        assert (record.adapter_version, record.picture_error) == ("adapter-1", "broken")
        assert store.due(Stage.INDEX) == 0

    def test_the_worker_that_writes_the_index_itself_keeps_its_lease(self, store: ItemStore, clock: Clock) -> None:
        accept(store, draft("a"))
        encode_all(store, claim(store), lease_s=LEASE_S)
        assert claim(store, Stage.INDEX) == []
        clock.tick(LEASE_S)
        assert ids(claim(store, Stage.INDEX)) == ["a"]

    def test_a_newer_version_forgets_what_belonged_to_the_older(self, store: ItemStore) -> None:
        accept(store, draft("a"))
        deliver(store)
        accept(store, draft("a", title="another"))
        record = store.get("a")
        assert (record.version, record.status, record.item.title) == (2, Status.PENDING, "another")
        assert (record.claimed_at, record.encoded_at, record.retrievable_at) == (None, None, None)
        assert (record.modalities, record.gates, record.cold, record.adapter_version) == ((), {}, None, None)

    def test_everything_outlives_the_process(self, store: ItemStore, url: str, clock: Clock) -> None:
        accept(store, draft("a"), draft("b"))
        claim(store, limit=1)
        store.close()
        again = SqlItemStore(url, clock=clock)
        assert {again.get("a").status, again.get("b").status} == {Status.ENCODING, Status.PENDING}
        assert again.due(Stage.ENCODE) == 1
        again.close()


class TestAccept:
    def test_nothing(self, store: ItemStore) -> None:
        assert store.accept([]) == []

    def test_answers_come_in_the_order_given(self, store: ItemStore) -> None:
        names = ["c", "a", "b"]
        assert [answer.item_id for answer in accept(store, *map(draft, names))] == names

    def test_of_one_id_the_last_draft_wins(self, store: ItemStore, clock: Clock) -> None:
        answers = store.accept([draft("a", title="first"), draft("b"), draft("a", title="last")])
        assert answers == [Accepted("a", 1, clock.now), Accepted("b", 1, clock.now), Accepted("a", 1, clock.now)]
        assert store.get("a").item.title == "last"

    @pytest.mark.parametrize("size", [1000, 2500])
    def test_a_large_batch_takes_few_statements(self, store: SqlItemStore, size: int) -> None:
        statements = []
        engine = store._database.engine
        event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
        drafts = [draft(f"item-{number}", picture=b"%d" % number) for number in range(size)]
        assert len(accept(store, *drafts)) == size
        assert len(statements) <= 10 * -(-size // 1000)
        assert store.due(Stage.ENCODE) == size

    @pytest.mark.parametrize(
        "bad",
        [
            Item("", "empty id"),
            Item("x" * 257, "long id"),
            Item("nul\0", "id"),
            Item("a", "NUL \0"),
            Item("a", "surrogate \ud800"),
            Item("a", "t", "NUL \0"),
            Item("a", "t", image="\0"),
            Item("a", "t", attributes={"genre": "\0"}),
            Item("a", "t", attributes={"tags": ["fine", "\udfff"]}),
            Item("a", "t", attributes={"\0": 1}),
            Item("a", "t", attributes={"price": float("nan")}),
            Item("a", "t", attributes={"price": float("inf")}),
            Item("a", "t", published_at=float("nan")),
            Item("a", "t", published_at=20.0, expires_at=20.0),
        ],
    )
    def test_what_no_database_takes_is_refused_alone(self, store: ItemStore, bad: Item) -> None:
        before, refused, after = store.accept([draft("before"), Draft(bad), draft("after")])
        assert isinstance(before, Accepted)
        assert isinstance(refused, InvalidInput)
        assert isinstance(after, Accepted)
        assert sum(store.counts().values()) == 2

    @pytest.mark.parametrize(
        "character", ["\\u0000", "é", "e\u0301", "🦊", "\u202e", "'; DROP TABLE items; --", "%s", "../"]
    )
    def test_odd_text_comes_back_as_it_was(self, store: ItemStore, character: str) -> None:
        attributes: Attributes = {character: character, "tags": [character]}
        item = Item(f"id {character}", character, character, character, attributes, published_at=1.5, expires_at=2.5)
        assert isinstance(store.accept([Draft(item)])[0], Accepted)
        assert store.get(item.item_id).item == item

    def test_ids_that_differ_in_case_or_in_form_are_different(self, store: ItemStore) -> None:
        accept(store, draft("a"), draft("A"), draft("é"), draft("e\u0301"), draft("a "))
        assert sum(store.counts().values()) == 5


class TestSourceVersion:
    @pytest.mark.parametrize("late", [1, 5])
    def test_one_that_is_not_above_changes_nothing(self, store: ItemStore, late: int) -> None:
        accept(store, draft("a", source_version=5))
        deliver(store)
        before = store.get("a")
        [answer, other] = store.accept([draft("a", title="late", source_version=late), draft("b")])
        assert isinstance(answer, Conflict)
        assert "a: " in str(answer)
        assert str(late) in str(answer)
        assert isinstance(other, Accepted)
        assert store.get("a") == before
        assert ids(claim(store)) == ["b"]

    def test_a_higher_one_is_accepted(self, store: ItemStore) -> None:
        accept(store, draft("a", source_version=5))
        assert accept(store, draft("a", source_version=6))[0].version == 2

    def test_it_is_remembered_through_an_update_without_one_and_a_delete(self, store: ItemStore) -> None:
        accept(store, draft("a", source_version=5))
        accept(store, draft("a"))
        store.delete("a")
        assert isinstance(store.accept([draft("a", source_version=5)])[0], Conflict)
        assert store.get("a").status is Status.DELETED
        assert accept(store, draft("a", source_version=6))[0].version == 4

    def test_one_that_no_database_holds_is_refused(self, store: ItemStore) -> None:
        assert isinstance(store.accept([draft("a", source_version=2**63)])[0], InvalidInput)
        assert isinstance(store.accept([draft("a", source_version=2**63 - 1)])[0], Accepted)

    def test_within_a_batch_the_order_of_the_source_decides(self, store: ItemStore) -> None:
        first, second = store.accept(
            [draft("a", title="new", source_version=2), draft("a", title="old", source_version=1)]
        )
        assert isinstance(first, Accepted)
        assert isinstance(second, Conflict)
        assert store.get("a").item.title == "new"


class TestReplaces:
    def test_a_draft_may_name_the_one_version_that_it_replaces(self, store: ItemStore) -> None:
        def put(title: str, replaces: int) -> Accepted | ColdstartError:
            return store.accept([replace(draft("a", title=title), replaces=replaces)])[0]

        assert isinstance(put("too early", 1), Conflict)
        assert isinstance(put("first", 0), Accepted)
        before = store.get("a")
        refused = put("late", 0)
        assert isinstance(refused, Conflict)
        assert "a: " in str(refused) and "version 1" in str(refused)
        assert store.get("a") == before
        assert isinstance(put("second", 1), Accepted)
        assert isinstance(put("late", 1), Conflict)
        store.delete("a")
        assert isinstance(put("late", 2), Conflict)
        assert store.get("a").status is Status.DELETED

    def test_its_refusal_is_its_own(self, store: ItemStore) -> None:
        accept(store, draft("a", picture=b"shown"))
        late = replace(draft("a", picture=b"late"), replaces=0)
        answers = store.accept([late, replace(draft("b"), replaces=0), draft("c")])
        assert [type(answer) for answer in answers] == [Conflict, Accepted, Accepted]
        assert store.picture("a") == b"shown"

    def test_of_many_at_once_one_is_the_first(self, store: ItemStore) -> None:
        def put(number: int) -> list[Accepted | ColdstartError]:
            return store.accept([replace(draft(f"{n}", title=f"by {number}"), replaces=0) for n in range(20)])

        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(put, range(8)))
        for n in range(20):
            [winner] = [number for number, given in enumerate(answers) if isinstance(given[n], Accepted)]
            record = store.get(f"{n}")
            assert (record.version, record.item.title) == (1, f"by {winner}")


class TestVersions:
    def test_what_was_claimed_before_an_update_does_not_count(self, store: ItemStore) -> None:
        accept(store, draft("a"))
        old = claim(store)
        accept(store, draft("a", title="new"))
        assert encode_all(store, old) == []
        store.done(versions(old))
        fail(store, old)
        [new] = claim(store)
        assert (new.record.version, new.record.item.title, new.attempts) == (2, "new", 1)

    def test_an_update_between_encoding_and_index_leaves_the_newer_due(self, store: ItemStore) -> None:
        accept(store, draft("a"))
        old = claim(store)
        assert encode_all(store, old, lease_s=LEASE_S) == ["a"]
        accept(store, draft("a"))
        store.done(versions(old))
        assert store.get("a").status is Status.PENDING
        assert versions(claim(store)) == {"a": 2}

    def test_done_counts_only_what_was_encoded(self, store: ItemStore) -> None:
        accept(store, draft("a"))
        store.done({"a": 1})
        assert store.get("a").status is Status.PENDING
        assert store.due(Stage.ENCODE) == 1

    def test_an_unknown_item_is_reported_without_harm(self, store: ItemStore) -> None:
        store.done({"nobody": 1})
        store.fail({"nobody": 1}, "reason", retry_in_s=1, max_attempts=1)
        assert sum(store.counts().values()) == 0

    def test_no_version_is_given_twice(self, store: ItemStore) -> None:
        def put(_: int) -> int:
            return accept(store, draft("a"), draft("b"))[0].version

        with ThreadPoolExecutor(8) as threads:
            given = list(threads.map(put, range(40)))
        assert sorted(given) == list(range(1, 41))
        assert versions(claim(store)) == {"a": 40, "b": 40}


class TestDelete:
    def test_an_unknown_item_is_not_found(self, store: ItemStore) -> None:
        with pytest.raises(NotFound, match="nobody"):
            store.delete("nobody")

    def test_a_delete_while_the_item_is_encoded_wins(self, store: ItemStore, clock: Clock) -> None:
        accept(store, draft("a", picture=b"png"))
        old = claim(store)
        assert store.delete("a") == Accepted("a", 2, clock.now)
        assert store.get("a").status is Status.DELETED
        assert encode_all(store, old) == []
        assert claim(store) == []
        [tombstone] = claim(store, Stage.INDEX)
        assert (tombstone.record.status, tombstone.record.version, tombstone.vector) == (Status.DELETED, 2, None)
        store.done({"a": 2})
        record = store.get("a")
        assert (record.status, record.retrievable_at, record.item.title) == (Status.DELETED, None, "a title")
        assert store.due(Stage.INDEX) == 0

    def test_a_put_revives_and_goes_on_counting(self, store: ItemStore) -> None:
        accept(store, draft("a"))
        store.delete("a")
        assert accept(store, draft("a"))[0].version == 3
        deliver(store)
        assert store.get("a").status is Status.RETRIEVABLE

    def test_a_tombstone_goes_first(self, store: ItemStore, clock: Clock) -> None:
        accept(store, draft("a"), draft("b"))
        encode_all(store, claim(store))
        clock.tick()
        store.delete("b")
        assert ids(claim(store, Stage.INDEX)) == ["b", "a"]

    def test_a_dead_tombstone_is_a_tombstone_when_retried(self, store: ItemStore, clock: Clock) -> None:
        accept(store, draft("a"))
        store.delete("a")
        for _ in range(MAX_ATTEMPTS):
            fail(store, claim(store, Stage.INDEX), "the index is away", retry_in_s=0)
        assert store.get("a").status is Status.DEAD
        assert store.retry_dead("a").version == 2
        [tombstone] = claim(store, Stage.INDEX)
        assert tombstone.record.status is Status.DELETED


class TestClaim:
    def test_order_is_priority_then_age(self, store: ItemStore, clock: Clock) -> None:
        accept(store, draft("backfill"), priority=-1)
        clock.tick()
        accept(store, draft("old"))
        clock.tick()
        accept(store, draft("new"))
        assert [ids(claim(store, limit=1)) for _ in range(4)] == [["old"], ["new"], ["backfill"], []]

    def test_the_limit_holds(self, store: ItemStore) -> None:
        accept(store, *(draft(f"{number}") for number in range(10)))
        assert [len(claim(store, limit=4)) for _ in range(4)] == [4, 4, 2, 0]

    def test_a_lease_holds_until_it_runs_out(self, store: ItemStore, clock: Clock) -> None:
        accept(store, draft("a"))
        claim(store)
        clock.tick(LEASE_S - 1)
        assert (claim(store), store.due(Stage.ENCODE)) == ([], 0)
        clock.tick(1)
        assert store.due(Stage.ENCODE) == 1
        [again] = claim(store)
        assert again.attempts == 2

    def test_of_two_workers_on_one_row_the_first_to_finish_counts(self, store: ItemStore, clock: Clock) -> None:
        accept(store, draft("a"))
        slow = claim(store)
        clock.tick(LEASE_S)
        quick = claim(store)
        assert encode_all(store, slow) == ["a"]
        assert encode_all(store, quick) == []

    def test_threads_get_disjoint_rows(self, store: ItemStore) -> None:
        accept(store, *(draft(f"{number}") for number in range(400)))
        barrier = threading.Barrier(8)

        def work(_: int) -> list[str]:
            barrier.wait()
            claimed = []
            while claims := claim(store, limit=7):
                claimed += ids(claims)
            return claimed

        with ThreadPoolExecutor(8) as threads:
            claimed = [item_id for ids in threads.map(work, range(8)) for item_id in ids]
        # A claim may find nothing while others hold what it looks at; what is left over is due for the next.
        claimed += ids(claim(store, limit=400))
        assert Counter(claimed) == {f"{number}": 1 for number in range(400)}

    def test_expired_leases_are_due_at_once(self, store: ItemStore) -> None:
        accept(store, draft("a"), draft("b"))
        encode_all(store, claim(store, limit=1), lease_s=LEASE_S)
        claim(store)
        assert store.expire_leases(Stage.ENCODE) == 1
        assert (store.due(Stage.ENCODE), store.due(Stage.INDEX)) == (1, 0)
        assert store.expire_leases(Stage.ENCODE) == 0


class TestFailure:
    def test_it_is_tried_again_after_the_delay(self, store: ItemStore, clock: Clock) -> None:
        accept(store, draft("a"))
        fail(store, claim(store), "the encoder is away", retry_in_s=10)
        record = store.get("a")
        assert (record.status, record.attempts, record.error) == (Status.PENDING, 1, "the encoder is away")
        assert claim(store) == []
        clock.tick(10)
        assert claim(store)[0].attempts == 2

    def test_used_up_attempts_make_a_dead_letter(self, store: ItemStore, clock: Clock) -> None:
        accept(store, draft("a"), draft("b"))
        for _ in range(MAX_ATTEMPTS):
            claims = claim(store)
            encode_all(store, [claim for claim in claims if ids([claim]) == ["b"]])
            fail(store, [claim for claim in claims if ids([claim]) == ["a"]], "no\0 good \ud800", retry_in_s=0)
        [dead] = store.list_items(limit=10, status=Status.DEAD)
        assert (dead.item.item_id, dead.attempts, dead.error) == ("a", MAX_ATTEMPTS, "no\ufffd good ?")
        clock.tick(1e9)
        assert claim(store) == []
        assert ids(claim(store, Stage.INDEX)) == ["b"]

    def test_an_update_revives_with_fresh_attempts(self, store: ItemStore) -> None:
        accept(store, draft("a"))
        for _ in range(MAX_ATTEMPTS):
            fail(store, claim(store), retry_in_s=0)
        accept(store, draft("a"))
        assert (store.get("a").status, store.get("a").error) == (Status.PENDING, None)
        assert claim(store)[0].attempts == 1

    @pytest.mark.parametrize("stage", list(Stage))
    def test_a_retry_goes_on_where_the_item_died(self, store: ItemStore, stage: Stage) -> None:
        accept(store, draft("a"))
        if stage is Stage.INDEX:
            encode_all(store, claim(store))
        for _ in range(MAX_ATTEMPTS):
            fail(store, claim(store, stage), retry_in_s=0)
        assert store.get("a").status is Status.DEAD
        answer = store.retry_dead("a")
        assert (answer.item_id, answer.version) == ("a", 1)
        assert (store.get("a").status, store.get("a").error) == (Status.PENDING, None)
        assert claim(store, stage)[0].attempts == 1

    def test_only_the_dead_are_retried(self, store: ItemStore) -> None:
        accept(store, draft("a"))
        for item_id in ("a", "nobody"):
            with pytest.raises(NotFound, match=item_id):
                store.retry_dead(item_id)

    def test_attempts_at_the_index_are_counted_anew(self, store: ItemStore, clock: Clock) -> None:
        accept(store, draft("a"))
        for _ in range(MAX_ATTEMPTS - 1):
            fail(store, claim(store), retry_in_s=0)
        encode_all(store, claim(store))
        assert claim(store, Stage.INDEX)[0].attempts == 1

    def test_a_failure_that_is_no_fault_of_the_items_is_not_counted(self, store: ItemStore, clock: Clock) -> None:
        accept(store, draft("a"))
        for _ in range(MAX_ATTEMPTS + 2):
            claims = claim(store)
            assert claims[0].attempts == 1
            store.fail(versions(claims), "the index is away", retry_in_s=10, max_attempts=None)
            record = store.get("a")
            assert (record.status, record.attempts, record.error) == (Status.PENDING, 0, "the index is away")
            assert claim(store) == []
            clock.tick(10)
        claim(store)
        clock.tick(LEASE_S)  # its worker died, once
        assert ids(claim(store)) == ["a"]

    def test_a_late_report_takes_no_attempt_from_a_fresh_set(self, store: ItemStore, clock: Clock) -> None:
        accept(store, draft("a"))
        for _ in range(MAX_ATTEMPTS):
            late = claim(store)
            clock.tick(LEASE_S)
        assert claim(store) == []
        store.retry_dead("a")
        store.fail(versions(late), "the index is away", retry_in_s=0, max_attempts=None)
        assert claim(store)[0].attempts == 1


class TestWorkersThatDie:
    def test_what_a_dead_worker_held_is_tried_one_by_one_and_first(self, store: ItemStore, clock: Clock) -> None:
        accept(store, draft("a"), draft("b"), draft("c"))
        claim(store)
        clock.tick(LEASE_S)
        accept(store, draft("new"), priority=9)
        assert sorted(ids(claim(store))[0] for _ in range(3)) == ["a", "b", "c"]
        assert ids(claim(store)) == ["new"]

    def test_an_item_that_kills_its_worker_dies_alone(self, store: ItemStore, clock: Clock) -> None:
        accept(store, *(draft(f"{number}") for number in range(20)), draft("poison"))
        deaths = 0
        for _ in range(100):
            claims = claim(store, limit=8)
            if "poison" in ids(claims):
                deaths += 1
                clock.tick(LEASE_S)
            elif claims:
                store.done(dict.fromkeys(encode_all(store, claims), 1))
            else:
                break
        assert deaths == MAX_ATTEMPTS
        assert store.counts() | {Status.RETRIEVABLE: 20, Status.DEAD: 1} == store.counts()
        poison = store.get("poison")
        assert (poison.status, poison.attempts) == (Status.DEAD, MAX_ATTEMPTS)
        assert "worker" in str(poison.error)
        assert (store.due(Stage.ENCODE), store.due(Stage.INDEX)) == (0, 0)

    def test_the_late_success_of_a_worker_given_up_counts(self, store: ItemStore, clock: Clock) -> None:
        accept(store, draft("a"))
        for _ in range(MAX_ATTEMPTS):
            slow = claim(store)
            clock.tick(LEASE_S)
        assert claim(store) == []
        assert store.get("a").status is Status.DEAD
        assert encode_all(store, slow) == ["a"]
        deliver(store)
        assert (store.get("a").status, store.get("a").error) == (Status.RETRIEVABLE, None)


def stored_pictures(store: SqlItemStore) -> int:
    with store._database.read() as tx:
        return int(tx.execute(text("SELECT count(*) FROM media")).scalar_one())


class TestPictures:
    def test_equal_pictures_are_stored_once_and_live_as_long_as_one_item_shows_them(self, store: SqlItemStore) -> None:
        accept(store, draft("a", picture=b"same"), draft("b", picture=b"same"), draft("c"))
        assert (stored_pictures(store), store.picture("a"), store.picture("b"), store.picture("c")) == (
            1,
            b"same",
            b"same",
            None,
        )
        assert store.get("a").picture_sha256 == store.get("b").picture_sha256
        accept(store, draft("a", picture=b"other"))
        assert (stored_pictures(store), store.picture("a"), store.picture("b")) == (2, b"other", b"same")
        accept(store, draft("b", picture=b"same"))
        assert (stored_pictures(store), store.picture("b")) == (2, b"same")
        store.delete("b")
        assert (stored_pictures(store), store.picture("b"), store.get("b").picture_sha256) == (1, None, None)
        accept(store, draft("a"))
        assert (stored_pictures(store), store.picture("a")) == (0, None)

    def test_a_refused_draft_leaves_none_behind(self, store: SqlItemStore) -> None:
        accept(store, draft("a", picture=b"shown", source_version=2))
        late = [draft("a", picture=b"late", source_version=1), replace(draft("a", picture=b"late"), replaces=0)]
        for each in late:
            assert isinstance(store.accept([each])[0], Conflict)
        assert (stored_pictures(store), store.picture("a")) == (1, b"shown")

    def test_an_unknown_item_has_none(self, store: ItemStore) -> None:
        assert store.picture("nobody") is None


class TestReading:
    def test_get(self, store: ItemStore) -> None:
        with pytest.raises(NotFound, match="nobody"):
            store.get("nobody")

    def test_get_many_leaves_out_the_unknown(self, store: ItemStore) -> None:
        accept(store, draft("a"), draft("b"))
        assert set(store.get_many(["a", "nobody", "a"])) == {"a"}
        assert store.get_many([]) == {}

    def test_get_many_takes_any_number(self, store: ItemStore) -> None:
        accept(store, draft("a"))
        assert set(store.get_many([f"{number}" for number in range(40_000)] + ["a"])) == {"a"}

    def test_a_lookup_of_text_that_cannot_be_stored_is_invalid_or_finds_nothing(self, store: ItemStore) -> None:
        for item_id in ("nul\0", "surrogate \ud800"):
            with pytest.raises((InvalidInput, NotFound)):
                store.get(item_id)

    def test_lists_last_accepted_first(self, store: ItemStore, clock: Clock) -> None:
        for item_id in "abcd":
            accept(store, draft(item_id))
            clock.tick()
        store.delete("b")
        assert [record.item.item_id for record in store.list_items(limit=3)] == ["b", "d", "c"]
        assert [record.item.item_id for record in store.list_items(limit=3, offset=3)] == ["a"]
        assert [record.item.item_id for record in store.list_items(limit=9, status=Status.DELETED)] == ["b"]
        assert store.list_items(limit=9, status=Status.DEAD) == []

    def test_counts_name_every_status(self, store: ItemStore) -> None:
        assert store.counts() == dict.fromkeys(Status, 0)
        accept(store, draft("a"), draft("b"), draft("c"))
        claim(store, limit=1)
        store.delete("b")
        assert sum(store.counts().values()) == 3
        assert store.counts()[Status.DELETED] == 1


class TestAcceptEncoded:
    def test_items_go_straight_to_the_index(self, store: ItemStore, clock: Clock) -> None:
        accept(store, draft("b", source_version=2))
        items = [draft("a"), draft("b", source_version=1), draft("c")]
        encodings = [encode(ItemRecord(item.item, 0, Status.PENDING, 0.0), vector=[3.0]) for item in items]
        first, second, third = store.accept_encoded(list(zip(items, encodings, strict=True)))
        assert (first, third) == (Accepted("a", 1, clock.now), Accepted("c", 1, clock.now))
        assert isinstance(second, Conflict)
        assert ids(claim(store)) == ["b"]
        claims = claim(store, Stage.INDEX)
        assert versions(claims) == {"a": 1, "c": 1}
        assert [claim.vector.tolist() for claim in claims if claim.vector is not None] == [[3.0], [3.0]]
        record = store.get("a")
        assert (record.encoded_at, record.claimed_at, record.modalities) == (clock.now, None, ("text",))

    def test_many(self, store: ItemStore) -> None:
        pairs = [(draft(f"{n}"), encode(ItemRecord(Item(f"{n}", "t"), 0, Status.PENDING, 0.0))) for n in range(1500)]
        assert len(store.accept_encoded(pairs, priority=-1)) == 1500
        assert (store.due(Stage.ENCODE), store.due(Stage.INDEX)) == (0, 1500)


class TestOnce:
    ONCE = Once("key-1", "put a")

    def test_what_is_sent_again_changes_nothing_and_is_answered_as_before(self, store: ItemStore, clock: Clock) -> None:
        drafts = [draft("a"), Draft(Item("b", "x", "\0")), draft("c", source_version=3)]
        first = store.accept(drafts, once=self.ONCE)
        clock.tick()
        again = store.accept(drafts, once=self.ONCE)
        assert [each for each in again if isinstance(each, Accepted)] == [first[0], first[2]]
        assert (type(again[1]), str(again[1])) == (InvalidInput, str(first[1]))
        assert (store.get("a").version, store.get("a").accepted_at) == (1, clock.now - 1)
        assert accept(store, draft("a"))[0].version == 2  # without a key it is a request of its own

    def test_a_refusal_is_answered_again_though_it_would_not_be_refused_any_more(self, store: ItemStore) -> None:
        accept(store, draft("a", source_version=5))
        late = [draft("a", source_version=4)]
        assert isinstance(store.accept(late, once=self.ONCE)[0], Conflict)
        with pytest.raises(NotFound):
            store.delete("b", once=Once("key-2", "delete b"))
        accept(store, draft("b"))
        with pytest.raises(NotFound):
            store.delete("b", once=Once("key-2", "delete b"))
        assert isinstance(store.accept(late, once=self.ONCE)[0], Conflict)
        assert (store.get("a").version, store.get("b").version) == (1, 1)

    def test_a_delete_sent_again_does_not_delete_what_came_after_it(self, store: ItemStore) -> None:
        accept(store, draft("a"))
        once = Once("key-2", "delete a")
        deleted = store.delete("a", once=once)
        accept(store, draft("a"))
        assert store.delete("a", once=once) == deleted
        assert (store.get("a").version, store.get("a").status) == (3, Status.PENDING)

    def test_a_key_belongs_to_one_request(self, store: ItemStore) -> None:
        store.accept([draft("a")], once=self.ONCE)
        with pytest.raises(InvalidInput, match="key-1"):
            store.accept([draft("a", title="another")], once=replace(self.ONCE, fingerprint="put another"))
        with pytest.raises(InvalidInput, match="key-1"):
            store.delete("a", once=replace(self.ONCE, fingerprint="delete a"))
        assert (store.get("a").version, store.get("a").item.title) == (1, "a title")

    def test_a_key_is_its_callers_own(self, store: ItemStore) -> None:
        callers = [replace(self.ONCE, caller=caller) for caller in (None, "caller-1", "caller-2")]
        versions = {once.caller: store.accept([draft("a")], once=once) for once in callers}
        assert [answer[0].version for answer in versions.values()] == [1, 2, 3]  # type: ignore[union-attr]
        for once in callers:
            assert store.accept([draft("a")], once=once) == versions[once.caller]
        other = replace(self.ONCE, caller="caller-3", fingerprint="delete a")
        assert store.delete("a", once=other).version == 4

    def test_another_callers_key_is_not_held_up(self, cluster: Callable[[], str]) -> None:
        url = cluster()
        store, other = SqlItemStore(url), SqlItemStore(url)
        theirs = replace(self.ONCE, caller="caller-2")
        with store._database.write() as tx:
            repeating.answered(tx, self.ONCE, lambda: other.accept([draft("a")], once=theirs), now=0.0)
        assert other.get("a").version == 1
        store.close()
        other.close()

    def test_answer_and_effect_come_together_or_not_at_all(self, store: ItemStore) -> None:
        unkept = Once("key-1", None)  # type: ignore[arg-type]
        with pytest.raises(IntegrityError):
            store.accept([draft("a")], once=unkept)
        assert store.get_many(["a"]) == {} and store.due(Stage.ENCODE) == 0
        assert isinstance(store.accept([draft("a")], once=self.ONCE)[0], Accepted)

    def test_after_a_day_a_key_is_forgotten_and_removed_in_passing(self, store: SqlItemStore, clock: Clock) -> None:
        for n in range(150):
            store.accept([draft("a")], once=Once(f"key-{n}", "put a"))
        clock.tick(KEPT_S - 1)
        assert store.accept([draft("a")], once=self.ONCE)[0].version == 2  # type: ignore[union-attr]
        clock.tick(1)
        assert store.accept([draft("a")], once=self.ONCE)[0].version == 151  # type: ignore[union-attr]
        store.accept([draft("a")], once=Once("key-last", "put a"))
        with store._database.read() as tx:
            assert set(tx.scalars(text("SELECT key FROM requests"))) == {self.ONCE.name, Once("key-last", "put a").name}

    def test_sent_three_times_at_once_it_is_done_once(self, url: str) -> None:
        """By two processes' stores, so that what they share is the database alone."""
        stores = [SqlItemStore(url), SqlItemStore(url)]

        def send(n: int) -> list[int]:
            store, versions = stores[n % 2], list[int]()
            while not versions:
                with suppress(InFlight):
                    answers = store.accept([draft(f"i{n // 3}")], once=Once(f"key-{n // 3}", str(n // 3)))
                    versions = [answer.version for answer in answers if isinstance(answer, Accepted)]
            return versions

        with ThreadPoolExecutor(6) as pool:
            assert set(map(tuple, pool.map(send, range(300)))) == {(1,)}
        assert {stores[0].get(f"i{n}").version for n in range(100)} == {1}
        for store in stores:
            store.close()

    def test_while_its_first_request_is_under_way_a_key_is_refused(self, cluster: Callable[[], str]) -> None:
        """On PostgreSQL; on SQLite the second waits for the first, as every writer does."""
        url = cluster()
        store, other = SqlItemStore(url), SqlItemStore(url)
        with store._database.write() as tx, pytest.raises(InFlight, match="key-1") as refused:
            repeating.answered(tx, self.ONCE, lambda: other.accept([draft("a")], once=self.ONCE), now=0.0)
        assert refused.value.retry_after_s == 1
        assert other.get_many(["a"]) == {}
        store.close()
        other.close()


class TestBacklog:
    def test_it_is_what_was_posted_and_has_not_arrived(self, store: ItemStore) -> None:
        accept(store, draft("a"), draft("b"), draft("c"))
        assert store.backlog() == 3
        deliver(store)
        assert store.backlog() == 0

    def test_rows_that_are_held_wait_for_a_retry_or_for_the_index_count(self, store: ItemStore) -> None:
        accept(store, draft("retried"))
        fail(store, claim(store))
        accept(store, draft("encoded"))
        encode_all(store, claim(store))
        accept(store, draft("held"))
        assert ids(claim(store)) == ["held"]
        assert (store.backlog(), store.due(Stage.ENCODE), store.due(Stage.INDEX)) == (3, 0, 1)

    def test_backfills_tombstones_and_dead_letters_do_not(self, store: ItemStore) -> None:
        accept(store, draft("gone"), draft("dead"))
        store.delete("gone")
        store.fail({"dead": 1}, "bad", retry_in_s=0, max_attempts=0)
        accept(store, draft("filled in"), priority=-1)
        assert (store.get("dead").status, store.backlog()) == (Status.DEAD, 0)


class TestReconciling:
    def settled(self, store: ItemStore, after: str | None = None, limit: int = 100) -> dict[str, int]:
        page = store.settled(adapter_version="adapter-1", after=after, limit=limit)
        return {each.item_id: each.version for each in page}

    def test_what_owes_nothing_is_settled(self, store: ItemStore) -> None:
        accept(store, draft("a"), draft("gone"), draft("dead"))
        deliver(store)
        store.delete("gone")
        assert self.settled(store) == {"a": 1, "dead": 1}  # the tombstone is due
        deliver(store)
        accept(store, draft("dead"), draft("new"))
        store.fail({"dead": 2}, "bad", retry_in_s=0, max_attempts=0)
        assert self.settled(store) == {"a": 1, "gone": 2}
        assert store.settled(adapter_version="adapter-2", after=None, limit=9) == [Settled("gone", 2, None)]
        [a] = store.settled(adapter_version="adapter-1", after=None, limit=1)
        assert a.vector is not None and a.vector.tolist() == [1.0, 2.0]

    def test_pages_tell_every_item_once(self, store: ItemStore) -> None:
        ids = [f"{letter}{n}" for letter in ("a", "B", "\u00c5", "-", "🎬") for n in range(5)]
        accept(store, *map(draft, ids))
        deliver(store)
        told: list[str] = []
        while page := self.settled(store, after=told[-1] if told else None, limit=4):
            told += page
        assert sorted(told) == sorted(ids)

    def test_it_is_owed_again_behind_what_is_posted_and_a_tombstone_before(self, store: ItemStore) -> None:
        accept(store, draft("a"), draft("gone"))
        deliver(store)
        first = store.get("a")
        store.delete("gone")
        deliver(store)
        assert store.owe_again({"a": 1, "gone": 2, "unknown": 1}, held={}) == ["a", "gone"]
        assert [versions(claim(store, Stage.INDEX, limit=1)) for _ in range(3)] == [{"gone": 2}, {"a": 1}, {}]
        store.done({"a": 1, "gone": 2})
        assert (store.get("a"), store.get("gone").status) == (first, Status.DELETED)

    @pytest.mark.parametrize(("held", "version"), [(1, 3), (3, 4), (8, 9)])
    def test_what_the_index_holds_as_new_is_passed(self, store: ItemStore, held: int, version: int) -> None:
        for _ in range(3):
            accept(store, draft("a"))
        deliver(store)
        assert store.owe_again({"a": 3}, held={"a": held}) == ["a"]
        assert (store.get("a").version, versions(claim(store, Stage.INDEX))) == (version, {"a": version})
        store.done({"a": version})
        assert accept(store, draft("a"))[0].version == version + 1

    def test_what_changed_meanwhile_is_left_alone(self, store: ItemStore) -> None:
        accept(store, draft("put"), draft("deleted"), draft("owed"), draft("dead"))
        deliver(store)
        accept(store, draft("put"))
        store.delete("deleted")
        assert store.owe_again({"owed": 1}, held={}) == ["owed"]
        accept(store, draft("dead"))
        store.fail({"dead": 2}, "bad", retry_in_s=0, max_attempts=0)
        assert store.owe_again({"put": 1, "deleted": 1, "owed": 1, "dead": 2}, held={}) == []
        assert store.owe_again({"put": 2, "deleted": 2}, held={}) == []
        assert store.owe_again({}, held={}) == []

    def test_what_is_on_its_way_passes_an_index_that_is_ahead_of_it(self, store: ItemStore) -> None:
        """As after the restore of a catalogue from before what the index holds."""
        accept(store, draft("a"), draft("b"), draft("gone"), draft("same"), priority=-1)
        store.delete("gone")
        before = claim(store)
        assert sorted(ids(before)) == ["a", "b", "same"]
        assert encode_all(store, [each for each in before if ids([each]) == ["b"]]) == ["b"]
        held = {"a": 5, "b": 1, "gone": 7, "same": 0}
        assert store.owe_again({"a": 1, "b": 1, "gone": 2, "same": 1}, held=held) == ["a", "b", "gone"]
        assert store.get("a").version == 6 and store.get("same").version == 1
        assert encode_all(store, before) == ["same"]  # whoever had claimed them is too late
        assert (versions(claim(store)), versions(claim(store, Stage.INDEX, limit=1))) == ({"a": 6}, {"gone": 8})
        assert versions(claim(store, Stage.INDEX)) == {"b": 2, "same": 1}

    def test_a_dead_item_that_the_index_is_ahead_of_stays_dead_at_a_version_that_can_be_retried(
        self, store: ItemStore
    ) -> None:
        accept(store, draft("a"))
        store.fail(versions(claim(store)), "bad", retry_in_s=0, max_attempts=0)
        assert store.owe_again({"a": 1}, held={"a": 4}) == ["a"]
        assert (store.get("a").version, store.get("a").status, store.get("a").error) == (5, Status.DEAD, "bad")
        assert claim(store) == []
        store.retry_dead("a")
        assert versions(claim(store)) == {"a": 5}

    def test_strangers_are_taken_in_as_deleted(self, store: ItemStore) -> None:
        accept(store, draft("known"))
        assert store.disown({"stranger": 4, "known": 9}) == ["stranger"]
        assert (store.get("stranger").status, store.get("known").version) == (Status.DELETED, 1)
        assert versions(claim(store, Stage.INDEX)) == {"stranger": 5}
        store.done({"stranger": 5})
        assert accept(store, draft("stranger"))[0].version == 6
        assert store.disown({}) == []


class TestRequeue:
    def test_an_index_is_owed_what_it_lost_and_the_deletes_that_it_missed(self, store: ItemStore) -> None:
        accept(store, draft("a"), draft("gone"))
        deliver(store)
        store.delete("gone")
        deliver(store)
        accept(store, draft("new"))
        assert store.requeue(Stage.INDEX, adapter_version="adapter-1") == 2
        assert store.requeue(Stage.INDEX, adapter_version="adapter-2") == 1  # the tombstone
        assert (store.get("a").status, store.get("a").version) == (Status.PENDING, 1)
        assert (store.get("gone").status, store.get("gone").version) == (Status.DELETED, 2)
        [tombstone] = claim(store, Stage.INDEX, limit=1)
        assert (versions([tombstone]), tombstone.record.status) == ({"gone": 2}, Status.DELETED)
        [again] = claim(store, Stage.INDEX)
        assert (ids([again]), again.vector is not None) == (["a"], True)

    def test_another_adapter_is_owed_what_the_former_encoded_behind_what_is_new(self, store: ItemStore) -> None:
        accept(store, draft("a"), draft("gone"))
        deliver(store)
        store.delete("gone")
        accept(store, draft("new"))
        assert store.requeue(Stage.ENCODE, adapter_version="adapter-1") == 0
        assert store.requeue(Stage.ENCODE, adapter_version="adapter-2") == 1
        assert [ids(claim(store, limit=1)) for _ in range(3)] == [["new"], ["a"], []]

    def test_an_item_that_kills_whoever_encodes_it_for_another_adapter_dies_of_it(
        self, store: ItemStore, clock: Clock
    ) -> None:
        accept(store, draft("a"))
        deliver(store)
        assert store.requeue(Stage.ENCODE, adapter_version="adapter-2") == 1
        for attempt in range(1, MAX_ATTEMPTS + 1):
            assert [claimed.attempts for claimed in claim(store)] == [attempt]
            clock.tick(LEASE_S)
            assert store.requeue(Stage.ENCODE, adapter_version="adapter-2") == 0  # by the process that starts next
        assert claim(store) == []
        assert store.get("a").status is Status.DEAD

    @pytest.mark.parametrize(("stage", "adapter"), [(Stage.ENCODE, "adapter-2"), (Stage.INDEX, "adapter-1")])
    def test_times_stay_those_of_the_first_way_into_the_index(
        self, store: ItemStore, clock: Clock, stage: Stage, adapter: str
    ) -> None:
        accept(store, draft("a"))
        deliver(store)
        first = store.get("a")
        clock.tick(3600)
        assert store.requeue(stage, adapter_version=adapter) == 1
        deliver(store)
        assert replace(store.get("a"), adapter_version=first.adapter_version) == first


def test_a_vector_that_is_not_finite_is_refused(store: ItemStore) -> None:
    accept(store, draft("a"))
    [claimed] = claim(store)
    with pytest.raises(InvalidInput, match="a: "):
        store.encoded([encode(claimed.record, vector=[1.0, float("nan")])])
    assert store.due(Stage.INDEX) == 0


class TestNewcomers:
    def test_the_least_shown_come_first_and_clicks_count_since_the_window_began(
        self, store: ItemStore, clock: Clock
    ) -> None:
        accept(store, draft("old"))
        clock.now += 100
        since = clock.now
        accept(store, draft("a"), draft("b"), draft("c"), draft("waits"))
        for each in claim(store):
            if ids([each]) != ["waits"]:
                encode_all(store, [each])
        store.done(versions(claim(store, Stage.INDEX)))
        store.count_impressions({"a": 3, "b": 1})
        store.count_impressions({"a": 2, "unknown": 1})
        store.count_impressions({})
        store.record_events(
            [Event("1", "u", "a", since - 3600), Event("2", "u", "a", since + 1), Event("3", "v", "a", since + 2)]
        )
        found = store.newcomers(since=since, limit=10)
        assert [(each.item_id, each.shown, each.clicks) for each in found] == [("c", 0, 0), ("b", 1, 0), ("a", 5, 2)]
        assert [each.item_id for each in store.newcomers(since=since, limit=1)] == ["c"]

    def test_what_was_clicked_in_training_is_no_newcomer(self, store: ItemStore, clock: Clock) -> None:
        warm = replace(encode(ItemRecord(Item("a", "t"), 1, Status.PENDING, 0.0)), cold=False)
        store.accept_encoded([(draft("a"), warm)])
        store.done(versions(claim(store, Stage.INDEX)))
        assert store.newcomers(since=0.0, limit=10) == []

    def test_threads_count_together(self, store: ItemStore, clock: Clock) -> None:
        accept(store, draft("a"), draft("b"))
        deliver(store)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: store.count_impressions({"a": 1, "b": n % 2}), range(40)))
        assert {each.item_id: each.shown for each in store.newcomers(since=0.0, limit=10)} == {"a": 40, "b": 20}


class TestEvents:
    def test_a_repeated_delivery_counts_once_and_is_told_as_it_came_first(self, store: ItemStore) -> None:
        one, two = Event("e1", "u", "a", 1.0), Event("e2", "u", "b", 2.0, "buy")
        first = store.record_events([two, one, one])
        assert first.events == (two, one) and first.new == {"e1", "e2"}
        three = Event("e3", "u", "a", 3.0)
        again = store.record_events([replace(one, item_id="b", timestamp=9.0), two, three])
        assert again.events == (one, two, three) and again.new == {"e3"}
        assert store.record_events([]).events == ()
        assert store.recent_events("u", limit=9) == [three, two, one]
        assert store.recent_events("u", limit=2)[1] == two
        assert store.recent_events("u", limit=9, without=["buy", "view"]) == [three, one]
        assert store.recent_events("nobody", limit=9) == []

    def test_events_of_one_time_are_in_the_order_of_the_bytes_of_their_ids(self, store: ItemStore) -> None:
        names = ["a", "B", "_", "é", "z", "\U0001f600", "a-b", "ab"]
        store.record_events([Event(name, "u", "a", 1.0) for name in names])
        expected = sorted(names, key=str.encode, reverse=True)
        assert [event.event_id for event in store.recent_events("u", limit=9)] == expected

    def test_the_future_becomes_the_time_of_the_store_once(self, store: ItemStore, clock: Clock) -> None:
        ahead = Event("e1", "u", "a", clock.now + 3600.0)
        [stored] = store.record_events([ahead]).events
        assert stored.timestamp == clock.now
        clock.tick(60.0)
        assert store.record_events([ahead]).events == (stored,) == tuple(store.recent_events("u", limit=9))

    def test_items_that_the_catalogue_has_never_held_are_named(self, store: ItemStore) -> None:
        accept(store, draft("a"), draft("b"))
        store.delete("b")
        events = [Event(f"e-{item}", "u", item, 1.0) for item in ("a", "b", "c", "c")]
        for _ in range(2):
            recorded = store.record_events(events)
            assert recorded.unknown_items == {"c"} and len(recorded.events) == 3

    def test_popular_counts_from_the_hour_before_a_time_on(self, store: ItemStore) -> None:
        times = {"a": [1, 2, 3], "b": [8, 9], "c": [9], "d": [9]}
        events = [Event(f"{item}{t}", "u", item, t * 3600 + 5.0) for item, ts in times.items() for t in ts]
        assert len(store.record_events(events).new) == 7
        assert store.popular(limit=2) == [("a", 3), ("b", 2)]
        assert store.popular(limit=9, since=3.5 * 3600) == [("b", 2), ("a", 1), ("c", 1), ("d", 1)]

    def test_popular_counts_new_events_of_popular_kinds_alone(self, store: ItemStore) -> None:
        kinds = ["click", "purchase", "impression", "dislike", "a kind of one's own"]
        events = [Event(kind, "u", "a", 1.0, kind) for kind in kinds]
        for _ in range(3):
            store.record_events([*events, *events])
        assert store.popular(limit=9) == [("a", 2)]

    @pytest.mark.parametrize(
        "bad", [Event("", "u", "a", 1.0), Event("e", "\0", "a", 1.0), Event("e", "u", "a", float("nan"))]
    )
    def test_what_no_database_takes_is_refused(self, store: ItemStore, bad: Event) -> None:
        with pytest.raises(InvalidInput):
            store.record_events([Event("fine", "u", "a", 1.0), bad])
        assert store.popular(limit=1) == []

    def test_a_large_batch(self, store: ItemStore) -> None:
        events = [Event(f"{number}", "u", f"{number % 5000}", 1.0) for number in range(12_000)]
        assert len(store.record_events(events).new) == 12_000
        assert store.record_events(events).new == set()

    def test_deliveries_at_once_of_the_same_events_count_once(self, store: ItemStore, url: str, clock: Clock) -> None:
        other = SqlItemStore(url, clock=clock)
        events = [Event(f"{number}", f"u{number % 7}", f"i{number % 3}", float(number)) for number in range(400)]

        def deliver(seed: int) -> int:
            order = np.random.default_rng(seed).permutation(len(events))
            mine = other if seed % 2 else store
            return sum(len(mine.record_events([events[i] for i in part]).new) for part in np.array_split(order, 20))

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(deliver, range(4))) == len(events)
        other.close()
        assert dict(store.popular(limit=9)) == Counter(event.item_id for event in events)


def test_everything_at_once_loses_and_blocks_nothing(store: ItemStore, url: str, clock: Clock) -> None:
    """Two stores, as of two processes, put, delete, encode and index the same few items; nobody waits for ever."""
    other = SqlItemStore(url, clock=clock)
    pool = [f"{number}" for number in range(12)]
    rounds = 25

    def put(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(rounds):
            chosen = random.permutation(pool)[: random.integers(1, 12)]
            accept(store, *(draft(item_id, picture=b"%d" % random.integers(4)) for item_id in chosen))

    def delete(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(rounds):
            other.delete(random.choice(pool))

    def work(seed: int) -> None:
        mine = other if seed % 2 else store
        for _ in range(rounds):
            claims = claim(mine, limit=5)
            mine.done({item_id: versions(claims)[item_id] for item_id in encode_all(mine, claims)})
            claims = claim(mine, Stage.INDEX, limit=5)
            fail(mine, claims[:1])
            mine.done(versions(claims[1:]))

    accept(store, *map(draft, pool))
    with ThreadPoolExecutor(8) as threads:
        jobs = [threads.submit(job, seed) for seed, job in enumerate([put, put, put, delete, delete, work, work, work])]
        for job in jobs:
            job.result(timeout=120)
    assert sum(store.counts().values()) == len(pool)
    other.close()


def test_the_same_new_items_in_opposite_orders(store: ItemStore, url: str, clock: Clock) -> None:
    other = SqlItemStore(url, clock=clock)
    for number in range(5):
        drafts = [draft(f"{number}-{n}") for n in range(300)]
        with ThreadPoolExecutor(2) as threads:
            jobs = [threads.submit(accept, store, *drafts), threads.submit(accept, other, *reversed(drafts))]
            given = [{answer.item_id: answer.version for answer in job.result(timeout=60)} for job in jobs]
        assert all({given[0][item_id], given[1][item_id]} == {1, 2} for item_id in given[0])
    other.close()


PUT_FOR_EVER = """
import sys
from itertools import count
from coldstart.catalog import Draft
from coldstart.catalog.store import SqlItemStore
from coldstart.entities import Item

store = SqlItemStore(sys.argv[1])
for number in count():
    store.accept([Draft(Item(f"{number}", "t"), picture=b"%d" % number)])
    print(number, flush=True)
"""


def test_a_killed_process_loses_nothing_that_it_acknowledged(url: str) -> None:
    with subprocess.Popen([sys.executable, "-c", PUT_FOR_EVER, url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline().strip() for _ in range(100)]
        process.kill()
        acknowledged += process.stdout.read().split()
    store = SqlItemStore(url)
    found = store.get_many(acknowledged)
    assert [item_id for item_id in acknowledged if item_id not in found] == []
    assert len(acknowledged) >= 100
    due = {item_id for _ in range(len(acknowledged)) for item_id in ids(claim(store, limit=1000))}
    assert due >= set(acknowledged)
    store.close()


OPEN_WHEN_TOLD = """
import sys
from coldstart.catalog import Stage
from coldstart.catalog.store import SqlItemStore
print("ready", flush=True)
sys.stdin.readline()
store = SqlItemStore(sys.argv[1])
assert store.due(Stage.ENCODE) == 0
store.close()
"""


def test_processes_may_open_a_new_database_at_once(url: str) -> None:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", OPEN_WHEN_TOLD, url]
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [(process.returncode, error) for process, error in zip(processes, errors, strict=True)] == [(0, "")] * 4


class Deployment(RuleBasedStateMachine):
    """Any interleaving of callers, workers, deaths and time, against a model of what the index holds."""

    ITEM = st.sampled_from("abcd")

    def __init__(self, url: str) -> None:
        super().__init__()
        self.clock = Clock()
        self.store = SqlItemStore(url, clock=self.clock)
        self.held: list[tuple[Stage, list[Claim]]] = []
        self.accepted: dict[str, int] = {}
        self.index: dict[str, tuple[int, bool]] = {}

    @rule(items=st.lists(ITEM, min_size=1, max_size=4), priority=st.sampled_from([0, -1]))
    def put(self, items: list[str], priority: int) -> None:
        for answer in accept(self.store, *map(draft, items), priority=priority):
            assert answer.version == self.accepted.get(answer.item_id, 0) + 1
        self.accepted |= {item_id: self.accepted.get(item_id, 0) + 1 for item_id in items}

    @rule(item=ITEM)
    def delete(self, item: str) -> None:
        if item in self.accepted:
            self.accepted[item] += 1
            assert self.store.delete(item).version == self.accepted[item]

    @rule(stage=st.sampled_from(Stage), limit=st.integers(1, 3))
    def claim(self, stage: Stage, limit: int) -> None:
        claims = claim(self.store, stage, limit=limit)
        for claimed in claims:
            assert claimed.record.version == self.accepted[claimed.record.item.item_id]
            assert claimed.attempts <= MAX_ATTEMPTS
        if claims:
            self.held.append((stage, claims))

    def let_go(self, which: int) -> tuple[Stage, list[Claim]] | None:
        return self.held.pop(which % len(self.held)) if self.held else None

    @rule(which=st.integers(0), direct=st.booleans())
    def finish(self, which: int, direct: bool) -> None:
        match self.let_go(which):
            case Stage.ENCODE, claims:
                current = encode_all(self.store, claims, lease_s=LEASE_S if direct else None)
                assert all(
                    version == self.accepted[item_id]
                    for item_id, version in versions(claims).items()
                    if item_id in current
                )
                if direct:
                    self.apply([claim for claim in claims if ids([claim])[0] in current])
            case Stage.INDEX, claims:
                self.apply(claims)

    def apply(self, claims: list[Claim]) -> None:
        for claimed in claims:
            item_id, version = claimed.record.item.item_id, claimed.record.version
            if version >= self.index.get(item_id, (0, False))[0]:
                self.index[item_id] = (version, claimed.record.status is not Status.DELETED)
        self.store.done(versions(claims))

    @rule(which=st.integers(0))
    def report_a_failure(self, which: int) -> None:
        if held := self.let_go(which):
            fail(self.store, held[1])

    @rule(which=st.integers(0))
    def die(self, which: int) -> None:
        self.let_go(which)

    @rule(seconds=st.sampled_from([1.0, 10.0, LEASE_S]))
    def pass_time(self, seconds: float) -> None:
        self.clock.tick(seconds)

    @rule(item=ITEM)
    def retry(self, item: str) -> None:
        if item in self.accepted and self.store.get(item).status is Status.DEAD:
            assert self.store.retry_dead(item).version == self.accepted[item]

    @rule()
    def restart(self) -> None:
        self.held.clear()
        for stage in Stage:
            self.store.expire_leases(stage)

    @invariant()
    def every_item_is_somewhere(self) -> None:
        assert sum(self.store.counts().values()) == len(self.accepted)

    def teardown(self) -> None:
        """Let everything finish: accepted == retrievable at the latest version + deleted + dead."""
        self.held.clear()
        self.clock.tick(LEASE_S)
        for stage in (Stage.ENCODE, Stage.INDEX):
            while claims := claim(self.store, stage):
                self.held.append((stage, claims))
                self.finish(0, False)
        for item_id, record in self.store.get_many(list(self.accepted)).items():
            assert record.version == self.accepted[item_id]
            match record.status:
                case Status.RETRIEVABLE:
                    assert self.index[item_id] == (record.version, True)
                case Status.DELETED:
                    assert self.index[item_id] == (record.version, False)
                case status:
                    assert status is Status.DEAD
        self.store.close()


def test_whatever_happens_every_item_is_retrievable_deleted_or_dead(new_url: Callable[[], str]) -> None:
    class Here(Deployment):
        def __init__(self) -> None:
            super().__init__(new_url())

    run_state_machine_as_test(
        Here,
        settings=settings(max_examples=20, stateful_step_count=40, deadline=None, database=None, derandomize=True),
    )
