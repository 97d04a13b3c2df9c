import numpy as np
import pytest
from scipy.sparse import csr_matrix

from adapters.config import AdapterConfig
from adapters.fit import fit
from adapters.graduation_tuning import calibrate_half
from adapters.validation import Judge, Validation, hide_warm_items
from tests.adapters.toy import World, make_world

CONFIG = AdapterConfig(neighbours=5, image_dim=8, content_dim=16)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(cold=60)


def fitted(world: World, likes: np.ndarray, *, start: float) -> float:
    """The half-weight for new items that these users like [users, cold], from a start."""
    validation = Validation(world.cold, np.full(len(world.cold), -1), csr_matrix(likes.astype(np.float32)))
    adapter = fit(world.backbone, world.contents, config=CONFIG).with_scales(half=start, cold_content=0.0)
    return calibrate_half(adapter, Judge(validation, world.backbone, seed=0), seed=0).scales.half


def test_content_that_misleads_gives_way_to_the_first_clicks(world: World) -> None:
    other = world.user_group[:, None] != world.cold_group[None]
    assert fitted(world, other, start=30.0) <= 1.0


def test_content_that_knows_best_keeps_its_weight(world: World) -> None:
    """No setting is better, and the one that is there stays."""
    right = world.user_group[:, None] == world.cold_group[None]
    assert fitted(world, right, start=2.0) == 2.0


def test_too_few_items_with_clicks_leave_it_as_it_is(world: World) -> None:
    few = (world.user_group[:, None] != world.cold_group[None]) & (np.arange(60) < 19)[None]
    assert fitted(world, few, start=30.0) == 30.0


def test_warm_items_that_were_hidden_are_no_use(world: World) -> None:
    validation = hide_warm_items(world.backbone, world.contents, fraction=0.5, seed=0)
    adapter = fit(world.backbone, world.contents, config=CONFIG, hidden=validation.hidden)
    changed = adapter.with_scales(half=30.0)
    assert calibrate_half(changed, Judge(validation, world.backbone, seed=0), seed=0) is changed
