from coldstart.kinds import IMPERSONAL, KINDS, OTHER, POPULAR, kind_of


def test_what_each_kind_counts_for() -> None:
    assert kind_of("click") == KINDS["click"] and kind_of("click").weight == 1.0
    assert [kind_of(name).weight for name in ("view", "click", "like", "purchase")] == [0.5, 1.0, 2.0, 4.0]
    assert kind_of("dislike").met and not kind_of("dislike").weight and "dislike" not in POPULAR
    assert not kind_of("impression").met and frozenset({"impression"}) == IMPERSONAL


def test_a_kind_of_ones_own_marks_its_item_as_met_and_no_more() -> None:
    assert kind_of("wishlisted") is OTHER
    assert OTHER.met and OTHER.personal and not (OTHER.weight or OTHER.popular or OTHER.takes_back)
