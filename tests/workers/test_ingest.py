"""From accepted to retrievable, and what bad items do to their neighbours: nothing."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from coldstart.catalog import Draft, ItemStore, Stage, Status
from coldstart.encoders.fetch import Fetcher
from coldstart.entities import Attributes, Item
from coldstart.errors import Unavailable
from coldstart.index import Point, VectorIndex
from coldstart.vectors import Mask, Matrix
from tests.workers.conftest import Works
from tests.workers.toy import MeanColour, Served, SideBySide, WordCounter, draft, picture, wait_until
from workers.ahead import Ahead
from workers.models import Models

NOT_FINITE = "bad: the vector holds NaN or an infinite number. Check the encoder or the import"


def drain(works: Works) -> None:
    while works.ingestor.encode_due() + works.ingestor.apply_due():
        pass


def test_an_accepted_item_is_retrievable_by_text_and_picture(works: Works) -> None:
    works.store.accept([Draft(Item("a", "Tea", attributes={"shelf": "top"}), picture=picture("red"))])
    assert works.ingestor.encode_due() == 1
    record = works.store.get("a")
    assert record.status is Status.RETRIEVABLE
    assert record.modalities == ("text", "image")
    assert record.gates == {"text": 0.5, "image": 0.5}
    assert (record.cold, record.adapter_version, record.picture_error) == (True, "toy", None)
    point = works.index.fetch(["a"])["a"]
    assert point.vector.tolist() == [1, 0, 1, 0, 0]
    accepted_at = pytest.approx(record.accepted_at, rel=0, abs=1e-5)  # the index rounds the last digit
    gates = {"text": 0.5, "image": 0.5}
    assert point.payload == {
        "cold": True, "attributes": {"shelf": "top"}, "accepted_at": accepted_at, "gates": gates
    }  # fmt: skip


def test_the_index_is_told_when_lists_may_show_an_item(works: Works) -> None:
    works.store.accept([Draft(Item("a", "Tea", published_at=5.0, expires_at=9.0))])
    works.ingestor.encode_due()
    payload = works.index.fetch(["a"])["a"].payload
    assert (payload["published_at"], payload["expires_at"]) == (5.0, 9.0)


def test_steps_follow_each_other_in_time(works: Works) -> None:
    works.store.accept([draft("a")])
    works.ingestor.encode_due()
    r = works.store.get("a")
    times = [r.accepted_at, r.claimed_at, r.encoded_at, r.retrievable_at]
    assert times == sorted(times, key=lambda at: float(at or "nan"))


def test_texts_of_a_batch_are_encoded_together(works: Works) -> None:
    works.store.accept([draft("a", "Tea"), draft("b", "Coffee"), draft("c", "Cake")])
    works.ingestor.encode_due()
    assert sorted(works.words.batches[0]) == ["Cake", "Coffee", "Tea"]
    assert len(works.words.batches) == 1


def test_nothing_due_is_nothing_done(works: Works) -> None:
    assert works.ingestor.encode_due() == 0
    assert works.ingestor.apply_due() == 0


@pytest.mark.parametrize(
    ("image", "says"),
    [(b"not a picture", "not a picture"), (picture()[:60], "cannot be decoded"), (picture(size=1200), "pixels")],
    ids=["no picture", "cut off", "too large"],
)
def test_a_broken_picture_leaves_the_item_to_its_text_and_says_so(works: Works, image: bytes, says: str) -> None:
    works.store.accept([draft("broken", "Tea", image=image), draft("whole", "Tea", image=picture("blue"))])
    works.ingestor.encode_due()
    broken, whole = works.store.get("broken"), works.store.get("whole")
    assert broken.status is whole.status is Status.RETRIEVABLE
    assert broken.modalities == ("text",)
    assert broken.picture_error is not None
    assert says in broken.picture_error
    assert whole.picture_error is None
    assert works.index.fetch(["broken"])["broken"].vector.tolist() == [1, 0, 0, 0, 0]


@pytest.mark.parametrize("image", ["/etc/hostname", "http://127.0.0.1/x.png", "file:///etc/hostname"])
def test_pictures_of_this_host_and_its_network_are_not_read(works: Works, image: str) -> None:
    works.store.accept([Draft(Item("a", "Tea", image=image))])
    works.ingestor.encode_due()
    record = works.store.get("a")
    assert record.status is Status.RETRIEVABLE
    assert record.picture_error


def test_an_item_with_nothing_to_encode_is_dead_with_the_reason(build: Callable[..., Works]) -> None:
    works = build(max_attempts=1)
    works.store.accept([draft("empty", "", image=b"junk"), draft("a")])
    works.ingestor.encode_due()
    empty = works.store.get("empty")
    assert empty.status is Status.DEAD
    assert empty.error is not None
    assert "neither a text nor a usable picture" in empty.error
    assert "not a picture" in empty.error
    assert works.store.get("a").status is Status.RETRIEVABLE


def test_an_item_with_nothing_that_the_adapter_knows_how_to_read_is_dead_with_the_reason(
    build: Callable[..., Works],
) -> None:
    class Reader(SideBySide):
        """Trained on texts alone."""

        def serve(
            self,
            item_ids: Sequence[str],
            text: Matrix,
            image: Matrix,
            present: Mask,
            attributes: Sequence[Attributes] | None = None,
        ) -> Served:
            return super().serve(item_ids, text, 0 * image, present & [True, False])

    works = build(max_attempts=1, adapter=Reader())
    works.store.accept([draft("poster", "", image=picture()), draft("film", image=picture())])
    works.ingestor.encode_due()
    assert works.store.get("film").status is Status.RETRIEVABLE
    poster = works.store.get("poster")
    assert poster.status is Status.DEAD
    assert "adapter was not trained on pictures" in str(poster.error)


def test_an_item_that_the_backbone_knows_needs_no_content(works: Works) -> None:
    """Its frozen vector says more than any text could."""
    works.store.accept([draft("warm", ""), draft("a")])
    works.ingestor.encode_due()
    warm = works.store.get("warm")
    assert (warm.status, warm.cold, warm.modalities) == (Status.RETRIEVABLE, False, ())


@pytest.mark.parametrize(
    "title",
    ["poison", "tea " * 7, "tea " * 8],
    ids=["encoder raises", "vector is not finite", "embedding is too large to be stored"],
)
def test_one_bad_item_harms_no_neighbour(build: Callable[..., Works], title: str) -> None:
    works = build(max_attempts=1)
    works.store.accept([draft(f"good-{n}") for n in range(6)] + [draft("bad", title)])
    works.ingestor.encode_due()
    assert works.store.counts()[Status.RETRIEVABLE] == 6
    assert works.store.get("bad").status is Status.DEAD
    assert works.store.get("bad").error in ("RuntimeError: the tokeniser choked", NOT_FINITE)
    assert works.index.count() == 6


def test_a_picture_that_fails_in_an_unforeseen_way_is_a_remark(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(_: Fetcher, url: str) -> bytes:
        raise RuntimeError(f"the library choked on {url}")

    monkeypatch.setattr(Fetcher, "fetch", fetch)
    works.store.accept([Draft(Item("odd", "Tea", image="https://pictures.example/1.png")), draft("a")])
    works.ingestor.encode_due()
    assert works.store.get("a").status is works.store.get("odd").status is Status.RETRIEVABLE
    assert works.store.get("odd").picture_error == "RuntimeError: the library choked on https://pictures.example/1.png"


def test_a_failed_item_is_tried_again_after_a_pause(works: Works) -> None:
    works.store.accept([draft("bad", "poison")])
    works.ingestor.encode_due()
    record = works.store.get("bad")
    assert record.status is Status.PENDING
    assert record.error == "RuntimeError: the tokeniser choked"
    assert works.store.due(Stage.ENCODE) == 0


def test_models_that_cannot_be_opened_cost_no_attempt(build: Callable[..., Works]) -> None:
    def missing() -> WordCounter:
        raise Unavailable("the weights are not there")

    works = build(open_text=missing, max_attempts=1)
    works.store.accept([draft("a")])
    with pytest.raises(Unavailable, match="weights"):
        works.ingestor.encode_due()
    assert works.store.get("a").attempts == 0
    assert works.store.due(Stage.ENCODE) == 1


class Interrupted:
    """An index in front of which something happens at the first write."""

    def __init__(self, index: VectorIndex, first: Callable[[], object]) -> None:
        self._index, self._first = index, [first]

    def upsert(self, points: Sequence[Point]) -> None:
        if self._first:
            self._first.pop()()
        self._index.upsert(points)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)


def test_an_index_that_is_away_kills_no_item(build: Callable[..., Works], index: VectorIndex) -> None:
    def away() -> None:
        raise Unavailable("the index does not answer")

    works = build(max_attempts=1, index=Interrupted(index, away))
    works.store.accept([draft("a"), draft("b")])
    works.ingestor.encode_due()
    record = works.store.get("a")
    assert record.status is Status.PENDING
    assert (record.error, record.attempts) == ("the index does not answer", 0)


def test_an_update_that_arrives_while_the_item_is_encoded_wins(works: Works) -> None:
    encode = works.words.encode
    late = [lambda: works.store.accept([draft("a", "Coffee")])]

    def slow(batch: Sequence[str]) -> Any:
        if late:
            late.pop()()
        return encode(batch)

    works.words.encode = slow  # type: ignore[method-assign]
    works.store.accept([draft("a", "Tea")])
    works.ingestor.encode_due()
    assert works.store.get("a").status is Status.PENDING
    assert works.index.count() == 0
    drain(works)
    assert works.store.get("a").version == 2
    assert works.index.fetch(["a"])["a"].vector[:2].tolist() == [0, 1]


def test_an_update_that_arrives_while_the_index_is_written_wins(
    build: Callable[..., Works], index: VectorIndex, store: ItemStore
) -> None:
    works = build(index=Interrupted(index, lambda: store.accept([draft("a", "Coffee")])))
    store.accept([draft("a", "Tea")])
    works.ingestor.encode_due()
    assert store.get("a").status is Status.PENDING
    drain(works)
    assert index.fetch(["a"])["a"].vector[:2].tolist() == [0, 1]
    assert index.count() == 1


def test_a_deleted_item_leaves_the_index(works: Works) -> None:
    works.store.accept([draft("a"), draft("b")])
    works.ingestor.encode_due()
    works.store.delete("a")
    assert works.ingestor.apply_due() == 1
    assert works.store.get("a").status is Status.DELETED
    assert list(works.index.fetch(["a", "b"])) == ["b"]


def test_a_delete_while_the_index_is_written_wins(
    build: Callable[..., Works], index: VectorIndex, store: ItemStore
) -> None:
    works = build(index=Interrupted(index, lambda: store.delete("a")))
    store.accept([draft("a")])
    drain(works)
    assert store.get("a").status is Status.DELETED
    assert index.count() == 0


def test_without_the_index_encoded_items_are_passed_on(build: Callable[..., Works]) -> None:
    encoding, applying = build(index=None), build()
    encoding.store.accept([draft("a"), draft("b")])
    assert encoding.ingestor.encode_due() == 2
    assert applying.index.count() == 0
    assert applying.store.due(Stage.INDEX) == 2
    assert applying.ingestor.apply_due() == 2
    assert applying.store.get("a").status is Status.RETRIEVABLE
    assert applying.index.fetch(["a"])["a"].payload["cold"] is True
    assert applying.words.batches == []


def test_a_vector_of_another_adapter_is_never_written_but_encoded_again(build: Callable[..., Works]) -> None:
    """Of a worker that was not restarted with the service; the two spaces may well have the same width."""
    former, present = build(index=None, adapter=SideBySide("former")), build()
    former.store.accept([draft("a"), draft("gone")])
    former.ingestor.encode_due()
    former.store.delete("gone")
    assert present.ingestor.apply_due() == 2
    assert present.index.count() == 0
    assert (present.store.get("a").status, present.store.get("gone").status) == (Status.PENDING, Status.DELETED)
    drain(present)
    assert (present.store.get("a").status, present.store.get("a").adapter_version) == (Status.RETRIEVABLE, "toy")
    assert present.index.count() == 1


def test_two_ingestors_share_the_work_without_doing_it_twice(build: Callable[..., Works]) -> None:
    one, other = build(batch=2), build(batch=2)
    one.store.accept([draft(f"i{n}") for n in range(40)])
    threads = [threading.Thread(target=drain, args=[works]) for works in (one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    encoded = [text for works in (one, other) for batch in works.words.batches for text in batch]
    assert len(encoded) == 40
    assert one.index.count() == 40


def test_metrics_tell_what_happened(build: Callable[..., Works]) -> None:
    works = build(max_attempts=1)
    works.store.accept([draft("a", image=b"junk"), draft("bad", "poison")])
    works.ingestor.encode_due()
    text = works.telemetry.exposition().decode()
    assert 'coldstart_items_total{outcome="retrievable"} 1.0' in text
    assert 'coldstart_items_total{outcome="failed"} 1.0' in text
    assert "coldstart_picture_errors_total 1.0" in text
    assert "coldstart_time_to_recommendable_seconds_count 1.0" in text
    assert 'coldstart_batch_items_sum{stage="encode"} 2.0' in text


def test_the_served_vector_is_what_a_query_finds(works: Works) -> None:
    works.store.accept([draft("tea", "Tea"), draft("coffee", "Coffee coffee")])
    works.ingestor.encode_due()
    hits = works.index.query(np.array([[0, 1, 0, 0, 0]], dtype=np.float32), 1)[0]
    assert [(hit.item_id, hit.score) for hit in hits] == [("coffee", 2.0)]


class Paused(WordCounter):
    """Takes as long for a batch as the test likes."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = threading.Semaphore(0), threading.Semaphore(0)

    def encode(self, batch: Sequence[str]) -> Matrix:
        self.begun.release()
        assert self.go_on.acquire(timeout=20)
        return super().encode(batch)


