"""Each rung of the ladder answers with what its evidence says, and says which rung it was."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from coldstart.catalog import ItemStore
from coldstart.entities import Event, ExternalId
from coldstart.errors import InvalidInput, NotFound, Unavailable
from coldstart.index import Point
from coldstart.index.exact import ExactIndex
from coldstart.recommend import Recommender, Request
from coldstart.recommend.policy import Policy
from coldstart.telemetry import Telemetry
from coldstart.users import Ranker
from coldstart.users.profile import Profile, Reader
from coldstart.vectors import Vector
from tests.coldstart.recommend.toy import CLICKS, TEA, ToyUsers, click, embed, ids, make, stock


def test_a_known_user_gets_warm_and_cold_items_of_their_taste_without_what_they_have_met(shop: Recommender) -> None:
    answer = shop.recommend(Request(user_id="ann", limit=2))
    assert ids(answer) == ["darjeeling", "new-tea"]
    assert [row.cold for row in answer.rows] == [False, True]
    assert (answer.strategy, answer.adapter_version, answer.degraded) == ("history", "toy", False)
    assert answer.rows[1].reason == "new, fits the user's history"


class RankedUsers(ToyUsers):
    """Ann's ranker likes what the inner product likes least, except what is cold."""

    def ranker(self, user_id: ExternalId) -> Ranker | None:
        return (lambda scores, ids, vectors, cold: -scores - 10 * cold) if user_id == "ann" else None


def test_a_ranker_orders_more_than_is_asked_for(store: ItemStore, index: ExactIndex) -> None:
    stock(store, index)
    shop = make(store, index, users=RankedUsers())
    answer = shop.recommend(Request(user_id="ann", limit=3))
    assert set(ids(answer)[:2]) == {"ristretto", "lungo"}  # which score 0; "assam" was met
    assert ids(answer)[2] == "darjeeling" and answer.rows[2].score == pytest.approx(-2.0)
    assert answer.strategy == "history+ranked"
    assert shop.recommend(Request(preferences="tea", limit=1)).strategy == "preferences"
    assert shop.recommend(Request(user_id="ann", where={"attributes.shelf": "none"})).rows == []


def test_recent_clicks_move_a_known_user_and_are_not_shown_again(shop: Recommender, store: ItemStore) -> None:
    click(store, "ann", "ristretto", "lungo", now=time.time)
    answer = shop.recommend(Request(user_id="ann", limit=3))
    assert ids(answer)[0] == "new-coffee"
    assert answer.strategy == "history+clicks"
    assert not {"ristretto", "lungo", "assam"} & set(ids(answer))


def test_clicks_of_a_new_user_place_them(shop: Recommender, store: ItemStore) -> None:
    click(store, "bob", "lungo", now=time.time)
    answer = shop.recommend(Request(user_id="bob", limit=2))
    assert ids(answer) == ["ristretto", "new-coffee"]
    assert answer.strategy == "clicks"
    assert answer.rows[0].reason == "is close to 1 recent click"


def test_what_was_met_long_ago_moves_nobody_and_is_not_shown_again(shop: Recommender, store: ItemStore) -> None:
    click(store, "bob", "assam", *["lungo"] * 60, now=time.time)
    answer = shop.recommend(Request(user_id="bob", limit=6))
    assert answer.rows[0].reason == "is close to 1 recent click"
    assert not {"assam", "lungo"} & set(ids(answer))


DAY = 86_400.0


def report(store: ItemStore, user_id: str, *events: tuple[str, str, float]) -> None:
    """Items, kinds and how many days ago."""
    store.record_events(
        [
            Event(f"{user_id}-{n}", user_id, item, time.time() - days * DAY, kind)
            for n, (item, kind, days) in enumerate(events)
        ]
    )


def test_the_same_clicks_in_another_order_make_another_list(shop: Recommender, store: ItemStore) -> None:
    report(store, "bob", ("darjeeling", "click", 60), ("lungo", "click", 0))
    report(store, "eve", ("darjeeling", "click", 0), ("lungo", "click", 60))
    assert ids(shop.recommend(Request(user_id="bob", limit=2))) == ["ristretto", "new-coffee"]
    assert ids(shop.recommend(Request(user_id="eve", limit=2))) == ["assam", "new-tea"]


