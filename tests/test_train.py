"""The parts of ``python -m benchmarks.train``, on two communities whose right lists are obvious."""

import time
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from benchmarks.train import steps
from benchmarks.train.course import Course, Enough, Point, until_enough
from benchmarks.train.references import cornac_neumf, geometric_lightgcn
from benchmarks.train.tasks import LeaveOneOut, Ranking, leave_one_out, read_ranking
from coldstart.backbones.config import LightGCNConfig, NeuMFConfig

USERS, ITEMS = 40, 60
Pairs = list[tuple[int, int]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """User u met items i of the same parity, all but four; the last item is cold."""
    folder = tmp_path_factory.mktemp("train") / "toy"
    generator = np.random.default_rng(0)
    parts: dict[str, Pairs] = {"train": [], "warm_val": [], "warm_test": [], "cold_test": [(1, ITEMS - 1)]}
    for user in range(USERS):
        own = generator.permutation(np.arange(user % 2, ITEMS - 2, 2)).tolist()
        parts["warm_val"] += [(user, own[0])]
        parts["warm_test"] += [(user, own[1])]
        parts["train"] += [(user, item) for item in own[4:]]
    write(folder / "interactions.csv", [pair for part in parts.values() for pair in part])
    (folder / "items.csv").write_text("item_id,title\n" + "".join(f"i{n},thing {n}\n" for n in range(ITEMS)))
    for name, pairs in parts.items():
        write(folder / "splits" / "toy" / f"{name}.csv", pairs)
    return folder


def write(file: Path, pairs: Pairs) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("user_id,item_id\n" + "".join(f"u{user},i{item}\n" for user, item in pairs))


@pytest.fixture(scope="module")
def ranking(folder: Path) -> Ranking:
    return read_ranking(folder, "toy")


@pytest.fixture(scope="module")
def hits(folder: Path) -> LeaveOneOut:
    return leave_one_out(folder)


def test_judging_does_not_count() -> None:
    course = Course(budget=10.0)

    def slowly() -> float:
        began = time.process_time()
        while time.process_time() < began + 0.2:
            pass
        return 0.5

    course.judge(slowly)
    assert course.seconds < 0.1


def test_a_course_ends_with_its_budget_or_at_its_target() -> None:
    course = Course(budget=10.0, target=0.5)
    course.judge(lambda: 0.4)
    with pytest.raises(Enough):
        course.judge(lambda: 0.6)
    with pytest.raises(Enough):
        Course(budget=0.0).judge(lambda: 0.1)
    with until_enough():
        Course(budget=0.0).judge(lambda: 0.1)


def test_what_was_reached_when() -> None:
    course = Course(budget=1.0)
    course.points = [Point(1.0, 0.1), Point(2.0, 0.3), Point(3.0, 0.2)]
    assert course.best == 0.3
    assert (course.reached(0.1), course.reached(0.15), course.reached(0.31)) == (1.0, 2.0, None)


def test_recall_is_among_warm_items_that_training_has_not_seen(ranking: Ranking) -> None:
    assert ranking.train.shape == (USERS, ITEMS - 2)  # one item is cold, one that nobody met
    items = np.eye(ITEMS - 2, dtype=np.float32)
    assert ranking.recall(ranking.test.toarray(), items) == 1.0
    assert ranking.recall(ranking.train.toarray() - ranking.test.toarray(), items) < 0.5


def test_each_user_has_one_click_to_judge_by_that_no_other_part_has(hits: LeaveOneOut, folder: Path) -> None:
    train, validation = (part.matrix(*hits.shape).toarray() for part in (hits.train, hits.validation))
    assert (np.sort(hits.users) == np.arange(USERS)).all() and (validation.sum(axis=1) == 1).all()
    assert not (train * validation).any()
    true, others = hits.candidates[:, 0], hits.candidates[:, 1:]
    assert not train[hits.users, true].any() and not validation[hits.users, true].any()
    met = train[hits.users[:, None], others] + validation[hits.users[:, None], others]
    assert others.shape == (USERS, 99) and not met.any() and (others != true[:, None]).all()
    right = np.zeros(hits.shape)
    right[hits.users, true] = 1.0
    assert hits.hit_rate(lambda users, items: right[users, items].astype(np.float32)) == 1.0
    assert hits.hit_rate(lambda users, items: -right[users, items].astype(np.float32)) == 0.0


def test_every_third_user_can_stand_for_all(hits: LeaveOneOut, folder: Path) -> None:
    some = leave_one_out(folder, every=3)
    assert some.shape == (-(-USERS // 3), hits.shape[1]) and some.candidates.shape == (len(some.users), 100)
    met = [sum(part.matrix(*task.shape) for part in (task.train, task.validation)) for task in (some, hits)]
    tested = [np.zeros(task.shape) for task in (some, hits)]
    for clicks, task in zip(tested, (some, hits), strict=True):
        clicks[task.users, task.candidates[:, 0]] = 1.0
    assert (met[0] + tested[0] == (met[1] + tested[1])[::3]).all()


@pytest.mark.parametrize("ladder", [steps.LIGHTGCN, steps.NEUMF], ids=["lightgcn", "neumf"])
def test_each_step_changes_what_its_name_says(ladder: tuple[tuple[str, LightGCNConfig | NeuMFConfig], ...]) -> None:
    *named, (_, default) = ladder
    endless = {"epochs": default.epochs, "patience": default.patience}
    assert asdict(default) == {**asdict(type(default)()), **endless}
    for (_, before), (name, after) in pairwise(named):
        changed = {key for key, value in asdict(after).items() if asdict(before)[key] != value}
        assert any(word in name for key in changed for word in (key, *RATES.get(key, ()))), (name, changed)


RATES = {"learning_rate": ("rate",), "loss": ("softmax",)}


def test_published_lightgcn_learns_and_this_code_learns_it_too(ranking: Ranking) -> None:
    theirs = Course(budget=0.5)
    geometric_lightgcn(ranking, theirs)
    assert theirs.best > 0.9 and len(theirs.points) > 1 and theirs.points[-1].seconds >= 0.5
    ours = Course(budget=30.0, target=theirs.best)
    steps.run_lightgcn(ranking, dict(steps.LIGHTGCN)["start from ALS, 2 layers"], ours)
    assert ours.reached(theirs.best) is not None


def test_published_neumf_learns_and_this_code_learns_it_too(hits: LeaveOneOut) -> None:
    theirs = Course(budget=3.0)
    cornac_neumf(hits, theirs)
    assert theirs.best > theirs.points[0].score
    ours = Course(budget=30.0, target=theirs.best)
    steps.run_neumf(hits, dict(steps.NEUMF)["start from ALS, its rate"], ours)
    assert ours.reached(theirs.best) is not None