def status(works: Works, *item_ids: str) -> list[str]:
    return [works.store.get(item_id).status.value for item_id in item_ids]


def test_in_a_backlog_the_next_batch_is_claimed_while_this_one_is_encoded(build: Callable[..., Works]) -> None:
    paused = Paused()
    works = build(lambda: paused, batch=2)
    works.store.accept([draft(f"{n}") for n in range(6)])
    worker = threading.Thread(target=drain, args=[works])
    worker.start()
    assert paused.begun.acquire(timeout=20)
    wait_until(lambda: status(works, "0", "2", "4") == ["encoding", "encoding", "pending"], what="two batches claimed")
    paused.go_on.release()
    assert paused.begun.acquire(timeout=20)
    wait_until(lambda: status(works, "0", "2", "4") == ["retrievable", "encoding", "encoding"], what="the third")
    paused.go_on.release(2)
    worker.join(20)
    assert set(status(works, *map(str, range(6)))) == {"retrievable"}


def test_a_lone_item_is_retrievable_when_its_step_is_over(works: Works) -> None:
    works.store.accept([draft("a")])
    assert works.ingestor.encode_due() == 1
    assert status(works, "a") == ["retrievable"]


def test_what_was_claimed_ahead_is_given_back_at_the_end(build: Callable[..., Works]) -> None:
    ahead = Ahead()
    works = build(batch=2, ahead=ahead)
    works.store.accept([draft(f"{n}") for n in range(5)])
    assert works.ingestor.encode_due() == 2
    ahead.give_back(works.store)
    ahead.give_back(works.store)
    assert status(works, "0", "1", "2", "3", "4") == ["retrievable", "retrievable", "pending", "pending", "pending"]
    again = works.store.claim(Stage.ENCODE, limit=9, lease_s=60, max_attempts=3)
    assert [(each.record.item.item_id, each.attempts) for each in again] == [("2", 1), ("3", 1), ("4", 1)]