def test_old_clicks_move_a_known_user_less(shop: Recommender, store: ItemStore) -> None:
    report(store, "ann", ("ristretto", "click", 300), ("lungo", "click", 300))
    assert ids(shop.recommend(Request(user_id="ann", limit=2))) == ["darjeeling", "new-tea"]


def test_a_purchase_says_more_than_a_view(shop: Recommender, store: ItemStore) -> None:
    report(store, "bob", ("darjeeling", "view", 0), ("lungo", "purchase", 1))
    assert ids(shop.recommend(Request(user_id="bob", limit=1))) == ["ristretto"]


def test_what_is_disliked_is_met_and_no_longer_moves(shop: Recommender, store: ItemStore) -> None:
    report(store, "bob", ("lungo", "click", 2), ("darjeeling", "click", 3), ("lungo", "dislike", 1))
    answer = shop.recommend(Request(user_id="bob", limit=6))
    assert ids(answer)[0] == "assam" and "lungo" not in ids(answer)
    assert answer.rows[0].reason == "is close to 1 recent click"


def test_what_was_only_shown_may_be_shown_again(shop: Recommender, store: ItemStore) -> None:
    report(store, "bob", ("assam", "impression", 0), ("ristretto", "wishlisted", 0))
    answer = shop.recommend(Request(user_id="bob", limit=6))
    assert answer.strategy == "popular" and ids(answer)[0] == "assam" and "ristretto" not in ids(answer)


def test_clicked_items_of_the_request_count_and_unknown_ones_are_named(shop: Recommender) -> None:
    answer = shop.recommend(Request(clicked=("lungo", "no-such-item", "ristretto"), limit=1))
    assert ids(answer) == ["new-coffee"]
    assert answer.ignored == ("no-such-item",)
    assert answer.rows[0].reason == "new, is close to 2 recent clicks"


def test_a_sentence_is_a_query(shop: Recommender) -> None:
    answer = shop.recommend(Request(preferences="strong coffee", limit=3))
    assert ids(answer) == ["ristretto", "lungo", "new-coffee"]
    assert answer.strategy == "preferences"


def test_clicks_and_a_sentence_have_the_same_say(shop: Recommender) -> None:
    answer = shop.recommend(Request(clicked=("assam",), preferences="coffee", limit=6))
    assert answer.strategy == "clicks+preferences"
    scores = {row.item_id: row.score for row in answer.rows}
    assert scores["lungo"] == pytest.approx(scores["darjeeling"])


def test_nobody_in_particular_gets_what_is_popular_with_every_fourth_place_for_an_arrival(shop: Recommender) -> None:
    answer = shop.recommend(Request(limit=5))
    assert ids(answer) == ["assam", "lungo", "darjeeling", "new-coffee", "ristretto"]
    assert answer.strategy == "popular"
    assert answer.rows[0].reason == "popular: 10 clicks"
    assert answer.rows[3].reason == "new, just arrived"


def test_reported_clicks_make_popular(store: ItemStore, index: ExactIndex) -> None:
    stock(store, index)
    events = [Event(f"e{n}", f"u{n}", "new-tea", time.time()) for n in range(11)]
    store.record_events(events)
    assert ids(make(store, index).recommend(Request(limit=1))) == ["new-tea"]


def test_an_unknown_user_falls_to_the_shelf(shop: Recommender) -> None:
    assert shop.recommend(Request(user_id="nobody", limit=1)).strategy == "popular"


def test_clicks_on_nothing_retrievable_fall_to_the_shelf_and_are_named(shop: Recommender) -> None:
    answer = shop.recommend(Request(clicked=("gone",), limit=1))
    assert (answer.strategy, answer.ignored) == ("popular", ("gone",))


@pytest.mark.parametrize("request_", [Request(limit=3), Request(preferences="tea", limit=3)], ids=["shelf", "query"])
def test_filter_and_exclusion_hold_on_every_rung(shop: Recommender, request_: Request) -> None:
    narrowed = Request(preferences=request_.preferences, limit=3, where={"attributes.shelf": "a"}, exclude=("assam",))
    assert set(ids(shop.recommend(narrowed))) == {"new-tea", "ristretto"}


