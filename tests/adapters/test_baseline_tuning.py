from dataclasses import replace

import numpy as np
import pytest

from adapters.baseline_tuning import METHODS, build, parse_methods
from adapters.content import Contents
from coldstart.errors import InvalidInput
from coldstart.evaluation.protocols import Protocol
from tests.adapters.test_baselines import KNOWN, WORLD
from tests.adapters.toy_split import data_of


def validation() -> Protocol:
    dataset, split = data_of(WORLD)
    return Protocol.of(split, len(dataset.users), len(dataset.items), part="val")


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidInput, match=r"'rigde' is no method.*ridge"):
        parse_methods("rigde")


def test_all_are_all_and_some_are_always_there() -> None:
    assert parse_methods("all") == METHODS
    assert parse_methods(" ridge , adapter") == ("adapter", "backbone", "popularity", "ridge")


def test_the_modality_that_tells_is_chosen() -> None:
    """Pictures are noise, so the weight that looks at them alone is not the one."""
    noise = np.random.default_rng(1).standard_normal(KNOWN.contents.image.shape).astype(np.float32)
    known = replace(KNOWN, contents=Contents(KNOWN.contents.text, noise, KNOWN.contents.present))
    for name in ("neighbours", "ridge", "content-knn"):
        assert build(name, known, validation(), seed=0).chosen["image_weight"] < 1.0


def test_no_other_factor_on_cold_items_is_better_on_validation() -> None:
    """The warm vectors are ten times as long as their users' cold ones could be."""
    judge = validation()
    tuned = build("neighbours", KNOWN, judge, seed=0)
    factor = tuned.chosen["cold_factor"]
    users, items = tuned.vectors
    scores = {}
    for each in (0.5, 1.0, 4.0):
        scaled = items * np.where(KNOWN.warm, 1.0, each / factor).astype(np.float32)[:, None]
        found = judge.judge("overall", users, scaled)
        assert found is not None
        scores[each] = found.ndcg.mean()
    best = judge.judge("overall", users, items)
    assert best is not None and best.ndcg.mean() >= max(scores.values()) - 1e-9


def test_a_modality_that_nobody_has_is_no_choice() -> None:
    contents = KNOWN.contents
    known = replace(KNOWN, contents=Contents(contents.text, contents.image * 0, contents.present & [True, False]))
    assert "image_weight" not in build("content-knn", known, validation(), seed=0).chosen
