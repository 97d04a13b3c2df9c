from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from adapters.config import AdapterConfig
from adapters.fit import fit
from adapters.folding import Folding
from adapters.folding_calibration import calibrate_folding
from adapters.space import Adapter
from tests.adapters.toy import World, make_world

CONFIG = AdapterConfig(neighbours=5, image_dim=8, content_dim=16)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(items=100)


def missed(world: World) -> csr_matrix:
    """The items of a user's community that they did not click."""
    own = world.item_group[None] == world.user_group[:, None]
    return csr_matrix((own & (world.backbone.clicks.toarray() == 0)).astype(np.float32))


def test_content_is_used_where_vectors_say_nothing(world: World) -> None:
    noise = np.random.default_rng(0).standard_normal(world.backbone.item_vectors.shape).astype(np.float32)
    blind = fit(replace(world.backbone, item_vectors=noise), world.contents, config=CONFIG)
    blind = replace(blind, folding=Folding(content=0.0))
    assert calibrate_folding(blind, missed(world), seed=0).folding.content == 2.0


def test_content_is_left_alone_where_it_says_nothing(world: World) -> None:
    random = np.random.default_rng(0).permutation(len(world.contents))
    adapter = fit(world.backbone, world.contents.take(random), config=CONFIG)
    adapter = replace(adapter, folding=Folding(content=2.0))
    assert calibrate_folding(adapter, missed(world), seed=0).folding.content < 2.0


def test_nothing_is_chosen_where_nobody_clicked_enough(world: World) -> None:
    adapter: Adapter = fit(world.backbone, world.contents, config=CONFIG)
    few = replace(adapter, backbone=replace(world.backbone, clicks=csr_matrix(world.backbone.clicks.shape, dtype="f4")))
    assert calibrate_folding(few, missed(world), seed=0).folding == Folding()
    nothing = csr_matrix(world.backbone.clicks.shape, dtype=np.float32)
    assert calibrate_folding(adapter, nothing, seed=0).folding == Folding()