def test_what_was_claimed_ahead_too_long_ago_is_left_to_others(build: Callable[..., Works]) -> None:
    now = [0.0]
    works = build(batch=2, clock=lambda: now[0], lease_s=0.2)
    works.store.accept([draft(f"{n}") for n in range(4)])
    assert works.ingestor.encode_due() == 2
    wait_until(lambda: status(works, "2") == ["encoding"], what="the claim ahead")
    wait_until(lambda: works.store.due(Stage.ENCODE) == 2, what="the end of its lease")
    now[0] = 1.0
    assert works.ingestor.encode_due() == 1  # lost by somebody, so alone
    assert works.store.get("2").status is Status.RETRIEVABLE


def test_sentences_that_wait_are_encoded_together() -> None:
    paused = Paused()
    models = Models(lambda: paused, MeanColour)
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(models.embed_sentence, "Tea")
        assert paused.begun.acquire(timeout=20)
        others = [pool.submit(models.embed_sentence, "Coffee " * n) for n in range(1, 5)]
        wait_until(lambda: models.waiting == 4, what="the others")
        paused.go_on.release(2)
        assert [first.result(20).tolist(), *(each.result(20).tolist() for each in others)] == [
            [1, 0], [0, 1], [0, 2], [0, 3], [0, 4]
        ]  # fmt: skip
    assert sorted(map(len, paused.batches)) == [1, 4]


def test_a_sentence_that_cannot_be_encoded_says_so_to_each_who_waits() -> None:
    models = Models(WordCounter, MeanColour)
    with pytest.raises(RuntimeError, match="choked"):
        models.embed_sentence("poison")
    assert models.embed_sentence("tea").tolist() == [1, 0]


def test_background_work_is_taken_a_few_at_a_time(works: Works) -> None:
    """Whatever is posted waits for so much of it at most, and is not encoded together with it."""
    works.store.accept([draft(f"b{n}", "tea") for n in range(20)], priority=-1)
    assert works.ingestor.encode_due() == 4
    works.store.accept([draft("posted", "coffee")])
    assert works.ingestor.encode_due() == 1
    assert works.words.batches[-1] == ["coffee"]