def test_a_shelf_that_does_not_reach_is_filled_with_what_is_near_its_favourites(
    store: ItemStore, index: ExactIndex
) -> None:
    stock(store, index)
    only_assam = make(store, index, trained_clicks={"assam": 10})
    answer = only_assam.recommend(Request(limit=3, where={"cold": False}))
    assert ids(answer) == ["assam", "darjeeling", "ristretto"]
    assert answer.rows[1].reason == "is close to what is popular"


def test_an_empty_shop_answers_with_an_empty_list(store: ItemStore, index: ExactIndex) -> None:
    assert make(store, index, trained_clicks={}).recommend(Request(limit=3)).rows == []


def test_a_sentence_that_cannot_be_encoded_now_leaves_the_other_evidence(store: ItemStore, index: ExactIndex) -> None:
    def overloaded(sentence: str) -> Vector:
        raise Unavailable("too many sentences wait")

    stock(store, index)
    answer = make(store, index, encode_preferences=overloaded).recommend(
        Request(user_id="ann", preferences="coffee", limit=1)
    )
    assert (ids(answer), answer.strategy, answer.degraded) == (["darjeeling"], "history", True)


def test_a_query_that_is_not_finite_is_refused(store: ItemStore, index: ExactIndex) -> None:
    stock(store, index)
    broken = make(store, index, encode_preferences=lambda _: np.array([np.nan, 1], dtype=np.float32))
    with pytest.raises(InvalidInput, match="query"):
        broken.recommend(Request(preferences="tea"))


def test_similar_ranks_by_direction_and_leaves_the_item_out(shop: Recommender) -> None:
    rows = shop.similar("new-tea", 2)
    assert {row.item_id for row in rows} == {"assam", "darjeeling"}
    assert [row.score for row in rows] == pytest.approx([1.0, 1.0])


def test_similar_to_what_is_not_retrievable_is_an_error_that_names_it(shop: Recommender) -> None:
    with pytest.raises(NotFound, match="no-such-item"):
        shop.similar("no-such-item", 3)


def test_the_shelf_is_made_once_in_a_while(store: ItemStore, index: ExactIndex) -> None:
    from coldstart.recommend.shelf import KEEP_S, ShelfKeeper

    stock(store, index)
    now = [0.0]
    keeper = ShelfKeeper(store, index, CLICKS, clock=lambda: now[0])
    first = keeper.shelf()
    index.delete({"assam": 9})
    assert keeper.shelf() is first
    now[0] = KEEP_S
    assert "assam" not in [hit.item_id for hit in keeper.shelf().hits]


def said(**what: Any) -> Callable[[ExternalId], Reader]:
    """Everybody says this of themselves."""
    return lambda user_id: Reader(user_id, Profile(**what))


def test_liked_items_count_like_clicks_and_are_not_shown_again(store: ItemStore, index: ExactIndex) -> None:
    stock(store, index)
    shop = make(store, index, reader_of=said(liked=("ristretto", "no-such-item")))
    answer = shop.recommend(Request(user_id="bob", limit=2))
    assert (ids(answer), answer.strategy, answer.ignored) == (["lungo", "new-coffee"], "likes", ())
    assert answer.rows[0].reason == "is close to 1 liked item"
    click(store, "bob", "assam", "ristretto", now=time.time)
    answer = shop.recommend(Request(user_id="bob", limit=6))
    assert answer.strategy == "clicks" and not {"ristretto", "assam"} & set(ids(answer))
    shop = make(store, index, reader_of=said(liked=("lungo",)))
    answer = shop.recommend(Request(user_id="ann", limit=1))
    assert (ids(answer), answer.strategy) == (["ristretto"], "history+likes")
    assert answer.rows[0].reason == "fits the user's history and is close to 1 liked item"


@pytest.mark.parametrize("user_id", ["ann", "nobody"])
def test_disliked_items_are_not_shown_and_move_nobody(store: ItemStore, index: ExactIndex, user_id: str) -> None:
    stock(store, index)
    before = make(store, index).recommend(Request(user_id=user_id, limit=6))
    after = make(store, index, reader_of=said(disliked=("lungo",))).recommend(Request(user_id=user_id, limit=6))
    assert after.rows == [row for row in before.rows if row.item_id != "lungo"]
    assert after.strategy == before.strategy


