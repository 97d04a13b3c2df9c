"""What the store of experiments promises, asked of SQLite and of a real PostgreSQL server."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from coldstart.catalog import ItemStore, open_item_store
from coldstart.catalog.experiments import ExperimentStore
from coldstart.catalog.users import UserStore
from coldstart.entities import Event
from coldstart.errors import Conflict, NotFound
from coldstart.experiments.design import Arm, Buckets, Guardrail, Metric, Pipeline, Status
from coldstart.experiments.report import report_on
from coldstart.experiments.simulation import Shoppers, Trouble, simulate_log
from tests.coldstart.experiments.toy import BEGIN, DAY, draft, shown

RICH = draft(
    arms=(Arm("old – ä", 0.5), Arm("new", 0.5, Pipeline(adapter="v2", ranker=False, cold_share=0.25))),
    guardrails=(Guardrail(Metric.parse("conversions:purchase"), 0.02),), share=0.3, layer="home", attribution_s=3600.5,
)  # fmt: skip


@pytest.fixture
def times() -> list[float]:
    """What the store's clock says; the last one is now."""
    return [BEGIN]


@pytest.fixture
def store(url: str, times: list[float]) -> Iterator[ExperimentStore]:
    store = ExperimentStore(url, clock=lambda: times[-1])
    yield store
    store.close()


@pytest.fixture
def events(url: str, store: ExperimentStore) -> Iterator[ItemStore]:
    """The catalogue in the same database."""
    opened = open_item_store(url)
    yield opened
    opened.close()


def test_an_experiment_is_kept_as_it_was_drafted_and_started(store: ExperimentStore, times: list[float]) -> None:
    assert store.create(RICH) == RICH == store.get("toy")
    times.append(BEGIN + 60)
    started = store.start("toy")
    assert started == store.get("toy") and started.status is Status.RUNNING and started.started_at == BEGIN + 60
    assert replace(started, status=Status.DRAFT, buckets=(), started_at=None) == RICH
    times.append(BEGIN + 120)
    stopped = store.stop("toy")
    assert stopped == store.get("toy") and stopped.stopped_at == BEGIN + 120 and stopped.buckets == started.buckets


def test_they_are_listed_oldest_first_and_the_running_ones_by_layer(store: ExperimentStore, times: list[float]) -> None:
    for number, name in enumerate(("c", "a", "b")):
        times.append(BEGIN + number)
        store.create(draft(experiment_id=name, layer=name))
    assert [each.experiment_id for each in store.list_experiments()] == ["c", "a", "b"]
    assert store.running() == []
    store.start("c")
    store.start("a")
    assert [each.experiment_id for each in store.running()] == ["a", "c"]
    store.stop("a")
    assert [each.experiment_id for each in store.running()] == ["c"]


def test_an_id_is_given_once(store: ExperimentStore) -> None:
    store.create(draft())
    with pytest.raises(Conflict, match="there is an experiment of this id already"):
        store.create(draft(salt="another"))
    assert store.get("toy").salt == "s1"


def test_a_draft_is_edited_and_what_runs_or_has_run_is_not(store: ExperimentStore) -> None:
    store.create(draft())
    edited = draft(salt="s2", share=0.5)
    assert store.edit(edited) == store.get("toy") == edited
    store.start("toy")
    for _ in range(2):
        before = store.get("toy")
        with pytest.raises(Conflict, match="cannot be edited"):
            store.edit(draft(salt="s3"))
        assert store.get("toy") == before
        if before.status is Status.RUNNING:
            store.stop("toy")


def test_what_is_unknown_is_not_found(store: ExperimentStore) -> None:
    for ask in (store.get, store.start, store.stop, store.report):
        with pytest.raises(NotFound, match="nobody"):
            ask("nobody")
    with pytest.raises(NotFound):
        store.edit(draft(experiment_id="nobody"))


