"""The sentence at the end of a report. Only always-valid evidence decides, since reports are read at any time."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from coldstart.experiments.analysis import ALPHA, Hold, Interval, Lift
from coldstart.experiments.interleaving import Preference


class Decision(StrEnum):
    """What may be concluded."""

    WINNER = "winner"
    OPEN = "open"
    HARM = "harm"
    """A treatment gains, and breaks a guardrail."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Rail:
    """A guardrail, and whether a treatment keeps to it."""

    metric: str
    margin: float
    lift: Lift
    state: Hold


@dataclass(frozen=True, slots=True)
class Comparison:
    """A treatment beside the control; ``p`` is always valid, and Holm's where there are several treatments."""

    arm: str
    lift: Lift
    p: float
    guardrails: tuple[Rail, ...] = ()

    @property
    def gains(self) -> bool:
        """Whether it is shown to be better by the metric."""
        return self.p < ALPHA and (self.lift.absolute or 0.0) > 0

    @property
    def loses(self) -> bool:
        """Whether it is shown to be worse."""
        return self.p < ALPHA and (self.lift.absolute or 0.0) < 0

    def rails(self, state: Hold) -> list[Rail]:
        """The guardrails of which this is known."""
        return [rail for rail in self.guardrails if rail.state is state]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be concluded, about which arm, and in words."""

    decision: Decision
    winner: str | None
    sentence: str


def refuse(reasons: Sequence[str]) -> Verdict:
    """No verdict, for these reasons."""
    return Verdict(Decision.REFUSED, None, f"no verdict: {'; '.join(reasons)}")


def decide(control: str, metric: str, comparisons: Sequence[Comparison]) -> Verdict:
    """Of an A/B test: the treatment that gains most with all its guardrails held; the control where all others lose."""
    gaining = [each for each in comparisons if each.gains]
    clean = [each for each in gaining if len(each.rails(Hold.HELD)) == len(each.guardrails)]
    if clean:
        best = max(clean, key=lambda each: each.lift.absolute or 0.0)
        rails = "; its guardrails hold" if best.guardrails else ""
        return Verdict(Decision.WINNER, best.arm, f"{best.arm} wins: {_change(metric, best)}{rails}")
    if gaining:
        return _held_back(metric, max(gaining, key=lambda each: each.lift.absolute or 0.0))
    if comparisons and all(each.loses for each in comparisons):
        changes = ", ".join(f"{each.arm} {_change(metric, each)}" for each in comparisons)
        return Verdict(Decision.WINNER, control, f"{control} wins: {changes}")
    changes = ", ".join(f"{each.arm} {_change(metric, each)}" for each in comparisons)
    return Verdict(Decision.OPEN, None, f"no difference shown yet: {changes}")


def decide_preference(preference: Preference, arms: tuple[str, str]) -> Verdict:
    """Of an interleaved experiment: the arm whose items are clicked more."""
    told = f"{preference.margin:+.1%} of the credited clicks{_bounds(preference.sequence, '.1%')}"
    if preference.p_always >= ALPHA:
        return Verdict(Decision.OPEN, None, f"no difference shown yet: {arms[1]} {told} beside {arms[0]}")
    winner, other = arms if preference.margin < 0 else arms[::-1]
    margin = "" if winner == arms[1] else f", counted for {other}"
    return Verdict(Decision.WINNER, winner, f"{winner} wins over {other}: {told}{margin}")


def _held_back(metric: str, best: Comparison) -> Verdict:
    if harmed := best.rails(Hold.HARMED):
        rails = ", ".join(f"{rail.metric} by more than {rail.margin:.1%}" for rail in harmed)
        return Verdict(Decision.HARM, None, f"no winner: {best.arm} gains {_change(metric, best)}, and harms {rails}")
    rails = ", ".join(f"{rail.metric} loses at most {rail.margin:.1%}" for rail in best.rails(Hold.OPEN))
    told = f"no winner yet: {best.arm} gains {_change(metric, best)}, and it is not shown yet that {rails}"
    return Verdict(Decision.OPEN, None, told)


def _change(metric: str, comparison: Comparison) -> str:
    lift = comparison.lift
    if lift.relative is None:
        amount = "not known" if lift.absolute is None else f"{lift.absolute:+.4g}{_bounds(lift.sequence, '.4g')}"
    else:
        amount = f"{lift.relative:+.1%}{_bounds(lift.relative_sequence, '.1%')}"
    return f"{metric} {amount}"


def _bounds(interval: Interval | None, form: str) -> str:
    if interval is None:
        return " (too few units for an interval)"
    return f" (always-valid 95 % interval {interval.low:+{form}} to {interval.high:+{form}})"