def test_a_stored_sentence_is_a_query_that_nobody_encodes_again(store: ItemStore, index: ExactIndex) -> None:
    encoded: list[str] = []
    stock(store, index)
    coffee = said(preferences="coffee", embedding=embed("coffee"))
    shop = make(store, index, reader_of=coffee, encode_preferences=lambda words: encoded.append(words) or embed(words))
    answer = shop.recommend(Request(user_id="bob", limit=1))
    assert (ids(answer), answer.strategy, encoded) == (["ristretto"], "preferences", [])
    # What the request says takes its place.
    assert ids(shop.recommend(Request(user_id="bob", preferences="tea", limit=1))) == ["assam"]
    assert encoded == ["tea"]


def test_a_stored_sentence_without_an_embedding_is_encoded(store: ItemStore, index: ExactIndex) -> None:
    stock(store, index)
    answer = make(store, index, reader_of=said(preferences="coffee")).recommend(Request(user_id="bob", limit=1))
    assert (ids(answer), answer.strategy) == (["ristretto"], "preferences")


def test_an_alias_gets_the_list_of_the_account(store: ItemStore, index: ExactIndex) -> None:
    stock(store, index)
    shop = make(store, index, users=RankedUsers(), reader_of=lambda _: Reader("ann"))
    click(store, "ann", "lungo", now=time.time)
    answer = shop.recommend(Request(user_id="ann-before-login", limit=6))
    assert answer.strategy == "history+clicks+ranked"
    assert not {"assam", "lungo"} & set(ids(answer))


def test_of_somebody_erased_the_backbone_is_not_asked(store: ItemStore, index: ExactIndex) -> None:
    stock(store, index)
    shop = make(store, index, users=RankedUsers(), reader_of=lambda _: Reader("ann", erased=True))
    answer = shop.recommend(Request(user_id="ann", limit=2))
    assert (ids(answer), answer.strategy) == (["assam", "lungo"], "popular")
    click(store, "ann", "lungo", now=time.time)
    answer = shop.recommend(Request(user_id="ann", limit=1))
    assert (ids(answer), answer.strategy) == (["ristretto"], "clicks")


def test_a_reader_of_whom_the_store_tells_nothing_gets_a_degraded_list(store: ItemStore, index: ExactIndex) -> None:
    stock(store, index)
    asked = Away(store)
    shop = make(asked, index, reader_of=lambda user_id: Reader(user_id, degraded=True))  # type: ignore[arg-type]
    shop.recommend(Request())  # makes the shelf
    asked.away = True
    answer = shop.recommend(Request(user_id="ann", limit=1))
    assert (ids(answer), answer.strategy, answer.degraded) == (["darjeeling"], "history", True)


def test_lists_are_counted_by_strategy(store: ItemStore, index: ExactIndex) -> None:
    stock(store, index)
    telemetry = Telemetry()
    make(store, index, telemetry=telemetry).recommend(Request(limit=1))
    assert b'coldstart_recommendations_total{strategy="popular"} 1.0' in telemetry.exposition()


class Away:
    """A store or an index, every method of which fails while it is away."""

    def __init__(self, there: object) -> None:
        self.there, self.away = there, False

    def __getattr__(self, name: str) -> object:
        if self.away and name != "dim":
            raise Unavailable("gone fishing", subject="toy")
        return getattr(self.there, name)


@pytest.mark.parametrize("request_", [Request(user_id="ann"), Request(clicked=("lungo",)), Request(limit=3)])
def test_without_the_index_the_last_shelf_answers(store: ItemStore, index: ExactIndex, request_: Request) -> None:
    stock(store, index)
    hurt = Away(index)
    shop = make(store, hurt)  # type: ignore[arg-type]
    shelf = ids(shop.recommend(Request()))
    hurt.away = True
    answer = shop.recommend(request_)
    unwanted = {"assam"} if request_.user_id else set(request_.clicked)
    assert ids(answer) == [item_id for item_id in shelf if item_id not in unwanted][: request_.limit]
    assert answer.strategy == "popular"
    assert answer.degraded or request_.limit == 3  # the shelf alone was enough for the last


