import pytest

from coldstart.experiments.analysis import Hold, Interval, Lift
from coldstart.experiments.interleaving import Preference
from coldstart.experiments.verdict import Comparison, Decision, Rail, decide, decide_preference, refuse


def treatment(arm: str, lift: float, p: float, *rails: tuple[str, Hold]) -> Comparison:
    found = Lift(
        0.1, 0.1 * (1 + lift), 5_000, 0.1 * lift, lift,
        relative_sequence=Interval(lift - 0.02, lift + 0.02), p_always=p,
    )  # fmt: skip
    return Comparison(arm, found, p, tuple(Rail(name, 0.02, found, state) for name, state in rails))


def test_a_gain_wins_and_says_how_much() -> None:
    verdict = decide("old", "click_through", [treatment("new", 0.042, 0.001)])
    assert (verdict.decision, verdict.winner) == (Decision.WINNER, "new")
    assert verdict.sentence == "new wins: click_through +4.2% (always-valid 95 % interval +2.2% to +6.2%)"


def test_a_loss_of_all_treatments_lets_the_control_win() -> None:
    losing = [treatment("b", -0.05, 0.001), treatment("c", -0.04, 0.01)]
    assert decide("a", "clicks", losing).winner == "a"
    verdict = decide("a", "clicks", [losing[0], treatment("c", 0.01, 0.9)])
    assert verdict.winner is None and verdict.decision is Decision.OPEN


def test_the_largest_gain_wins_among_those_whose_guardrails_hold() -> None:
    found = [
        treatment("b", 0.03, 0.001, ("cold_share", Hold.HELD)),
        treatment("c", 0.05, 0.001, ("cold_share", Hold.HELD)),
        treatment("d", 0.09, 0.001, ("cold_share", Hold.HARMED)),
    ]
    verdict = decide("a", "clicks", found)
    assert verdict.winner == "c" and verdict.sentence.endswith("its guardrails hold")


def test_a_gain_that_harms_does_not_win() -> None:
    verdict = decide("old", "clicks", [treatment("new", 0.05, 0.001, ("conversions:purchase", Hold.HARMED))])
    assert (verdict.decision, verdict.winner) == (Decision.HARM, None)
    assert "and harms conversions:purchase by more than 2.0%" in verdict.sentence


def test_a_gain_whose_guardrail_is_open_does_not_win_yet() -> None:
    verdict = decide("old", "clicks", [treatment("new", 0.05, 0.001, ("cold_share", Hold.OPEN))])
    assert (verdict.decision, verdict.winner) == (Decision.OPEN, None)
    assert verdict.sentence.startswith("no winner yet") and "cold_share loses at most 2.0%" in verdict.sentence


def test_what_is_not_shown_is_left_open() -> None:
    verdict = decide("old", "clicks", [treatment("new", 0.05, 0.06)])
    assert verdict.decision is Decision.OPEN and verdict.sentence.startswith(
        "no difference shown yet: new clicks +5.0%"
    )
    assert "too few units" in decide("old", "clicks", [Comparison("new", Lift(0.1, 0.2, 20, 0.1, 1.0), 1.0)]).sentence
    assert "not known" in decide("old", "clicks", [Comparison("new", Lift(0.0, 0.0, 0), 1.0)]).sentence
    nothing = Lift(0.0, 0.1, 500, 0.1, None, sequence=Interval(0.05, 0.15))
    assert decide("old", "clicks", [Comparison("new", nothing, 0.001)]).sentence.startswith("new wins: clicks +0.1 (")


@pytest.mark.parametrize(("margin", "winner", "loser"), [(0.08, "new", "old"), (-0.08, "old", "new")])
def test_the_preferred_arm_wins(margin: float, winner: str, loser: str) -> None:
    found = Preference(margin, 900, 1, 2, 3, sequence=Interval(margin - 0.01, margin + 0.01), p_always=0.001)
    verdict = decide_preference(found, ("old", "new"))
    assert verdict.winner == winner and verdict.sentence.startswith(f"{winner} wins over {loser}")
    assert decide_preference(Preference(margin, 900, 1, 2, 3, p_always=0.2), ("old", "new")).winner is None


def test_a_refusal_names_every_reason() -> None:
    verdict = refuse(["one thing", "another"])
    assert (verdict.decision, verdict.winner, verdict.sentence) == (
        Decision.REFUSED, None, "no verdict: one thing; another",
    )  # fmt: skip
