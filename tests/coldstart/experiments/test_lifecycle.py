import pytest

from coldstart.errors import Conflict
from coldstart.experiments.design import BUCKETS, Arm, Buckets, Kind, Pipeline, Status
from coldstart.experiments.lifecycle import edit, start, stop
from tests.coldstart.experiments.toy import draft, running


def test_it_goes_from_draft_to_running_to_stopped() -> None:
    started = start(draft(share=0.2), [], now=5.0)
    assert (started.status, started.started_at, started.buckets) == (Status.RUNNING, 5.0, (Buckets(0, 2000),))
    stopped = stop(started, now=9.0)
    assert (stopped.status, stopped.started_at, stopped.stopped_at) == (Status.STOPPED, 5.0, 9.0)
    assert stopped.buckets == started.buckets  # the report goes on knowing who took part


def test_only_a_draft_can_be_edited() -> None:
    edited = draft(salt="s2")
    assert edit(draft(), edited) is edited
    for stored in (running(), stop(running(), now=9.0)):
        with pytest.raises(Conflict, match=f"toy: the experiment is {stored.status} and cannot be edited") as caught:
            edit(stored, edited)
        assert caught.value.status == 409


def test_nothing_starts_or_stops_twice() -> None:
    with pytest.raises(Conflict, match="is running already"):
        start(running(), [], now=1.0)
    with pytest.raises(Conflict, match="is stopped already"):
        start(stop(running(), now=1.0), [], now=2.0)
    for stored in (draft(), stop(running(), now=1.0)):
        with pytest.raises(Conflict, match="not running"):
            stop(stored, now=2.0)


def test_shares_in_one_layer_must_fit() -> None:
    first = running(share=0.7)
    with pytest.raises(Conflict, match="stop one of toy"):
        start(draft(experiment_id="second", share=0.4), [first], now=1.0)
    second = start(draft(experiment_id="second", share=0.3), [first], now=1.0)
    assert second.buckets == (Buckets(7000, BUCKETS),)


def test_two_layers_must_not_change_the_same_part_of_a_pipeline() -> None:
    def arms(pipeline: Pipeline) -> tuple[Arm, Arm]:
        return Arm("old", 0.5), Arm("new", 0.5, pipeline)

    first = running(arms=arms(Pipeline(diversity=0.3, ranker=False)))
    with pytest.raises(Conflict, match="toy: its arms change ranker, as do those of toy in the layer default"):
        start(draft(layer="home", arms=arms(Pipeline(ranker=False))), [first], now=1.0)
    assert start(draft(layer="home", arms=arms(Pipeline(cold_share=0.0))), [first], now=1.0).status is Status.RUNNING


def test_lists_are_interleaved_in_one_layer_at_a_time() -> None:
    first = running(kind=Kind.INTERLEAVING)
    with pytest.raises(Conflict, match="interleaved by toy in the layer default already"):
        start(draft(kind=Kind.INTERLEAVING, layer="home"), [first], now=1.0)
    assert start(draft(layer="home"), [first], now=1.0).status is Status.RUNNING


def test_what_another_layer_or_a_stopped_one_holds_is_free() -> None:
    others = [running(), stop(running(experiment_id="done"), now=1.0)]
    assert start(draft(experiment_id="new", layer="home"), others, now=1.0).buckets == (Buckets(0, BUCKETS),)
    assert start(draft(experiment_id="new"), others[1:], now=1.0).buckets == (Buckets(0, BUCKETS),)