def test_shares_of_a_layer_fit_however_many_start_at_once(store: ExperimentStore, url: str) -> None:
    for number in range(8):
        store.create(draft(experiment_id=str(number), share=0.3))

    def start(number: int) -> tuple[Buckets, ...]:
        own = ExperimentStore(url)
        try:
            return own.start(str(number)).buckets
        except Conflict as error:
            assert "of the layer's traffic are wanted" in str(error)
            return ()
        finally:
            own.close()

    with ThreadPoolExecutor(8) as pool:
        claimed = [each for buckets in pool.map(start, range(8)) for each in buckets]
    assert sorted(claimed) == [Buckets(0, 3000), Buckets(3000, 6000), Buckets(6000, 9000)]
    assert len(store.running()) == 3


def test_an_exposure_is_kept_as_it_was_logged_and_once(store: ExperimentStore) -> None:
    store.create(draft())
    store.start("toy")
    rich = shown(
        "ann – ä", "abc", at=BEGIN + 5, lag=2.5, propensities=(1.0, 0.25, 1e-300), cold=(True, False, True),
        teams=("", "a", "b"), degraded=True,
    )  # fmt: skip
    store.log([rich, shown("bob", "abc", at=BEGIN + 1)])
    store.log([replace(rich, arm="another")])
    store.log([])
    report = store.report("toy")
    assert report.lists == 0  # the clock stands at the begin
    assert store.exposures("toy") == [shown("bob", "abc", at=BEGIN + 1), rich]


@pytest.fixture
def run(store: ExperimentStore, events: ItemStore) -> Callable[..., None]:
    """A week of an experiment, in the database."""

    def write(trouble: Trouble | None = None) -> None:
        store.create(draft(expected_units=600))
        rng = np.random.default_rng(0)
        exposures, outcomes = simulate_log(store.start("toy"), Shoppers.draw(600, rng), rng, trouble=trouble)
        store.log(exposures)
        events.record_events(
            [Event(str(n), each.unit, each.item, each.timestamp, each.kind) for n, each in enumerate(outcomes)]
        )

    return write


def test_a_report_is_of_the_logged_lists_and_the_recorded_events(
    store: ExperimentStore, run: Callable[..., None], times: list[float]
) -> None:
    run(Trouble(effect={"new": 1.5}))
    times.append(BEGIN + 8 * DAY)
    report = store.report("toy")
    rng = np.random.default_rng(0)
    trouble = Trouble(effect={"new": 1.5})
    expected = simulate_log(store.get("toy"), Shoppers.draw(600, rng), rng, trouble=trouble)
    assert report == report_on(store.get("toy"), *expected, now=BEGIN + 8 * DAY)
    assert report.verdict.winner == "new" and report.comparisons[0].lift.variance_reduction > 0.1


def test_a_delayed_feed_is_caught_from_what_was_logged(
    store: ExperimentStore, run: Callable[..., None], times: list[float]
) -> None:
    run(Trouble(effect={"new": 1.5}, delay_s={"new": 60.0}))
    times.append(BEGIN + 8 * DAY)
    verdict = store.report("toy").verdict
    assert verdict.winner is None and "older than those of old" in verdict.sentence


def test_a_report_of_too_many_lists_is_left_to_the_command_line(
    store: ExperimentStore, run: Callable[..., None], times: list[float]
) -> None:
    run()
    with pytest.raises(Conflict, match="coldstart experiments report toy"):
        store.report("toy", most=100)


def test_what_somebody_erased_was_shown_is_gone_and_is_not_logged_late(
    store: ExperimentStore, run: Callable[..., None], times: list[float], url: str
) -> None:
    run()
    times.append(BEGIN + 100 * DAY)
    everything = store.exposures("toy")
    unit = everything[0].unit
    lists = [each for each in everything if each.unit == unit]
    users = UserStore(url, clock=lambda: times[-1])
    assert users.traces([unit])["exposures"] == len(lists)
    assert users.forget(unit).erased["exposures"] == len(lists) > 0
    store.log([replace(each, exposure_id=f"late-{each.exposure_id}") for each in lists])
    assert store.exposures("toy") == [each for each in everything if each.unit != unit]
    assert users.traces([unit])["exposures"] == 0
    users.close()
