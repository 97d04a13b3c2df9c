import numpy as np
import pytest

from coldstart.experiments.design import Metric
from coldstart.experiments.exposure import Exposure, Outcome
from coldstart.experiments.metrics import Floats, Log, Measured, UnitFigures, met
from tests.coldstart.experiments.toy import BEGIN, DAY, shown

LISTS = [
    shown("ann", "abc", at=BEGIN, cold=(True, False, False)),
    shown("bob", "abc", at=BEGIN + 10, arm="new"),
    shown("ann", "bcd", at=BEGIN + 100, cold=(False, False, True)),
]


def events(*told: tuple[str, str, float], kind: str = "click") -> list[Outcome]:
    return [Outcome(unit, item, kind, BEGIN + after) for unit, item, after in told]


def log_of(outcomes: list[Outcome], lists: list[Exposure] = LISTS) -> Log:
    return Log.of(lists, outcomes, ("old", "new"))


def figures(metric: str, outcomes: list[Outcome], *, attribution_s: float = DAY, until: float = np.inf) -> UnitFigures:
    return Measured.of(log_of(outcomes), Metric.parse(metric), attribution_s=attribution_s).until(until)


def places(outcomes: list[Outcome], *, attribution_s: float = DAY) -> Floats:
    return met(log_of(outcomes), "click", attribution_s=attribution_s) - BEGIN


def test_a_click_counts_for_the_last_list_that_showed_the_item() -> None:
    found = places(events(("ann", "a", 50), ("ann", "b", 150), ("bob", "c", 11)))
    assert np.flatnonzero(np.isfinite(found)).tolist() == [0, 5, 6]  # ann's a; bob's c; b in ann's second list
    assert found[[0, 5, 6]].tolist() == [50, 11, 150]


def test_clicks_on_what_was_not_shown_or_not_yet_or_to_another_count_for_nothing() -> None:
    outcomes = events(("ann", "z", 50), ("ann", "d", 50), ("bob", "d", 150), ("eve", "a", 50), ("ann", "a", -1))
    assert not np.isfinite(places(outcomes)).any()


def test_a_click_counts_within_the_attribution_window_and_at_the_moment_of_the_list() -> None:
    outcomes = events(("ann", "a", 50), ("bob", "a", 10), ("bob", "b", 60.5))
    assert np.flatnonzero(np.isfinite(places(outcomes, attribution_s=50))).tolist() == [0, 3]


def test_a_repeated_click_counts_once_and_its_first_time_is_kept() -> None:
    found = places(events(("ann", "a", 70), ("ann", "a", 20), ("ann", "a", 90)))
    assert np.isfinite(found).sum() == 1 and found[0] == 20


def test_click_through_is_clicks_of_places_a_unit() -> None:
    found = figures("click_through", events(("ann", "a", 50), ("ann", "b", 150), ("bob", "c", 11)))
    assert found.numerator.tolist() == [2, 1] and found.denominator.tolist() == [6, 3]
    assert found.arm.tolist() == [0, 1] and found.first.tolist() == [BEGIN, BEGIN + 10]
    assert found.of_arm(1).numerator.tolist() == [1]


def test_clicks_are_a_unit() -> None:
    found = figures("clicks", events(("ann", "a", 50), ("ann", "b", 150)))
    assert found.numerator.tolist() == [2, 0] and found.denominator.tolist() == [1, 1]


def test_conversions_are_of_their_kind_alone() -> None:
    outcomes = events(("ann", "a", 50)) + events(("bob", "a", 50), ("bob", "b", 50), kind="purchase")
    assert figures("conversions:purchase", outcomes).numerator.tolist() == [0, 2]
    assert figures("conversions:return", outcomes).numerator.tolist() == [0, 0]


def test_cold_share_needs_no_event() -> None:
    found = figures("cold_share", [])
    assert found.numerator.tolist() == [2, 0] and found.denominator.tolist() == [6, 3]


def test_nothing_from_after_the_time_looked_at_is_known() -> None:
    outcomes = events(("ann", "a", 50), ("ann", "b", 150))
    for until, numerator, denominator in ((5, [0], [3]), (60, [1, 0], [3, 3]), (200, [2, 0], [6, 3])):
        found = figures("click_through", outcomes, until=BEGIN + until)
        assert (found.numerator.tolist(), found.denominator.tolist()) == (numerator, denominator)


def test_history_is_the_clicks_of_two_weeks_before_the_first_list() -> None:
    outcomes = events(
        ("ann", "z", -1), ("ann", "a", -13 * DAY), ("ann", "a", -15 * DAY), ("ann", "a", 1), ("bob", "b", 5)
    )
    assert figures("clicks", outcomes).history.tolist() == [2, 1]  # bob's list came 10 s after the begin


def test_an_empty_log_has_no_units() -> None:
    found = Measured.of(log_of([], []), Metric.parse("clicks"), attribution_s=DAY).until()
    assert len(found.numerator) == len(found.history) == 0


@pytest.mark.parametrize("seed", range(3))
def test_it_is_what_a_plain_loop_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lists = [
        shown(f"u{rng.integers(3)}", [f"i{n}" for n in rng.permutation(6)[:3]], at=float(at))
        for at in np.sort(rng.choice(100, size=30, replace=False))
    ]
    outcomes = [
        Outcome(f"u{rng.integers(3)}", f"i{rng.integers(7)}", "click", float(rng.integers(120)) + 0.5)
        for _ in range(60)
    ]
    expected = set()
    for event in outcomes:
        before = [each for each in lists if each.unit == event.unit and event.item in each.items]
        before = [each for each in before if each.at <= event.timestamp]
        if before and event.timestamp - before[-1].at <= 20:
            expected.add((before[-1].exposure_id, event.item))
    hit = np.flatnonzero(np.isfinite(met(log_of(outcomes, lists), "click", attribution_s=20)))
    rows = [(each.exposure_id, item) for each in lists for item in each.items]
    assert {rows[place] for place in hit} == expected and expected