@pytest.mark.parametrize("request_", [Request(user_id="ann"), Request()])
def test_without_the_index_and_without_a_shelf_the_error_says_so(
    store: ItemStore, index: ExactIndex, request_: Request
) -> None:
    stock(store, index)
    hurt = Away(index)
    hurt.away = True
    with pytest.raises(Unavailable, match="gone fishing"):
        make(store, hurt).recommend(request_)  # type: ignore[arg-type]


def test_without_the_store_a_list_is_made_from_training_alone(
    store: ItemStore, index: ExactIndex, caplog: pytest.LogCaptureFixture
) -> None:
    stock(store, index)
    hurt = Away(store)
    hurt.away = True
    shop = make(hurt, index)  # type: ignore[arg-type]
    answer = shop.recommend(Request(limit=2))
    assert (ids(answer), answer.strategy, answer.degraded) == (["assam", "lungo"], "popular", True)
    answer = shop.recommend(Request(user_id="ann", limit=2))
    assert (ids(answer), answer.strategy, answer.degraded) == (["darjeeling", "new-tea"], "history", True)
    assert len(caplog.records) == 2 and "ann" not in [v for line in caplog.records for v in line.__dict__.values()]


def test_evidence_names_the_clicked_item_that_is_nearest_and_what_a_cold_item_was_made_of(
    store: ItemStore, index: ExactIndex
) -> None:
    stock(store, index)
    new = Point("oolong", 1, np.array([3.0, 1.5], np.float32), {"cold": True, "gates": {"text": 0.2, "image": 0.6}})
    index.upsert([new])
    shop = make(store, index)
    rows = shop.recommend(Request(clicked=("assam", "lungo"), limit=4)).rows
    by_id = {row.item_id: row for row in rows}
    assert by_id["oolong"].nearest == "assam" and by_id["oolong"].gates == {"text": 0.2, "image": 0.6}
    assert by_id["oolong"].likeness == pytest.approx(1 / np.sqrt(1.25))
    assert by_id["ristretto"].nearest == "lungo" and by_id["ristretto"].gates == {}
    assert all(row.nearest is None for row in shop.recommend(Request(user_id="ann")).rows)
    assert all(row.nearest is None for row in shop.recommend(Request(clicked=("assam",), explain=False)).rows)


def test_what_is_not_yet_or_no_longer_available_is_on_no_rung(store: ItemStore, index: ExactIndex) -> None:
    stock(store, index)
    later = Point("darjeeling", 2, 2 * TEA, {"cold": False, "published_at": 100.0})
    over = Point("new-tea", 2, 1.5 * TEA, {"cold": True, "expires_at": 50.0})
    index.upsert([later, over])
    now = [60.0]
    shop = make(store, index, clock=lambda: now[0])
    for request in (Request(user_id="ann"), Request(), Request(preferences="tea")):
        assert not {"darjeeling", "new-tea"} & set(ids(shop.recommend(request)))
        now[0] = 100.0
        assert {"darjeeling", "new-tea"} & set(ids(shop.recommend(request))) == {"darjeeling"}
        now[0] = 49.0
        assert {"darjeeling", "new-tea"} & set(ids(shop.recommend(request))) == {"new-tea"}
        now[0] = 60.0


def test_without_the_adapter_the_backbone_ranks_what_it_knows(shop: Recommender) -> None:
    alone = Policy(adapter=False)
    answer = shop.recommend(Request(user_id="ann", preferences="coffee", policy=alone))
    assert (answer.strategy, ids(answer)[0]) == ("history", "darjeeling")
    assert not any(row.cold for row in answer.rows) and answer.rows[-1].score == 0.0
    assert not any(row.cold for row in shop.recommend(Request(policy=alone)).rows)
    only_new = Request(user_id="ann", where={"cold": True}, policy=alone)
    assert shop.recommend(only_new).rows == []


def test_every_list_has_a_name_of_its_own(shop: Recommender) -> None:
    assert len({shop.recommend(Request(user_id="ann")).list_id for _ in range(5)}) == 5


def test_without_the_adapter_clicks_on_cold_items_say_nothing(shop: Recommender) -> None:
    answer = shop.recommend(Request(clicked=("new-tea",), policy=Policy(adapter=False)))
    assert (answer.strategy, answer.ignored) == ("popular", ("new-tea",))
